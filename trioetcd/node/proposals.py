"""Writes on their way through the log: from the task that asks to the batch that is proposed, and back.

A task hands its request over and parks once. The driver's next round takes everything that waits and proposes it as
one entry; when that entry is applied, every task in it is woken with its own result. So the cost of a round (one
entry, one WAL record, one sync, one engine batch) is shared by all that came in the meantime.

Deadlines are not a cancel scope each: requests wait in the order they came, so a look at the oldest at every tick
finds all that are overdue, and costs a waiting request nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.api.proto_codec import encoded_size
from trioetcd.node.gathering import gather
from trioetcd.node.look_out import NEAR_SECONDS
from trioetcd.node.parking import Parked, Signal, Waiter
from trioetcd.storage.requests import (
    PROPOSAL_BYTES_MAX,
    Proposal,
    RaftRequest,
    decode_proposal,
    encode_request,
    join_proposal,
    proposal_id,
)

BATCH_BYTES_MAX: Final = 1 << 20  # etcd's MaxSizePerMsg: what one append message holds
BATCH_REQUESTS_MAX: Final = 1024
NOBODY: Final = 0
"""No batch has this id."""

DROPPED: Final = (Code.UNKNOWN, "raft proposal dropped")
"""The core refused: leadership is being transferred, or too much is uncommitted (etcd-raft's ErrProposalDropped)."""
WAITING_REQUESTS_MAX: Final = 5000  # etcd refuses when so many entries are committed but not applied

_FEW: Final = 3  # below what `gathering` takes for a burst
_ANSWER_WEIGHT: Final = 0.05  # of the newest batch in the average of how soon they are answered

# What etcd's InternalRaftRequest adds to the request it holds: a header of 11 bytes (one less where the ID in it is
# small) with tag and length of 3, and the request's own tag and length of 4. `--max-request-bytes` is about that form.
_ENVELOPE_BYTES: Final = 18


class ProposalsStatus(NamedTuple):
    """How many requests are where, and how many failed since the start."""

    waiting: int
    in_flight: int
    failed: int


class _Waiting:
    """A request whose result `waiter` waits for. `encoded` is what the entry will hold of it."""

    __slots__ = ("encoded", "request", "submitted_at", "waiter")

    def __init__(self, request: RaftRequest, waiter: Waiter, submitted_at: float) -> None:
        self.request = request
        self.encoded = encode_request(request)
        self.submitted_at = submitted_at
        self.waiter = waiter


class Batch(NamedTuple):
    """Requests that become one entry, and the entry's data."""

    id: int
    data: bytes
    taken: tuple[_Waiting, ...]


class Proposals:
    """The requests that wait to be proposed, and those that are proposed and not yet applied."""

    def __init__(
        self,
        *,
        next_id: Callable[[], int],
        work: Signal,
        clock: Callable[[], float],
        timeout_seconds: float,
        request_bytes_max: int,
        explain_timeout: Callable[[float], ApiError],
    ) -> None:
        self._next_id = next_id
        self._work = work
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._request_bytes_max = request_bytes_max
        self._explain_timeout = explain_timeout
        self._waiting: deque[_Waiting] = deque()
        self._in_flight: OrderedDict[int, Batch] = OrderedDict()
        self._failed = 0
        self._answer_seconds = 0.0  # an average

    async def submit(self, request: RaftRequest, *, bounded: bool = True) -> object:
        """Replicate and apply a request; return its response.

        Raises `ApiError`: the refusal that apply decided on, a request that is too large, too many at once, or a
        timeout that names its cause. After a timeout, or after cancellation, the request may still be applied.
        `bounded=False` is for the few requests of the member itself that must not starve when clients are too many.
        """
        parked = Parked()
        self.enqueue(request, parked, bounded=bounded)
        return await parked.wait()

    def enqueue(self, request: RaftRequest, waiter: Waiter, *, bounded: bool = True) -> None:
        """As `submit`, for a waiter that gets the result, or the error; what is refused at once is raised."""
        if bounded and len(self._waiting) >= WAITING_REQUESTS_MAX:
            raise ApiError.of(ErrorKind.REQUEST_TOO_MANY_REQUESTS)
        waiting = _Waiting(request, waiter, self._clock())
        self._check_size(waiting)
        self._waiting.append(waiting)
        self._work.set()

    def _check_size(self, waiting: _Waiting) -> None:
        """Refuse what is larger than `--max-request-bytes`; the exact size is computed only when it may be."""
        if len(waiting.encoded) < self._request_bytes_max // 2:
            return
        size_bytes = encoded_size(waiting.request.op) + _ENVELOPE_BYTES
        if size_bytes > self._request_bytes_max or len(waiting.encoded) > PROPOSAL_BYTES_MAX:
            raise ApiError.of(ErrorKind.REQUEST_TOO_LARGE)

    @property
    def any_in_flight(self) -> bool:
        """Whether anything was proposed that is not applied yet."""
        return bool(self._in_flight)

    @property
    def are_answered_soon(self) -> bool:
        """Whether the last batches were applied so soon after they came that the next is worth looking out for."""
        return self._answer_seconds < NEAR_SECONDS

    @property
    def few_in_flight(self) -> bool:
        """Whether some requests are in flight but no burst is: few, and none waits, which may be the first of more."""
        in_flight = self._in_flight.values()
        if not in_flight or self._waiting or len(in_flight) > _FEW:
            return False
        return sum([len(batch.taken) for batch in in_flight]) <= _FEW

    async def gather(self) -> None:
        """Let a burst that is being read join what waits."""
        await gather(self._waiting)

    def take_batch(self) -> Batch | None:
        """Turn what waits into the next entry, as much as one holds; None when nothing waits.

        What is cancelled by now is left out.
        """
        while self._waiting:
            taken = self._take()
            if taken:
                batch_id = self._next_id()
                batch = Batch(batch_id, join_proposal(batch_id, [one.encoded for one in taken]), taken)
                self._in_flight[batch_id] = batch
                return batch
        return None

    def _take(self) -> tuple[_Waiting, ...]:
        taken: list[_Waiting] = []
        size_bytes = 0
        while self._waiting and len(taken) < BATCH_REQUESTS_MAX:
            one = self._waiting[0]
            size_bytes += len(one.encoded)
            if taken and size_bytes > BATCH_BYTES_MAX:
                break
            self._waiting.popleft()
            if one.waiter.is_waiting:
                taken.append(one)
            else:
                self._failed += 1  # as etcd counts those whose clients went away, or set a deadline that passed
        return tuple(taken)

    def refuse(self, batch: Batch) -> None:
        """The core did not take the batch: tell everyone in it."""
        for one in self._in_flight.pop(batch.id).taken:
            self._fail(one, ApiError(*DROPPED))

    def proposal_of(self, data: bytes) -> Proposal:
        """What an entry holds: as it was proposed, if that was here and is still waited for, else decoded.

        The data must be the same, not the id alone: a clock that was set back before a restart can give an id again,
        and applying one entry's requests for another's would part this member's state from all others'. What is
        decoded is nobody's here.
        """
        if not self._in_flight:
            return decode_proposal(data)._replace(id=NOBODY)
        oldest = next(iter(self._in_flight.values()))  # they are applied in their order
        batch = oldest if oldest.data is data else self._in_flight.get(proposal_id(data))
        if batch is None or batch.data != data:
            return decode_proposal(data)._replace(id=NOBODY)
        return Proposal(batch.id, tuple([one.request for one in batch.taken]))

    def resolve(self, batch_id: int, results: Sequence[object]) -> None:
        """Wake everyone in an applied batch with their own result. A batch of another member is nobody's here."""
        batch = self._in_flight.pop(batch_id, None)
        if batch is None:
            return
        # What is late counts as only so late, as a disk is now and then.
        seconds = min(self._clock() - batch.taken[0].submitted_at, 2 * NEAR_SECONDS)
        self._answer_seconds += (seconds - self._answer_seconds) * _ANSWER_WEIGHT
        for one, result in zip(batch.taken, results, strict=True):
            if not one.waiter.is_waiting:
                self._failed += 1
            elif isinstance(result, ApiError):
                one.waiter.fail(result)
            else:
                one.waiter.wake(result)

    def expire(self) -> None:
        """Fail what has waited too long. The queues are in the order of submission: only their heads are looked at."""
        overdue = self._clock() - self._timeout_seconds
        while self._waiting and self._waiting[0].submitted_at <= overdue:
            self._fail(self._waiting.popleft(), ApiError.of(ErrorKind.PROPOSAL_DEADLINE))
        while self._in_flight:
            batch = next(iter(self._in_flight.values()))
            if batch.taken[-1].submitted_at > overdue:
                break
            del self._in_flight[batch.id]
            for one in batch.taken:
                self._fail(one, self._explain_timeout(one.submitted_at))

    def _fail(self, one: _Waiting, error: ApiError) -> None:
        self._failed += 1
        one.waiter.fail(error)

    def status(self) -> ProposalsStatus:
        """How many requests are where."""
        in_flight = sum(len(one.taken) for one in self._in_flight.values())
        return ProposalsStatus(len(self._waiting), in_flight, self._failed)
