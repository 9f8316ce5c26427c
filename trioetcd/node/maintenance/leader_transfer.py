"""MoveLeader: leadership goes to the member that an operator names."""

from __future__ import annotations

from typing import Final, Protocol

import trio

from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.node.leadership import Leadership
from trioetcd.storage.machine import StateMachine

_TOO_SLOW: Final = (Code.UNKNOWN, "etcdserver: request timed out, leader transfer took too long")
"""etcd has no code for it."""


class Transferring(Protocol):
    """What can ask the core to hand leadership over."""

    def transfer_leadership(self, member_id: int) -> None:
        """Ask for it; `Leadership.changed` tells when it happened."""


class LeaderTransfer:
    """Hands leadership over on request."""

    def __init__(
        self, *, machine: StateMachine, driver: Transferring, leadership: Leadership, timeout_seconds: float
    ) -> None:
        self._machine = machine
        self._driver = driver
        self._leadership = leadership
        self._timeout_seconds = timeout_seconds

    async def transfer(self, member_id: int) -> None:
        """Return once that member leads; at once if it does.

        Raises NOT_LEADER, BAD_LEADER_TRANSFEREE for who cannot lead, and a timeout when it does not come to lead. After
        that, and after a cancellation, it still may.
        """
        leadership = self._leadership
        if not leadership.is_leader:
            raise ApiError.of(ErrorKind.NOT_LEADER)
        member = self._machine.members.get(member_id)
        if member is None or member.is_learner:
            raise ApiError.of(ErrorKind.BAD_LEADER_TRANSFEREE)
        self._driver.transfer_leadership(member_id)
        with trio.move_on_after(self._timeout_seconds):
            while leadership.lead != member_id:
                await leadership.changed.wait()
            return
        raise ApiError(*_TOO_SLOW)
