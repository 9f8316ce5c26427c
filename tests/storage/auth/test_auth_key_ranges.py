"""Unions of grants beside the plain question: is every key of the range in one of them?"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.storage.auth.asking import READ, READWRITE, WRITE
from trioetcd.storage.auth.key_ranges import KeyRanges, permitted_by
from trioetcd.storage.auth.records import Grant

LETTERS = b"\0ab\xff"
ENDPOINTS = [b"", *(bytes((one,)) for one in LETTERS), *(bytes((one, two)) for one in LETTERS for two in LETTERS)]
# Every endpoint that is a key, and one key right behind it: whatever differs at all differs at one of them.
KEYS = sorted({key for point in ENDPOINTS for key in (point, point + b"\0") if key})

endpoints = st.sampled_from(ENDPOINTS)
keys = st.sampled_from([point for point in ENDPOINTS if point])
grants = st.lists(st.builds(Grant, st.sampled_from([READ, WRITE, READWRITE, 7]), endpoints, endpoints), max_size=6)


def holds(start: bytes, range_end: bytes, key: bytes) -> bool:
    if not range_end:
        return key == start
    return start <= key and (range_end == b"\0" or key < range_end)


def expected(given_grants: list[Grant], kinds: tuple[int, int], start: bytes, range_end: bytes) -> bool:
    ranges = [(one.key, one.range_end) for one in given_grants if one.kind in kinds and one.key]
    asked = [key for key in KEYS if holds(start, range_end, key)] or [start]  # of an empty range, the first key
    return all(any(holds(*one, key) for one in ranges) for key in asked)


@settings(deadline=None, max_examples=500)
@given(grants, keys, endpoints)
def test_a_range_is_covered_if_all_its_keys_are(given_grants: list[Grant], start: bytes, range_end: bytes) -> None:
    permitted = permitted_by(given_grants)
    assert permitted.readable.covers(start, range_end) == expected(given_grants, (READ, READWRITE), start, range_end)
    assert permitted.writable.covers(start, range_end) == expected(given_grants, (WRITE, READWRITE), start, range_end)


def test_ranges_that_touch_are_one() -> None:
    ranges = KeyRanges([(b"f", b"m"), (b"a", b"f"), (b"b", b"c"), (b"p", b"p\0")])
    assert ranges.covers(b"a", b"m")
    assert not ranges.covers(b"a", b"n")
    assert not ranges.covers(b"a", b"p\0")
    assert ranges.covers(b"p", b"")
    assert not ranges.covers(b"p", b"q")


def test_from_key_is_only_in_what_has_no_end() -> None:
    ranges = KeyRanges([(b"a", b"\xff" * 9), (b"b", b"c")])
    assert not ranges.covers(b"a", b"\0")
    assert KeyRanges([(b"a", None), (b"b", b"c")]).covers(b"a", b"\0")
    assert not KeyRanges([(b"b", None)]).covers(b"a", b"\0")


def test_nothing_is_in_no_range() -> None:
    assert not KeyRanges([]).covers(b"a", b"")
