from __future__ import annotations

import pytest

from trioetcd.raft import (
    NO_LIMIT,
    Compacted,
    ConfState,
    Entry,
    MemoryStorage,
    RaftInvariantError,
    Snapshot,
    SnapshotMetadata,
    SnapshotOutOfDate,
    Unavailable,
)
from trioetcd.raft.log import RaftLog
from trioetcd.raft.sizes import entries_size, entry_size, limit_size, payload_size, varint_size
from trioetcd.raft.unstable import Unstable


def entries(*terms: int, first: int) -> list[Entry]:
    return [Entry(term, first + n) for n, term in enumerate(terms)]


def stored(*terms: int, first: int = 3) -> MemoryStorage:
    """Entries from `first` on; those before are compacted, the last of them of term 1."""
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(SnapshotMetadata(ConfState((1,)), first - 1, 1)))
    storage.append(entries(*terms, first=first))
    return storage


# -- MemoryStorage: the model of a LogStorage ---------------------------------------------------------------------


def test_storage_tells_what_it_has_and_what_it_has_not() -> None:
    storage = stored(1, 2, 3)
    assert (storage.first_index(), storage.last_index()) == (3, 5)
    assert [storage.term(index) for index in (2, 3, 4, 5)] == [1, 1, 2, 3]
    with pytest.raises(Compacted, match="the term of entry 1 is compacted"):
        storage.term(1)
    with pytest.raises(Unavailable, match="entry 6 is not stored: the last is 5"):
        storage.term(6)
    assert [e.index for e in storage.entries(3, 6, NO_LIMIT)] == [3, 4, 5]
    assert [e.index for e in storage.entries(3, 6, 0)] == [3]
    with pytest.raises(Compacted, match="entry 2 is compacted: the first is 3"):
        storage.entries(2, 4, NO_LIMIT)
    with pytest.raises(RaftInvariantError, match="the last is 5"):
        storage.entries(3, 7, NO_LIMIT)


def test_storage_appends_over_what_it_has_and_skips_what_is_compacted() -> None:
    storage = stored(1, 1, 1)
    storage.append([])
    storage.append(entries(9, first=2))
    assert storage.last_index() == 5
    storage.append(entries(1, 1, 4, first=2))
    assert [storage.term(index) for index in (3, 4)] == [1, 4]
    assert storage.last_index() == 4
    with pytest.raises(RaftInvariantError, match="entry 6 leaves a gap after 4"):
        storage.append(entries(4, first=6))


def test_storage_compacts_and_makes_snapshots() -> None:
    storage = stored(1, 2, 3)
    snapshot = storage.create_snapshot(4, ConfState((1, 2)), b"data")
    assert snapshot.metadata == SnapshotMetadata(ConfState((1, 2)), 4, 2)
    assert storage.snapshot() == snapshot
    for stale in (3, 4):
        with pytest.raises(SnapshotOutOfDate, match=f"snapshot {stale} is not newer than 4"):
            storage.create_snapshot(stale, ConfState(), b"")
    storage.compact(4)
    assert (storage.first_index(), storage.term(4)) == (5, 2)
    with pytest.raises(Compacted, match="entry 4 is compacted: the first is 5"):
        storage.compact(4)
    with pytest.raises(Unavailable):
        storage.compact(6)
    with pytest.raises(SnapshotOutOfDate, match="snapshot 4 is not newer than 4"):
        storage.apply_snapshot(snapshot)


# -- RaftLog ------------------------------------------------------------------------------------------------------


def test_terms_over_storage_and_what_is_unsaved() -> None:
    log = RaftLog(storage=stored(1, 2))
    log.append(entries(3, first=5))
    assert [log.term_or_zero(index) for index in (1, 2, 3, 4, 5, 6)] == [0, 1, 1, 2, 3, 0]
    assert log.match_term(5, 3)
    assert not log.match_term(5, 2)
    assert not log.match_term(1, 1)
    with pytest.raises(Compacted, match="the first index is 3"):
        log.term(1)
    with pytest.raises(Unavailable, match="entry 6 lies after the last index 5"):
        log.term(6)


def test_a_snapshot_on_its_way_stands_for_all_before_it() -> None:
    log = RaftLog(storage=stored(1, 2))
    log.restore(Snapshot(SnapshotMetadata(index=9, term=3)))
    log.append(entries(4, first=10))
    assert [log.term(index) for index in (9, 10)] == [3, 4]
    with pytest.raises(Compacted, match="the first index is 10"):
        log.term(8)  # storage still has 3, and may go on to have anything
    with pytest.raises(Unavailable, match="entry 11 lies after the last index 10"):
        log.term(11)


def test_append_replaces_from_its_first_entry_on_but_nothing_committed() -> None:
    log = RaftLog(storage=stored(1, 1, 1))
    log.commit_to(3)
    assert log.append([]) == 5
    assert log.append(entries(2, first=4)) == 4
    assert log.unstable.offset == 4
    with pytest.raises(RaftInvariantError, match=r"entries after 2 would replace committed ones \(committed 3\)"):
        log.append(entries(2, first=3))


def test_leaders_append_is_taken_if_the_logs_match_before_it() -> None:
    log = RaftLog(storage=stored(1, 1, 1))
    assert log.maybe_append(5, 2, (), 5) is None
    assert log.maybe_append(9, 1, (), 5) is None
    assert log.maybe_append(4, 1, entries(1, 2, first=5), 5) == 6
    assert (log.committed, log.last_index()) == (5, 6)
    assert log.maybe_append(3, 1, entries(1, first=4), 9) == 4
    assert (log.committed, log.last_index()) == (5, 6)
    with pytest.raises(RaftInvariantError, match=r"entry 4 conflicts with a committed one \(committed 5\)"):
        log.maybe_append(3, 1, entries(7, first=4), 5)


@pytest.mark.parametrize(
    ("given", "conflict"),
    [
        ([], 0),
        (entries(1, 2, first=3), 0),
        (entries(2, 5, first=4), 5),
        (entries(3, first=4), 4),
        (entries(3, first=6), 6),
    ],
)
def test_conflicts(given: list[Entry], conflict: int) -> None:
    assert RaftLog(storage=stored(1, 2, 3)).find_conflict(given) == conflict


@pytest.mark.parametrize(
    ("index", "term", "found"),
    [(6, 5, (6, 4)), (6, 3, (5, 2)), (6, 1, (3, 1)), (6, 0, (1, 0)), (9, 9, (9, 0)), (0, 9, (0, 0))],
)
def test_search_goes_back_by_terms(index: int, term: int, found: tuple[int, int]) -> None:
    assert RaftLog(storage=stored(1, 2, 2, 4)).find_conflict_by_term(index, term) == found


def test_search_ends_at_the_beginning() -> None:
    storage = MemoryStorage()
    storage.append(entries(5, 6, first=1))
    assert RaftLog(storage=storage).find_conflict_by_term(2, 3) == (0, 0)


def test_commit_only_in_the_own_term_and_never_back() -> None:
    log = RaftLog(storage=stored(1, 1, 2))
    assert not log.maybe_commit(4, 2)
    assert log.maybe_commit(5, 2)
    assert not log.maybe_commit(5, 2)
    log.commit_to(3)
    assert log.committed == 5
    with pytest.raises(RaftInvariantError, match="commit index 6 is out of range: the last index is 5"):
        log.commit_to(6)


def test_applied_never_passes_committed_nor_falls() -> None:
    log = RaftLog(storage=stored(1, 1, 1))
    log.commit_to(4)
    log.applied_to(4)
    for index in (3, 5):
        with pytest.raises(RaftInvariantError, match=rf"applied index {index} is out of range \[4, 4\]"):
            log.applied_to(index)


def test_committed_entries_come_in_pages_within_what_may_be_applied_at_one_time() -> None:
    log = RaftLog(storage=stored(1, 1, 1, 1), max_applying_size_bytes=13)
    log.commit_to(6)
    first = log.next_committed(allow_unstable=True)
    assert [e.index for e in first] == [3, 4]
    log.accept_applying(first, allow_unstable=True)
    assert not log.has_next_committed(allow_unstable=True)
    assert log.next_committed(allow_unstable=True) == ()
    log.applied_to(4)
    assert [e.index for e in log.next_committed(allow_unstable=True)] == [5, 6]


def test_entries_that_are_not_saved_here_are_applied_only_if_allowed() -> None:
    log = RaftLog(storage=stored(1))
    log.append(entries(1, first=4))
    log.commit_to(4)
    assert [e.index for e in log.next_committed(allow_unstable=False)] == [3]
    assert [e.index for e in log.next_committed(allow_unstable=True)] == [3, 4]


def test_snapshot_on_its_way_comes_before_entries() -> None:
    log = RaftLog(storage=stored(1))
    log.commit_to(3)
    snapshot = Snapshot(SnapshotMetadata(ConfState((1,)), 9, 4))
    log.restore(snapshot)
    assert not log.has_next_committed(allow_unstable=True)
    assert (log.first_index(), log.last_index(), log.last_term()) == (10, 9, 4)
    assert log.snapshot() == snapshot
    with pytest.raises(Compacted):
        log.slice(4, 6, NO_LIMIT)


def test_entries_out_of_range_are_refused() -> None:
    log = RaftLog(storage=stored(1, 1))
    with pytest.raises(Compacted, match="entry 2 is compacted: the first index is 3"):
        log.entries(2, NO_LIMIT)
    with pytest.raises(RaftInvariantError, match=r"entries \[3, 9\) are asked for, the last index is 4"):
        log.slice(3, 9, NO_LIMIT)
    assert [e.index for e in log.scan(3, 5, 1)] == [3, 4]


def test_stored_page_that_is_cut_is_not_continued_with_unsaved_entries() -> None:
    log = RaftLog(storage=stored(1, 1))
    log.append(entries(1, 1, first=5))
    size = entry_size(Entry(1, 3))
    assert [[e.index for e in log.entries(3, size * count)] for count in (1, 2, 3, 4)] == [
        [3],
        [3, 4],
        [3, 4, 5],
        [3, 4, 5, 6],
    ]


# -- Unstable -----------------------------------------------------------------------------------------------------


def test_what_is_handed_out_is_not_handed_out_again() -> None:
    unstable = Unstable(offset=5)
    unstable.truncate_and_append(entries(1, 1, first=5))
    assert unstable.has_next
    unstable.accept_in_progress()
    assert not unstable.has_next
    unstable.truncate_and_append(entries(1, first=7))
    assert [e.index for e in unstable.next_entries()] == [7]
    # What is replaced has to be saved anew, though it is being saved.
    unstable.truncate_and_append(entries(2, first=6))
    assert [(e.term, e.index) for e in unstable.next_entries()] == [(2, 6)]
    unstable.truncate_and_append(entries(3, first=3))
    assert (unstable.offset, unstable.in_progress) == (3, 3)


@pytest.mark.parametrize(("index", "term", "left"), [(5, 1, 2), (7, 2, 0), (7, 1, 3), (4, 1, 3), (8, 2, 3)])
def test_report_counts_for_exactly_the_entry_that_is_there(index: int, term: int, left: int) -> None:
    unstable = Unstable(offset=5)
    unstable.truncate_and_append(entries(1, 1, 2, first=5))
    unstable.stable_to(index, term)
    assert len(unstable.entries) == left
    assert unstable.offset == 8 - left
    assert unstable.in_progress == unstable.offset


def test_snapshot_is_dropped_by_its_own_report_only() -> None:
    unstable = Unstable(offset=5)
    unstable.restore(Snapshot(SnapshotMetadata(index=9, term=3)))
    assert (unstable.offset, unstable.last_entry) == (10, None)
    assert unstable.has_next
    assert unstable.next_snapshot() is not None
    unstable.accept_in_progress()
    assert unstable.next_snapshot() is None
    assert not unstable.has_next
    unstable.stable_snapshot_to(8)
    assert unstable.snapshot is not None
    unstable.stable_snapshot_to(9)
    assert unstable.snapshot is None


def test_gaps_and_slices_out_of_range_are_found_out() -> None:
    unstable = Unstable(offset=5)
    with pytest.raises(RaftInvariantError, match="entry 7 leaves a gap after 4"):
        unstable.truncate_and_append(entries(1, first=7))
    with pytest.raises(RaftInvariantError, match=r"unstable entries \[4, 6\) lie outside \[5, 5\)"):
        unstable.slice(4, 6)


# -- sizes ----------------------------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_encoding() -> None:
    assert [varint_size(value) for value in (0, 127, 128, 2**63)] == [1, 1, 2, 10]
    assert entry_size(Entry(1, 300)) == 4 + 1 + 2
    assert entry_size(Entry(1, 1, data=b"x" * 200)) == 6 + 1 + 2 + 200
    many = [Entry(1, 1), Entry(1, 2, data=b"abc")]
    assert entries_size(many) == 6 + 11
    assert payload_size(many) == 3


def test_prefix_within_a_limit_has_one_entry_at_least() -> None:
    many = entries(1, 1, 1, first=1)
    assert [len(limit_size(many, limit)) for limit in (0, 6, 12, 17, 18, NO_LIMIT)] == [1, 1, 2, 2, 3, 3]
    assert limit_size([], 0) == []
