"""What an index of keys grows by is nothing that the garbage collector looks through."""

from __future__ import annotations

import gc
from random import Random

from trioetcd.storage.mvcc.index import KeyIndex
from trioetcd.storage.mvcc.untracked import SortedKeys, untracked


def tracked_lists() -> int:
    """How many lists that the collector knows hold a key or a revision."""
    return sum(type(one) is list and bool(one) and type(one[0]) in (bytes, int) for one in gc.get_objects())


def test_an_index_adds_nothing_to_look_through() -> None:
    random = Random(1)
    keys = [random.randbytes(8) for _ in range(20_000)]
    before = tracked_lists()
    index = KeyIndex()
    for rev, key in enumerate(keys * 3, start=1):
        index.add(key, rev << 33)
    for key in keys:
        index.compact(key, 30_000)
    assert index.live(b"", None) == sorted(keys)
    few = 3  # of each sorted list the first part, which it begins with, and the greatest keys of all parts
    assert tracked_lists() - before <= 2 * few


def test_an_index_that_is_built_adds_nothing_either() -> None:
    records = [(b"%05d" % (number % 50_000), number << 33) for number in range(1, 150_001)]
    before = tracked_lists()
    index = KeyIndex.build(iter(records))
    assert index.live_count == 50_000
    assert tracked_lists() - before <= 2  # the greatest keys of all parts, live and dead


def test_an_untracked_list_is_a_list() -> None:
    revs = untracked([1])
    assert not gc.is_tracked(revs)
    revs += [2, 3]
    assert revs == [1, 2, 3]
    keys = SortedKeys([b"b", b"a"])
    assert list(keys) == [b"a", b"b"]
