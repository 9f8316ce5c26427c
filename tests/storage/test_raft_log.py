"""What the core reads of the log: the same as from its own model of one, whatever was done to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioetcd.raft.errors import Compacted, RaftInvariantError, SnapshotOutOfDate, Unavailable
from trioetcd.raft.storage import MemoryStorage
from trioetcd.raft.types import NO_LIMIT, ConfState, Entry, EntryType, HardState, Snapshot, SnapshotMetadata
from trioetcd.storage.raft_log import RaftLog, RaftLogStatus


def entries(first: int, last: int, term: int = 1) -> list[Entry]:
    return [Entry(term, index, EntryType.NORMAL, b"x" * 10) for index in range(first, last + 1)]


def test_a_restart_goes_on_behind_the_snapshot() -> None:
    voters = ConfState(voters=(1, 2, 3))
    log = RaftLog(
        hard_state=HardState(3, 1, 12), snapshot=SnapshotMetadata(voters, 10, 2), entries=entries(11, 13, term=3)
    )
    assert log.initial_state() == (HardState(3, 1, 12), voters)
    assert log.status() == RaftLogStatus(11, 13, 10, HardState(3, 1, 12))
    assert [log.term(index) for index in (10, 11, 13)] == [2, 3, 3]
    assert log.entries(11, 14, NO_LIMIT) == entries(11, 13, term=3)
    assert log.entries(11, 14, 1) == entries(11, 11, term=3)
    assert log.snapshot().metadata == SnapshotMetadata(voters, 10, 2)


def test_what_is_not_there_is_told_by_name() -> None:
    log = RaftLog(snapshot=SnapshotMetadata(ConfState(), 10, 2), entries=entries(11, 13))
    for ask in (lambda: log.term(9), lambda: log.entries(10, 12, NO_LIMIT), lambda: log.compact(10)):
        with pytest.raises(Compacted):
            ask()
    for ask in (lambda: log.term(14), lambda: log.compact(14), lambda: log.create_snapshot(14, ConfState())):
        with pytest.raises(Unavailable):
            ask()
    for ask in (lambda: log.entries(11, 15, NO_LIMIT), lambda: log.append(entries(15, 15))):
        with pytest.raises(RaftInvariantError):
            ask()
    with pytest.raises(SnapshotOutOfDate):
        log.create_snapshot(10, ConfState())


def test_snapshot_of_its_own_keeps_the_log_and_one_from_the_leader_replaces_it() -> None:
    log = RaftLog(entries=entries(1, 9))
    assert log.create_snapshot(5, ConfState((1,))) == SnapshotMetadata(ConfState((1,)), 5, 1)
    assert (log.first_index(), log.last_index()) == (1, 9)
    log.compact(3)
    assert (log.first_index(), log.term(3)) == (4, 1)
    log.apply_snapshot(Snapshot(SnapshotMetadata(ConfState((2,)), 7, 4)))
    assert (log.first_index(), log.last_index(), log.term(7)) == (8, 7, 4)
    with pytest.raises(SnapshotOutOfDate):
        log.apply_snapshot(Snapshot(SnapshotMetadata(ConfState((2,)), 7, 4)))


@given(st.lists(st.tuples(st.sampled_from(["append", "compact", "hard state"]), st.integers(1, 8), st.integers(0, 4))))
def test_it_agrees_with_the_cores_model(steps: list[tuple[str, int, int]]) -> None:
    log, model = RaftLog(), MemoryStorage()
    for term, (verb, n, count) in enumerate(steps, 1):
        for storage in (log, model):
            if verb == "append":
                first = min(n, storage.last_index() + 1)
                storage.append(entries(first, first + count - 1, term))
            elif verb == "hard state":
                storage.set_hard_state(HardState(term, n, count))
            elif storage.first_index() <= n <= storage.last_index():
                storage.compact(n)
        assert log.initial_state()[0] == model.initial_state()[0]
        assert (log.first_index(), log.last_index()) == (model.first_index(), model.last_index())
        bounds = (log.first_index(), log.last_index() + 1, 40)
        assert log.entries(*bounds) == model.entries(*bounds)
