"""HashKV in slices, between writes; beside a real etcd see test_store_beside_etcd."""

from __future__ import annotations

import pytest

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.storage.mvcc.hash import KvHasher
from trioetcd.storage.requests import Proposal, RaftRequest


def do(machine: StateMachine, *ops: object) -> None:
    index = machine.applied.index + 1
    machine.apply([Committed(index, 1, Proposal(index, tuple(RaftRequest(op) for op in ops)))])


@pytest.fixture
def machine() -> StateMachine:
    machine = StateMachine.open(engine=MemoryEngine())
    do(machine, *(m.PutRequest(key=b"k%d" % (number % 3), value=b"v") for number in range(20)))
    do(machine, m.DeleteRangeRequest(key=b"k1"), m.CompactionRequest(revision=10))
    return machine


def test_writes_between_slices_do_no_harm(machine: StateMachine) -> None:
    expected = machine.store.hash_kv()
    hasher = KvHasher(machine.store)
    while hasher.step(3):
        do(machine, m.PutRequest(key=b"k0"), m.PutRequest(key=b"new"))
        machine.store.compaction.step(1)
    assert hasher.result() == expected
    assert machine.store.hash_kv(expected.revision) == expected
    assert machine.store.hash_kv() != expected


def test_what_is_compacted_meanwhile_is_not_hashed(machine: StateMachine) -> None:
    hasher = KvHasher(machine.store, 15)
    hasher.step(1)
    do(machine, m.CompactionRequest(revision=16))
    with pytest.raises(ApiError) as caught:
        hasher.step(1)
    assert caught.value == ApiError.of(ErrorKind.COMPACTED)


@pytest.mark.parametrize(("revision", "kind"), [(9, ErrorKind.COMPACTED), (99, ErrorKind.FUTURE_REV)])
def test_revisions_that_cannot_be_hashed(machine: StateMachine, revision: int, kind: ErrorKind) -> None:
    with pytest.raises(ApiError) as caught:
        machine.store.hash_kv(revision)
    assert caught.value == ApiError.of(kind)
