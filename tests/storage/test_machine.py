"""The state machine: one write a batch, refusals that change nothing, leases, alarms, what survives a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.raft.types import ConfState
from trioetcd.storage.internal_ops import ClusterVersionSet, LeaseExpired, LeasesRemaining, MemberAttributes
from trioetcd.storage.machine import AppliedPosition, Committed, StateMachine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.storage.requests import Proposal, RaftRequest
from trioetcd.storage.schema import FORMER_POSITION, POSITION


class CountingEngine(MemoryEngine):
    """Knows what was written to it, and how."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[tuple[int, bool]] = []
        self.gets = 0

    def get(self, key: bytes, /) -> bytes | None:
        self.gets += 1
        return super().get(key)

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], /, *, sync: bool = False) -> None:
        self.writes.append((len(batch), sync))
        super().write(batch, sync=sync)


def entry(machine: StateMachine, *ops: object) -> Committed:
    index = machine.applied.index + 1
    return Committed(index, 1, Proposal(index, tuple(RaftRequest(op) for op in ops)))


def do(machine: StateMachine, *ops: object) -> list[object]:
    results: list[object] = []
    machine.apply([entry(machine, *ops)], tell=lambda _, found: results.extend(found))
    return results


def put(key: bytes, value: bytes = b"v", lease: int = 0) -> m.PutRequest:
    return m.PutRequest(key=key, value=value, lease=lease)


def revisions(results: Sequence[object]) -> list[int]:
    return [result.header.revision for result in results]  # type: ignore[attr-defined]  # responses have headers


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine()


@pytest.fixture
def machine(engine: CountingEngine) -> StateMachine:
    return StateMachine.open(engine=engine)


def of(kind: ErrorKind) -> ApiError:
    return ApiError.of(kind)


def test_a_batch_of_entries_is_one_write(machine: StateMachine, engine: CountingEngine) -> None:
    proposals = [Proposal(10, (RaftRequest(put(b"a")), RaftRequest(put(b"a")))), None, Proposal(12, ())]
    batch = [Committed(index, 1, proposal) for index, proposal in enumerate(proposals, 1)]
    told: dict[int, list[object]] = {}
    writes_when_told: list[int] = []

    def tell(proposal_id: int, results: Sequence[object]) -> None:
        told[proposal_id] = list(results)
        writes_when_told.append(len(engine.writes))

    machine.apply(batch, tell=tell)
    assert list(told) == [10, 12]
    assert revisions(told[10]) == [2, 3]
    assert told[12] == []
    assert writes_when_told == [0, 0], "whoever waits need not wait for the engine"
    assert engine.writes == [(3, False)]  # two versions, and the position
    assert machine.applied == AppliedPosition(3, 1, ConfState())


def test_what_the_log_may_still_lose_is_told_after_it_has_it(machine: StateMachine, engine: CountingEngine) -> None:
    order: list[object] = []

    def settle() -> None:
        order.append(("settled", machine.store.revision, len(engine.writes)))

    batch = [Committed(index, 1, Proposal(index, (RaftRequest(put(b"a")),))) for index in (1, 2)]
    machine.apply(batch, tell=lambda proposal_id, _: order.append(proposal_id), before_telling=settle)
    assert order == [("settled", 3, 0), 1, 2]


def test_a_state_that_the_log_lost_is_sealed(machine: StateMachine, engine: CountingEngine) -> None:
    do(machine, put(b"a", b"old"))
    before = len(engine.writes)
    told: list[int] = []

    def lose() -> None:
        raise OSError("the disk broke")

    with pytest.raises(OSError, match="the disk broke"):
        machine.apply([entry(machine, put(b"a", b"new"))], tell=lambda one, _: told.append(one), before_telling=lose)
    assert told == []
    assert len(engine.writes) == before
    looks: list[Callable[[], object]] = [
        lambda: machine.store.range(m.RangeRequest(key=b"a")),
        lambda: machine.leases.all,
        lambda: machine.alarms.any,
        lambda: machine.auth.enabled,
        lambda: machine.members.cluster_version,
        lambda: machine.watch_hub.store.revision,
        machine.digest,
        machine.durable_barrier,
        lambda: do(machine, put(b"a")),
        lambda: setattr(machine.store, "is_watched", True),
    ]
    for look in looks:
        with pytest.raises(OSError, match="the disk broke"):
            look()
    assert len(engine.writes) == before
    machine.close()
    assert StateMachine.open(engine=engine).store.range(m.RangeRequest(key=b"a")).kvs[0].value == b"old"


def test_a_state_that_a_defect_left_half_changed_is_sealed(machine: StateMachine, engine: CountingEngine) -> None:
    """The log may not have its entry yet, and then may never have it."""
    requests = (RaftRequest(put(b"a", b"new")), RaftRequest(object()))
    with pytest.raises(KeyError):
        machine.apply([Committed(1, 1, Proposal(1, requests))], before_telling=lambda: pytest.fail("it came so far"))
    for look in (lambda: machine.store.range(m.RangeRequest(key=b"a")), machine.durable_barrier):
        with pytest.raises(KeyError):
            look()
    assert engine.writes == []


def test_a_position_where_it_stood_formerly_moves_with_the_next_batch(engine: CountingEngine) -> None:
    machine = StateMachine.open(engine=engine)
    do(machine, put(b"a"))
    position = engine.get(POSITION)
    assert position is not None
    engine.write([(POSITION, None), (FORMER_POSITION, position)])
    machine = StateMachine.open(engine=engine)
    assert machine.applied == AppliedPosition(1, 1, ConfState())
    assert engine.get(POSITION) is None, "a start alone changes nothing"
    do(machine, put(b"b"))
    assert engine.get(FORMER_POSITION) is None
    assert StateMachine.open(engine=engine).applied == AppliedPosition(2, 1, ConfState())


def test_requests_of_one_batch_see_each_other(machine: StateMachine) -> None:
    get = m.TxnRequest(success=[m.RequestOp(request_range=m.RangeRequest(key=b"a"))])
    results = do(machine, put(b"a", b"1"), m.PutRequest(key=b"a", ignore_value=True), m.DeleteRangeRequest(b"a"), get)
    assert revisions(results) == [2, 3, 4, 4]
    assert machine.store.range(m.RangeRequest(key=b"a", revision=3)).kvs == [m.KeyValue(b"a", 2, 3, 2, b"1", 0)]


def test_entries_must_follow_each_other(machine: StateMachine) -> None:
    with pytest.raises(AssertionError, match="entry 2 of term 1 was given to apply after entry 0"):
        machine.apply([Committed(2, 1, None)])


def test_a_refused_transaction_changes_nothing(machine: StateMachine) -> None:
    digest = machine.digest()
    good = m.RequestOp(request_put=put(b"good"))
    for bad, kind in (
        (m.RequestOp(request_put=put(b"x", lease=77)), ErrorKind.LEASE_NOT_FOUND),
        (m.RequestOp(request_put=m.PutRequest(key=b"x", ignore_value=True)), ErrorKind.KEY_NOT_FOUND),
        (m.RequestOp(request_range=m.RangeRequest(key=b"x", revision=2)), ErrorKind.FUTURE_REV),
        (m.RequestOp(request_txn=m.TxnRequest(success=[m.RequestOp(request_put=put(b"x", lease=7))])),
         ErrorKind.LEASE_NOT_FOUND),
    ):  # fmt: skip
        assert do(machine, m.TxnRequest(success=[good, bad])) == [of(kind)]
    assert machine.digest() == digest
    assert machine.store.revision == 1


def test_a_put_that_keeps_what_its_own_transaction_deleted_is_refused(machine: StateMachine) -> None:
    do(machine, put(b"k"))
    ops = [
        m.RequestOp(request_delete_range=m.DeleteRangeRequest(key=b"a", range_end=b"\0")),
        m.RequestOp(request_put=m.PutRequest(key=b"k", ignore_value=True)),
    ]
    assert do(machine, m.TxnRequest(success=ops)) == [of(ErrorKind.KEY_NOT_FOUND)]
    assert revisions(do(machine, m.TxnRequest(success=ops[::-1]))) == [3]


def test_nested_guards_do_not_see_what_the_outer_branch_writes(machine: StateMachine) -> None:
    inner = m.TxnRequest(
        compare=[m.Compare(key=b"k", target=m.CompareTarget.VERSION, version=0)],
        success=[m.RequestOp(request_range=m.RangeRequest(key=b"k"))],
    )
    [response] = do(machine, m.TxnRequest(success=[m.RequestOp(request_put=put(b"k")), m.RequestOp(request_txn=inner)]))
    assert isinstance(response, m.TxnResponse)
    nested = response.responses[1].response_txn
    assert nested is not None
    assert nested.header == m.ResponseHeader()
    assert nested.succeeded
    assert nested.responses[0].response_range == m.RangeResponse(
        m.ResponseHeader(revision=2), [m.KeyValue(b"k", 2, 2, 1, b"v", 0)], False, 1
    )


def test_a_lease_takes_its_keys_with_it_in_one_revision(machine: StateMachine, engine: CountingEngine) -> None:
    assert do(machine, put(b"a", lease=5)) == [of(ErrorKind.LEASE_NOT_FOUND)]
    granted, *_ = do(machine, m.LeaseGrantRequest(ID=5, TTL=10), put(b"b", lease=5), put(b"a", lease=5))
    assert granted == m.LeaseGrantResponse(header=m.ResponseHeader(revision=1), ID=5, TTL=10)
    do(machine, put(b"c", lease=5), put(b"c"))  # attached, and detached by the next put
    do(machine, put(b"d", lease=5), m.DeleteRangeRequest(key=b"d"), put(b"d"))
    do(machine, m.PutRequest(key=b"a", value=b"2", ignore_lease=True))
    machine = StateMachine.open(engine=engine)
    lease = machine.leases.find(5)
    assert lease is not None
    assert set(lease.keys) == {b"a", b"b"}
    before = machine.store.revision
    assert revisions(do(machine, m.LeaseRevokeRequest(ID=5))) == [before + 1]
    told = machine.store.records(before + 1, before + 1)
    assert [raw[36:] for _, raw in told] == [b"a", b"b"]
    assert machine.store.range(m.RangeRequest(key=b"\0", range_end=b"\0", keys_only=True)).count == 2
    assert do(machine, m.LeaseRevokeRequest(ID=5)) == [of(ErrorKind.LEASE_NOT_FOUND)]


def test_what_leases_refuse(machine: StateMachine) -> None:
    do(machine, m.LeaseGrantRequest(ID=-5, TTL=10))
    assert do(
        machine,
        m.LeaseGrantRequest(ID=-5, TTL=10),
        m.LeaseGrantRequest(ID=0, TTL=10),
        m.LeaseGrantRequest(ID=6, TTL=9_000_000_001),
    ) == [of(ErrorKind.LEASE_EXIST), of(ErrorKind.LEASE_NOT_FOUND), of(ErrorKind.LEASE_TTL_TOO_LARGE)]


def test_leases_survive_with_ids_of_all_sizes(machine: StateMachine, engine: CountingEngine) -> None:
    ids = (-5, 1, 2**63 - 1, -(2**63))
    do(machine, *(m.LeaseGrantRequest(ID=one, TTL=60) for one in ids))
    checkpoints = [m.LeaseCheckpoint(ID=1, remaining_TTL=30), m.LeaseCheckpoint(ID=99, remaining_TTL=1)]
    do(machine, LeasesRemaining(term=machine.applied.term, checkpoints=checkpoints))
    again = StateMachine.open(engine=engine)
    assert set(again.leases.all) == set(ids)
    assert again.leases.all[1].remaining_ttl_seconds == 30
    assert again.digest() == machine.digest()


def test_grants_and_revocations_are_told(machine: StateMachine) -> None:
    told: list[tuple[str, int]] = []
    machine.leases.on_granted = lambda lease: told.append(("granted", lease.id))
    machine.leases.on_revoked = lambda lease: told.append(("revoked", lease.id))
    do(machine, m.LeaseGrantRequest(ID=5, TTL=10), m.LeaseRevokeRequest(ID=5))
    assert told == [("granted", 5), ("revoked", 5)]


def test_what_a_leader_says_of_time_holds_in_its_own_term(machine: StateMachine) -> None:
    do(machine, m.LeaseGrantRequest(ID=5, TTL=100), put(b"a", lease=5))
    before = machine.digest()
    half = [m.LeaseCheckpoint(ID=5, remaining_TTL=50)]
    for term in (0, 2):
        ops = (LeaseExpired(term=term, lease_id=5), LeasesRemaining(term=term, checkpoints=half))
        assert do(machine, *ops) == [of(ErrorKind.NOT_LEADER)] * 2
    assert machine.digest() == before
    do(machine, LeasesRemaining(term=1, checkpoints=half))
    assert machine.leases.all[5].remaining_ttl_seconds == 50
    assert revisions(do(machine, LeaseExpired(term=1, lease_id=5))) == [3]
    assert 5 not in machine.leases


def alarm(action: m.AlarmAction, kind: m.AlarmType, member_id: int = 0) -> m.AlarmRequest:
    return m.AlarmRequest(action=action, alarm=kind, memberID=member_id)


GET, ACTIVATE, DEACTIVATE = m.AlarmAction
NONE, NOSPACE, CORRUPT = m.AlarmType


def raised(result: object) -> list[tuple[int, int]]:
    assert isinstance(result, m.AlarmResponse)
    return [(one.memberID, one.alarm) for one in result.alarms]


def test_alarms_are_raised_listed_and_taken_back(machine: StateMachine, engine: CountingEngine) -> None:
    steps = [
        (alarm(ACTIVATE, NOSPACE), [(0, NOSPACE)]),
        (alarm(ACTIVATE, CORRUPT, 77), [(77, CORRUPT)]),
        (alarm(ACTIVATE, NONE), []),
        (alarm(GET, NONE), [(0, NOSPACE), (77, CORRUPT)]),
        (alarm(GET, CORRUPT), [(77, CORRUPT)]),
        (alarm(DEACTIVATE, CORRUPT), []),
        (alarm(DEACTIVATE, CORRUPT, 77), [(77, CORRUPT)]),
        (alarm(DEACTIVATE, CORRUPT, 77), []),
    ]
    for request, expected in steps:
        [result] = do(machine, request)
        assert raised(result) == expected
    again = StateMachine.open(engine=engine)
    assert again.alarms.no_space
    assert not again.alarms.corrupt


def test_a_full_cluster_grows_no_more(machine: StateMachine) -> None:
    do(machine, put(b"k"), m.LeaseGrantRequest(ID=1, TTL=9), alarm(ACTIVATE, NOSPACE))
    puts = [m.RequestOp(request_put=put(b"x"))]
    refused = [
        put(b"x"),
        m.LeaseGrantRequest(ID=2, TTL=9),
        m.TxnRequest(success=puts),
        m.TxnRequest(failure=puts),  # whichever branch it would have been
    ]
    assert do(machine, *refused) == [of(ErrorKind.NO_SPACE)] * len(refused)
    delete = m.DeleteRangeRequest(key=b"k")
    served = [delete, m.TxnRequest(success=[m.RequestOp(request_delete_range=delete)]), m.LeaseRevokeRequest(ID=1)]
    assert revisions(do(machine, *served, m.CompactionRequest(revision=3))) == [3, 3, 3, 3]


def test_a_full_cluster_is_asked_no_more_of_a_nested_put_than_by_etcd(machine: StateMachine) -> None:
    do(machine, alarm(ACTIVATE, NOSPACE))
    inner = m.TxnRequest(success=[m.RequestOp(request_put=put(b"x"))])
    [response] = do(machine, m.TxnRequest(success=[m.RequestOp(request_txn=inner)]))
    assert revisions([response]) == [2]


def test_a_corrupt_cluster_changes_no_more(machine: StateMachine) -> None:
    do(machine, put(b"k"), alarm(ACTIVATE, CORRUPT))
    refused = [
        put(b"x"),
        m.DeleteRangeRequest(key=b"k"),
        m.TxnRequest(),
        m.CompactionRequest(revision=1),
        m.LeaseGrantRequest(ID=2, TTL=9),
        m.LeaseRevokeRequest(ID=2),
    ]
    assert do(machine, *refused) == [of(ErrorKind.CORRUPT)] * len(refused)
    assert machine.store.range(m.RangeRequest(key=b"k")).count == 1


def test_members_tell_of_themselves(machine: StateMachine) -> None:
    assert do(machine, MemberAttributes(member_id=1, name="n"), ClusterVersionSet(version="3.5.0")) == [None, None]
    assert machine.members.cluster_version == "3.5.0"


def test_the_barrier_is_a_synced_write(machine: StateMachine, engine: CountingEngine) -> None:
    do(machine, put(b"k"))
    machine.durable_barrier()
    assert engine.writes[-1] == (1, True)


def test_a_view_is_of_one_position(machine: StateMachine) -> None:
    do(machine, put(b"k"))
    position, view = machine.view()
    do(machine, put(b"k", b"later"))
    with view:
        copy = MemoryEngine()
        copy.write(list(view.range(b"", None)))
    assert position.index == 1
    other = StateMachine.open(engine=copy)
    assert other.applied == position
    assert other.store.range(m.RangeRequest(key=b"k")).kvs[0].value == b"v"


def test_a_reloaded_machine_goes_on_where_the_engine_is(machine: StateMachine) -> None:
    ahead = StateMachine.open(engine=MemoryEngine())
    do(ahead, put(b"a"), put(b"b"))
    do(ahead, put(b"c"))
    machine.reload(ahead._engine)  # as when a snapshot is installed
    assert machine.applied == ahead.applied
    assert machine.digest() == ahead.digest()
    assert revisions(do(machine, put(b"d"))) == [5]


def test_who_follows_leases_follows_those_of_the_next_engine(machine: StateMachine) -> None:
    told: list[int] = []
    machine.leases.on_granted = lambda lease: told.append(lease.id)
    machine.reload(MemoryEngine())
    do(machine, m.LeaseGrantRequest(ID=5, TTL=10))
    assert told == [5]


def test_a_key_with_a_long_history_is_compacted_in_slices(machine: StateMachine, engine: CountingEngine) -> None:
    do(machine, *[put(b"k")] * 100)
    do(machine, m.CompactionRequest(revision=101))
    engine.writes.clear()
    while machine.store.compaction.step(30):
        pass
    assert [count for count, _ in engine.writes] == [30, 30, 30, 10]  # 99 revisions, and the marker
    assert len(list(machine.store.records(0, 101))) == 1


def test_an_interrupted_compaction_goes_on_after_a_restart(machine: StateMachine, engine: CountingEngine) -> None:
    for key in (b"a", b"b", b"c"):
        do(machine, put(key), put(key))
    do(machine, m.DeleteRangeRequest(key=b"a", range_end=b"\0"))
    do(machine, m.CompactionRequest(revision=8))
    assert machine.store.compaction.step(2)
    hash_before = machine.store.hash_kv()
    again = StateMachine.open(engine=engine)
    assert again.store.compaction.is_pending
    assert again.store.hash_kv() == hash_before
    while again.store.compaction.step(1):
        pass
    assert again.store.hash_kv() == hash_before
    assert again.store.revision == 8  # the tombstones at the compact revision are there; the rest is gone
    assert len(list(again.store.records(0, 8))) == 3
    assert StateMachine.open(engine=engine).store.revision == 8


def keys_and_values(machine: StateMachine, revision: int = 0) -> list[tuple[bytes, bytes]]:
    answer = machine.store.range(m.RangeRequest(key=b"a", range_end=b"z", revision=revision))
    return [(kv.key, kv.value) for kv in answer.kvs]


def test_what_ranges_read_before_is_never_out_of_date(machine: StateMachine, engine: CountingEngine) -> None:
    do(machine, put(b"a", b"1"), put(b"b", b"1"))  # revisions 2 and 3
    assert keys_and_values(machine) == keys_and_values(machine) == [(b"a", b"1"), (b"b", b"1")]
    do(machine, put(b"a", b"2"))
    assert keys_and_values(machine) == [(b"a", b"2"), (b"b", b"1")]
    assert keys_and_values(machine, revision=3) == [(b"a", b"1"), (b"b", b"1")]
    everything = m.RangeRequest(key=b"a", range_end=b"z")
    changed = [m.RequestOp(request_put=put(b"b", b"3")), m.RequestOp(request_range=everything)]
    (answer,) = do(machine, m.TxnRequest(success=changed))
    seen = answer.responses[1].response_range.kvs  # type: ignore[attr-defined] # of a transaction
    assert [(kv.key, kv.value) for kv in seen] == [(b"a", b"2"), (b"b", b"3")]
    do(machine, m.DeleteRangeRequest(key=b"a"), m.CompactionRequest(revision=5))
    assert keys_and_values(machine) == [(b"b", b"3")]
    with pytest.raises(ApiError, match="compacted"):
        keys_and_values(machine, revision=3)
    machine.reload(engine)
    assert keys_and_values(machine) == [(b"b", b"3")]


def test_a_range_asks_the_engine_once_for_each_version(machine: StateMachine, engine: CountingEngine) -> None:
    do(machine, put(b"a"), put(b"b"))
    keys_and_values(machine)
    asked = engine.gets
    keys_and_values(machine)
    assert engine.gets == asked
    do(machine, put(b"b", b"new"))
    keys_and_values(machine)
    assert engine.gets == asked + 1
