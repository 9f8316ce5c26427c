"""The index of ranges against a walk over all of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioetcd.storage.mvcc import range_index
from trioetcd.storage.mvcc.range_index import RangeIndex

points = st.sampled_from([b"", b"a", b"b", b"c"])
ranges = st.tuples(points, st.none() | points)


@pytest.fixture(autouse=True, scope="module")
def few_recent() -> Iterator[None]:
    """The tree is rebuilt often, so that small examples reach all of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(range_index, "_RECENT_MAX", 2)
        yield


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ranges, st.integers(0, 1)), max_size=100), st.data())
def test_finds_what_a_walk_finds(wanted: list[tuple[tuple[bytes, bytes | None], int]], data: st.DataObject) -> None:
    index: RangeIndex[int] = RangeIndex()
    held: dict[tuple[tuple[bytes, bytes | None], int], None] = {}
    for one in wanted:
        if one not in held:
            held[one] = None
            index.add(*one[0], one[1])
        elif data.draw(st.booleans()):
            del held[one]
            index.remove(*one[0], one[1])
    for _ in range(10):
        key = data.draw(points)
        expected = [member for (start, end), member in held if start <= key and (end is None or key < end)]
        assert sorted(index.find(key)) == sorted(expected)
    assert bool(index) == bool(held)


def test_is_rebuilt_as_ranges_come_and_go() -> None:
    index: RangeIndex[int] = RangeIndex()
    count = 200
    for number in range(count):
        index.add(b"%04d" % number, b"%04d" % (number + 2), number)
    assert sorted(index.find(b"0100")) == [99, 100]
    for number in range(count):
        if number != 100:
            index.remove(b"%04d" % number, b"%04d" % (number + 2), number)
    assert list(index.find(b"0100")) == [100]
    assert len(index._nodes) < count  # the privates say that what is gone was swept


def test_a_range_that_comes_back_is_found_once() -> None:
    index: RangeIndex[int] = RangeIndex()
    for number in range(3):
        index.add(b"a", b"c%d" % number, number)
    index.remove(b"a", b"c1", 1)
    index.add(b"a", b"c1", 7)
    assert sorted(index.find(b"b")) == [0, 2, 7]
