"""What each request adds to the counts: the same as to the metrics of etcd 3.5.1, which was asked."""

from __future__ import annotations

import pytest

from trioetcd.api import messages as m
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.storage.mvcc.txn import read_txn
from trioetcd.storage.requests import Proposal, RaftRequest


def run(machine: StateMachine, *ops: object) -> None:
    index = machine.applied.index + 1
    machine.apply([Committed(index, 1, Proposal(index, tuple(RaftRequest(op) for op in ops)))])


def counted(machine: StateMachine) -> tuple[int, int, int, int, int]:
    counts = machine.counts
    return counts.ranges, counts.puts, counts.deletes, counts.txns, counts.put_bytes


@pytest.fixture
def machine() -> StateMachine:
    """A machine with the key `a`, of value `xxy`."""
    machine = StateMachine.open(engine=MemoryEngine())
    run(machine, m.PutRequest(b"a", b"xxy"))
    return machine


def put(key: bytes = b"c", *, prev_kv: bool = False) -> m.RequestOp:
    return m.RequestOp(request_put=m.PutRequest(key, b"1", prev_kv=prev_kv))


def get(key: bytes = b"c") -> m.RequestOp:
    return m.RequestOp(request_range=m.RangeRequest(key))


def delete(key: bytes = b"a", *, prev_kv: bool = False) -> m.RequestOp:
    return m.RequestOp(request_delete_range=m.DeleteRangeRequest(key, prev_kv=prev_kv))


def txn(*ops: m.RequestOp, guards: int = 0) -> m.TxnRequest:
    guard = m.Compare(target=m.CompareTarget.VERSION, key=b"a", version=1)
    return m.TxnRequest(compare=[guard] * guards, success=list(ops))


CASES: list[tuple[object, tuple[int, int, int, int, int]]] = [
    (m.PutRequest(b"c", b"12"), (0, 1, 0, 0, 3)),
    (m.PutRequest(b"a", b"xxy", prev_kv=True), (1, 1, 0, 1, 4)),
    (m.PutRequest(b"a", ignore_value=True), (1, 1, 0, 1, 4)),
    (m.PutRequest(b"c", lease=99), (0, 0, 0, 0, 0)),
    (m.DeleteRangeRequest(b"z"), (0, 0, 1, 0, 0)),
    (m.DeleteRangeRequest(b"a", b"z"), (0, 0, 1, 0, 0)),
    (m.DeleteRangeRequest(b"a", prev_kv=True), (1, 0, 1, 1, 0)),
    (txn(put(), guards=1), (1, 1, 0, 0, 2)),
    (txn(put(), guards=2), (2, 1, 0, 1, 2)),
    (txn(put(), put(b"d"), get(), delete()), (1, 2, 1, 1, 4)),
    (txn(put(b"a", prev_kv=True)), (1, 1, 0, 1, 2)),
    (txn(delete(prev_kv=True)), (1, 0, 1, 1, 0)),
    (txn(m.RequestOp(request_txn=txn(put()))), (0, 1, 0, 0, 2)),
    (txn(), (0, 0, 0, 0, 0)),
]


@pytest.mark.parametrize(("op", "expected"), CASES)
def test_a_request_counts_as_in_etcd(machine: StateMachine, op: object, expected: tuple[int, ...]) -> None:
    before = counted(machine)
    run(machine, op)
    assert tuple(now - then for now, then in zip(counted(machine), before, strict=True)) == expected


def test_guards_and_ranges_of_a_transaction_that_reads_are_one(machine: StateMachine) -> None:
    read_txn(machine.store, txn(get(), guards=1))
    assert counted(machine) == (2, 1, 0, 1, 4)
    read_txn(machine.store, txn(get()))
    assert counted(machine) == (3, 1, 0, 1, 4)


def test_the_end_of_a_lease_deletes_its_keys_one_by_one(machine: StateMachine) -> None:
    run(machine, m.LeaseGrantRequest(60, 7), m.PutRequest(b"l", lease=7), m.PutRequest(b"m", lease=7))
    run(machine, m.LeaseRevokeRequest(7))
    assert counted(machine) == (0, 3, 2, 1, 6)


def test_counts_outlive_the_state(machine: StateMachine) -> None:
    machine.reload(MemoryEngine())
    run(machine, m.PutRequest(b"c"))
    assert counted(machine) == (0, 2, 0, 0, 5)


def test_removals_of_a_compaction_are_counted(machine: StateMachine) -> None:
    run(machine, m.PutRequest(b"a"), m.PutRequest(b"a"))
    run(machine, m.CompactionRequest(revision=machine.store.revision))
    while machine.store.compaction.step():
        pass
    assert machine.counts.compacted_keys == 2


def test_each_write_of_a_batch_is_timed(machine: StateMachine) -> None:
    observed: list[float] = []
    times = iter((1.0, 1.5, 7.0, 9.0))
    machine.time_writes(clock=lambda: next(times), observe=observed.append)
    run(machine, m.PutRequest(b"a"), m.PutRequest(b"b"))
    run(machine, m.PutRequest(b"a"))
    assert observed == [0.5, 2.0]
