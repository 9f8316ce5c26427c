from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.parking import Signal
from trioetcd.node.proposals import (
    BATCH_BYTES_MAX,
    BATCH_REQUESTS_MAX,
    DROPPED,
    NOBODY,
    WAITING_REQUESTS_MAX,
    Batch,
    Proposals,
    ProposalsStatus,
)
from trioetcd.storage.requests import Proposal, RaftRequest, decode_proposal, encode_proposal

TIMEOUT_SECONDS = 7.0


def make_proposals(*, request_bytes_max: int = 1_572_864) -> Proposals:
    ids = count(1)
    return Proposals(
        next_id=lambda: next(ids),
        work=Signal(),
        clock=trio.current_time,
        timeout_seconds=TIMEOUT_SECONDS,
        request_bytes_max=request_bytes_max,
        explain_timeout=lambda _: ApiError.of(ErrorKind.TIMEOUT_DUE_TO_LEADER_FAIL),
    )


def put(key: bytes, value: bytes = b"") -> RaftRequest:
    return RaftRequest(m.PutRequest(key=key, value=value))


def batches_of(proposals: Proposals) -> list[Batch]:
    return list(iter(proposals.take_batch, None))


async def test_few_are_in_flight_while_no_burst_is_served() -> None:
    proposals = make_proposals()
    assert not proposals.few_in_flight
    assert not proposals.any_in_flight
    for _ in range(3):
        proposals.enqueue(put(b"k"), Held())
    assert not proposals.few_in_flight, "they are not proposed yet"
    assert proposals.take_batch() is not None
    assert proposals.few_in_flight
    proposals.enqueue(put(b"k"), Held())
    assert not proposals.few_in_flight, "one waits, and more may follow"
    assert proposals.take_batch() is not None
    assert not proposals.few_in_flight, "four are a burst"
    assert proposals.any_in_flight


async def test_answers_that_came_soon_make_the_next_worth_looking_out_for(autojump_clock: MockClock) -> None:
    proposals = make_proposals()
    assert proposals.are_answered_soon, "until it is known better"

    async def answer(seconds: float) -> None:
        waiter = Held()
        proposals.enqueue(put(b"k"), waiter)
        batch = proposals.take_batch()
        assert batch is not None
        await trio.sleep(seconds)
        waiter.is_waiting = False
        proposals.resolve(batch.id, [None])

    for _ in range(100):
        await answer(0.001)
    await answer(60)
    assert proposals.are_answered_soon, "one that is late does not matter"
    for _ in range(100):
        await answer(0.002)
    assert not proposals.are_answered_soon
    for _ in range(100):
        await answer(0.001)
    assert proposals.are_answered_soon


class Held:
    """A waiter that no task stands behind."""

    is_waiting = True

    def wake(self, value: object) -> None:
        raise AssertionError("nobody is told here")

    def fail(self, error: Exception) -> None:
        raise AssertionError("nothing fails here")


class Submissions:
    """Requests under way, and what became of each."""

    def __init__(self, proposals: Proposals, nursery: trio.Nursery) -> None:
        self._proposals = proposals
        self._nursery = nursery
        self.results: dict[bytes, object] = {}

    async def start(self, *requests: RaftRequest) -> None:
        for request in requests:
            self._nursery.start_soon(self._submit, request)
            await wait_all_tasks_blocked()

    async def _submit(self, request: RaftRequest) -> None:
        assert isinstance(request.op, m.PutRequest)
        try:
            self.results[request.op.key] = await self._proposals.submit(request)
        except ApiError as error:
            self.results[request.op.key] = error


@pytest.fixture
def submissions(nursery: trio.Nursery) -> Callable[[Proposals], Submissions]:
    return lambda proposals: Submissions(proposals, nursery)


async def test_all_that_waits_becomes_one_entry_and_each_gets_its_own_result(
    submissions: Callable[[Proposals], Submissions],
) -> None:
    proposals = make_proposals()
    under_way = submissions(proposals)
    await under_way.start(put(b"a"), put(b"b"), put(b"c"))
    assert proposals.status() == ProposalsStatus(waiting=3, in_flight=0, failed=0)

    (batch,) = batches_of(proposals)
    assert decode_proposal(batch.data) == proposals.proposal_of(batch.data)
    assert proposals.status() == ProposalsStatus(waiting=0, in_flight=3, failed=0)

    refusal = ApiError.of(ErrorKind.LEASE_NOT_FOUND)
    proposals.resolve(batch.id, ["first", refusal, "third"])
    await wait_all_tasks_blocked()
    assert under_way.results == {b"a": "first", b"b": refusal, b"c": "third"}
    assert proposals.proposal_of(batch.data).id == NOBODY


async def test_a_batch_is_bounded_in_bytes_and_in_requests(submissions: Callable[[Proposals], Submissions]) -> None:
    proposals = make_proposals()
    half = b"v" * (BATCH_BYTES_MAX * 2 // 5)
    await submissions(proposals).start(*(put(bytes([i]), half) for i in range(5)))
    sizes = [len(decode_proposal(batch.data).requests) for batch in batches_of(proposals)]
    assert sizes == [2, 2, 1]

    await submissions(proposals).start(*(put(b"%d" % i) for i in range(BATCH_REQUESTS_MAX + 1)))
    sizes = [len(decode_proposal(batch.data).requests) for batch in batches_of(proposals)]
    assert sizes == [BATCH_REQUESTS_MAX, 1]


async def test_a_cancelled_request_that_still_waits_is_not_proposed(nursery: trio.Nursery) -> None:
    proposals = make_proposals()
    with trio.move_on_after(0):
        await proposals.submit(put(b"a"))
    assert batches_of(proposals) == []
    assert proposals.status().failed == 1


async def test_a_result_for_someone_who_left_is_nobodys(submissions: Callable[[Proposals], Submissions]) -> None:
    proposals = make_proposals()
    batches = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(proposals.submit, put(b"a"))
        await wait_all_tasks_blocked()
        batches = batches_of(proposals)
        nursery.cancel_scope.cancel()
    proposals.resolve(batches[0].id, ["done"])
    proposals.resolve(4711, ["of another member"])


async def test_an_entry_with_the_id_of_another_is_taken_as_it_stands_in_the_log(
    submissions: Callable[[Proposals], Submissions],
) -> None:
    proposals = make_proposals()
    under_way = submissions(proposals)
    await under_way.start(put(b"now"))
    (batch,) = batches_of(proposals)
    before = Proposal(batch.id, (put(b"an earlier run's"), put(b"with its id")))
    found = proposals.proposal_of(encode_proposal(before))
    assert found.requests == before.requests
    proposals.resolve(found.id, ["not", "yours"])
    await wait_all_tasks_blocked()
    assert under_way.results == {}
    proposals.resolve(proposals.proposal_of(batch.data).id, ["yours"])
    await wait_all_tasks_blocked()
    assert under_way.results == {b"now": "yours"}


async def test_a_batch_is_found_behind_one_that_was_lost_and_by_a_copy_of_its_data(
    submissions: Callable[[Proposals], Submissions],
) -> None:
    proposals = make_proposals()
    under_way = submissions(proposals)
    found = []
    for key in (b"lost", b"copied", b"whole"):
        await under_way.start(put(key))
        (batch,) = batches_of(proposals)
        found.append(batch)
    _, copied, whole = found
    foreign = encode_proposal(Proposal(4711, (put(b"of another member"),)))
    assert proposals.proposal_of(foreign).id == NOBODY
    for batch, data in ((copied, bytes(bytearray(copied.data))), (whole, whole.data)):
        proposal = proposals.proposal_of(data)
        assert proposal == decode_proposal(data)
        proposals.resolve(proposal.id, [batch.id])
    await wait_all_tasks_blocked()
    assert under_way.results == {b"copied": copied.id, b"whole": whole.id}


async def test_a_batch_that_the_core_drops_is_refused_as_a_whole(
    submissions: Callable[[Proposals], Submissions],
) -> None:
    proposals = make_proposals()
    under_way = submissions(proposals)
    await under_way.start(put(b"a"), put(b"b"))
    (batch,) = batches_of(proposals)
    proposals.refuse(batch)
    await wait_all_tasks_blocked()
    assert under_way.results == {b"a": ApiError(*DROPPED), b"b": ApiError(*DROPPED)}
    assert under_way.results[b"a"] is not under_way.results[b"b"], "an error that is raised takes a traceback along"
    assert proposals.status().failed == 2


async def test_a_request_that_is_never_proposed_runs_into_its_deadline(
    submissions: Callable[[Proposals], Submissions], mock_clock: MockClock
) -> None:
    proposals = make_proposals()
    under_way = submissions(proposals)
    await under_way.start(put(b"a"))
    mock_clock.jump(TIMEOUT_SECONDS - 0.1)
    await under_way.start(put(b"b"))
    proposals.expire()
    assert under_way.results == {}
    mock_clock.jump(0.2)
    proposals.expire()
    await wait_all_tasks_blocked()
    assert under_way.results == {b"a": ApiError.of(ErrorKind.PROPOSAL_DEADLINE)}


async def test_a_request_that_is_not_committed_in_time_is_told_why(
    submissions: Callable[[Proposals], Submissions], mock_clock: MockClock
) -> None:
    proposals = make_proposals()
    under_way = submissions(proposals)
    await under_way.start(put(b"a"))
    (batch,) = batches_of(proposals)
    mock_clock.jump(TIMEOUT_SECONDS + 0.1)
    proposals.expire()
    await wait_all_tasks_blocked()
    assert under_way.results == {b"a": ApiError.of(ErrorKind.TIMEOUT_DUE_TO_LEADER_FAIL)}
    proposals.resolve(batch.id, ["late"])


async def test_too_many_waiting_requests_are_refused(submissions: Callable[[Proposals], Submissions]) -> None:
    proposals = make_proposals()
    async with trio.open_nursery() as nursery:
        for _ in range(WAITING_REQUESTS_MAX):
            nursery.start_soon(proposals.submit, put(b"a"))
        await wait_all_tasks_blocked()
        with pytest.raises(ApiError, match="too many requests"):
            await proposals.submit(put(b"b"))
        nursery.cancel_scope.cancel()


async def test_a_request_is_too_large_by_the_size_of_its_raft_form() -> None:
    proposals = make_proposals()
    with pytest.raises(ApiError, match="request is too large"):
        await proposals.submit(put(b"a", b"v" * 1_572_864))
    assert proposals.status().waiting == 0


async def test_a_request_that_no_record_of_the_log_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the log a request that sets nothing is ten times what it is in protobuf."""
    monkeypatch.setattr("trioetcd.node.proposals.PROPOSAL_BYTES_MAX", 1000)
    proposals = make_proposals(request_bytes_max=1000)
    empty = m.RequestOp(request_range=m.RangeRequest())
    with pytest.raises(ApiError, match="request is too large"):
        await proposals.submit(RaftRequest(m.TxnRequest(success=[empty] * 100)))
    assert proposals.status().waiting == 0
