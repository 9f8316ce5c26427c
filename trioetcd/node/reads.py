"""Linearizable reads: one ReadIndex round serves everyone who asks while the round before it runs (thesis 6.4).

A round asks the core for an index under an id of its own. A retry has a new id: an answer to an old one may have been
given by a leader that is none any more, and taking it was how stale reads came about (etcd issue 20418).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import trio

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.gathering import gather
from trioetcd.node.leadership import Leadership
from trioetcd.node.parking import Parked, Signal, Waiter
from trioetcd.raft.types import ReadState

RETRY_SECONDS: Final = 0.5


class ReadIndexSource(Protocol):
    """Where an index comes from: the core."""

    def read_index(self, context: bytes) -> None:
        """Ask; a `ReadState` with the same context follows, or nothing."""


class AppliedIndex(Protocol):
    """How far the state machine is."""

    @property
    def applied_index(self) -> int:
        """The index of the last applied entry."""
        ...

    @property
    def applied_term(self) -> int:
        """The term of that entry."""
        ...

    async def wait_applied(self, index: int) -> None:
        """Return once `index` is applied."""


class LoneVoter(Protocol):
    """Whether this member alone decides."""

    @property
    def is_lone_voter(self) -> bool:
        """It is the only voter."""
        ...


class ReadsStatus(NamedTuple):
    """What the read loop has done so far."""

    rounds: int
    failed: int
    late_answers: int  # to an attempt that was given up, and asked again


class ReadLoop:
    """Gives reads the right to look at the local state."""

    def __init__(
        self,
        *,
        core: ReadIndexSource,
        work: Signal,
        leadership: Leadership,
        applied: AppliedIndex,
        next_id: Callable[[], int],
        membership: LoneVoter,
        timeout_seconds: float,
    ) -> None:
        self._core = core
        self._work = work
        self._leadership = leadership
        self._applied = applied
        self._next_id = next_id
        self._membership = membership
        self._timeout_seconds = timeout_seconds
        self._asked = Signal()
        self._waiting: list[Waiter] = []
        self._expected: bytes | None = None
        self._answer = Parked()
        self._rounds = 0
        self._failed = 0
        self._late_answers = 0

    @property
    def may_read_now(self) -> bool:
        """Whether the local state is linearizable as it stands.

        So it is for a leader that is the only voter: whatever was acknowledged was applied here first, and nobody
        else can acknowledge anything. After a start that holds once an entry of its own term is applied: all that an
        earlier run acknowledged is before that one.
        """
        leadership = self._leadership
        return leadership.is_leader and self._applied.applied_term == leadership.term and self._membership.is_lone_voter

    async def wait_linearizable(self) -> None:
        """Return once a read of the local state is linearizable.

        Raises `ApiError`: leader changed, request timed out. Cancelling it leaves the round to the others in it.
        """
        parked = Parked()
        self.join(parked)
        await parked.wait()

    def join(self, waiter: Waiter) -> None:
        """Wake `waiter` once a read of the local state is linearizable, or fail it as `wait_linearizable` fails."""
        self._waiting.append(waiter)
        self._asked.set()

    def take(self, read_states: Sequence[ReadState]) -> None:
        """Take the core's answers; only the one that the running round expects counts."""
        for state in read_states:
            if state.request_context == self._expected:
                self._expected = None
                self._answer.wake(state.index)
            else:
                self._late_answers += 1

    def note_leader(self) -> None:
        """Another leader is known: the one that was asked does not answer any more, or must not be believed.

        Called before `take` for the same round. A read that had a leader fails at once, as etcd's does, so that its
        client asks again; one that had none goes on with the new one.
        """
        if self._expected is not None:
            self._expected = None
            self._answer.wake(None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run rounds, one at a time, until cancelled."""
        task_status.started()
        while True:
            await self._asked.wait()
            await gather(self._waiting)
            served, self._waiting = self._waiting, []
            if not served:
                continue  # whoever asked was gathered into the round before
            self._rounds += 1
            try:
                with trio.fail_after(self._timeout_seconds):
                    await self._applied.wait_applied(await self._read_index())
            except trio.TooSlowError:
                self._fail(served, ApiError.of(ErrorKind.TIMEOUT))
            except ApiError as error:
                self._fail(served, error)
            else:
                for waiter in served:
                    waiter.wake(None)

    def _fail(self, served: Sequence[Waiter], error: ApiError) -> None:
        self._failed += 1
        for waiter in served:
            waiter.fail(ApiError(error.code, error.message))  # each its own: being raised, it takes a traceback along

    async def _read_index(self) -> int:
        """Ask until an answer comes; raises `ApiError` when the leader changes meanwhile."""
        had_leader = self._leadership.has_leader
        changes_seen = self._leadership.changes_seen
        while True:
            self._expected = self._next_id().to_bytes(8, "big")
            self._answer = Parked()
            self._core.read_index(self._expected)
            self._work.set()
            index = None
            with trio.move_on_after(RETRY_SECONDS):
                index = await self._answer.wait()
            if isinstance(index, int):
                return index
            self._expected = None
            if had_leader and self._leadership.changes_seen != changes_seen:
                raise ApiError.of(ErrorKind.LEADER_CHANGED)

    def status(self) -> ReadsStatus:
        """What the loop has done so far."""
        return ReadsStatus(self._rounds, self._failed, self._late_answers)
