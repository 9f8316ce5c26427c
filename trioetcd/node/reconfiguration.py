"""Changes of the membership on their way through the log: one at a time, proposed until there is an outcome.

The core lets one unapplied change into the log. A leader that has one turns the next into an empty entry, and what a
follower passes on may be lost: in neither case is the proposer told, and etcd's members then wait until their client
gives up. Here a change without an outcome is proposed again. That is safe because apply makes one copy of a change at
the most, and none once the members have changed otherwise (`storage.members`); then it is proposed on the new ground.

There is no deadline: a change may wait for a quorum for ever, and its caller decides how long it wants to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import trio

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.parking import Parked, Signal
from trioetcd.raft.types import ConfChange, ConfChangeType
from trioetcd.storage.machine import Outcome, StateMachine
from trioetcd.storage.members import SUPERSEDED, Member, encode_member_context

Admit = Callable[[], None]
"""Raises `ApiError` for a change that must not be proposed as the members are now."""


class _Waiting:
    """A change that a task waits for. `ground` is the membership for which it was admitted, and on which it builds."""

    __slots__ = ("admit", "ground", "id", "is_promote", "is_proposed", "kind", "member", "parked", "ticks_left")

    def __init__(self, number: int, kind: ConfChangeType, member: Member, admit: Admit, *, is_promote: bool) -> None:
        self.id = number
        self.kind = kind
        self.member = member
        self.admit = admit
        self.is_promote = is_promote
        self.parked = Parked()
        self.ground = 0
        self.is_proposed = False
        self.ticks_left = 0


class Reconfiguration:
    """The changes that wait to be made. `is_due` says that `take` may have one to propose; the driver looks at it.

    `repeat_ticks` is how long a copy may take until the next is proposed.
    """

    def __init__(self, *, machine: StateMachine, next_id: Callable[[], int], work: Signal, repeat_ticks: int) -> None:
        self.is_due = False
        self._machine = machine
        self._next_id = next_id
        self._work = work
        self._repeat_ticks = repeat_ticks
        # The first is in the log, or on its way there. A task waits for each, so there are no more than connections.
        self._waiting: deque[_Waiting] = deque()

    async def change(
        self, kind: ConfChangeType, member: Member, *, admit: Admit = lambda: None, is_promote: bool = False
    ) -> tuple[Member, ...]:
        """Make a change; return the members as they are right after it.

        Raises `ApiError`: what `admit` raises now, or when the members have changed before this change was made; the
        refusal that apply decided on; a timeout when a received snapshot hides the outcome. Waits for a quorum for
        ever; after cancellation the change may still be made.
        """
        admit()
        waiting = _Waiting(self._next_id(), kind, member, admit, is_promote=is_promote)
        waiting.ground = self._machine.members.changed_at
        self._waiting.append(waiting)
        self._look()
        try:
            return cast("tuple[Member, ...]", await waiting.parked.wait())
        except trio.Cancelled:
            with suppress(ValueError):  # `take` was here before
                self._waiting.remove(waiting)
            raise

    # -- for the driver

    def take(self) -> ConfChange | None:
        """The change to propose now, if there is one."""
        self.is_due = False
        while self._waiting and not self._stands(self._waiting[0]):
            self._waiting.popleft()
        if not self._waiting:
            return None
        first = self._waiting[0]
        if first.is_proposed and first.ticks_left > 0:
            return None
        first.is_proposed, first.ticks_left = True, self._repeat_ticks
        context = encode_member_context(
            first.member, is_promote=first.is_promote, proposal_id=first.id, based_on=first.ground
        )
        return ConfChange(first.kind, first.member.id, context)

    def _stands(self, first: _Waiting) -> bool:
        """Whether a change is still asked for, and still admitted where the members have changed under it."""
        ground = self._machine.members.changed_at
        if first.ground != ground and first.parked.is_waiting:
            first.ground, first.is_proposed = ground, False
            try:
                first.admit()
            except ApiError as refusal:
                first.parked.fail(refusal)
        return first.parked.is_waiting

    def tick(self) -> None:
        """Let time pass for the copy that is on its way."""
        if self._waiting:
            self._waiting[0].ticks_left -= 1
            self.is_due = True

    # -- for the applier

    def applied(self, outcome: Outcome) -> None:
        """A change of anyone was applied, or refused: wake whoever waits for it, and go on with what waits."""
        (result,) = outcome.results
        if self._waiting and self._waiting[0].id == outcome.proposal_id and result != SUPERSEDED:
            first = self._waiting.popleft()
            if isinstance(result, ApiError):
                first.parked.fail(result)
            else:
                first.parked.wake(result)
        self._look()

    def installed(self) -> None:
        """A snapshot was installed: it does not tell whether the change that was on its way is part of it."""
        if self._waiting and self._waiting[0].is_proposed:
            self._waiting.popleft().parked.fail(ApiError.of(ErrorKind.TIMEOUT))
        self._look()

    def _look(self) -> None:
        if self._waiting:
            self.is_due = True
            self._work.set()
