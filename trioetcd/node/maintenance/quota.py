"""The quota: how large the database may become, and the alarm that stops writes when it is that large.

    request --> admit: is there room for it? --> log --> apply, where the alarm alone decides --> note_applied: still?

Each member looks at its own database, so no two need to find the same, and nothing of it may decide what apply does.
What does is the alarm, NOSPACE with the ID of who raised it, which goes through the log like any request. It stands
until an operator takes it back; while there is no room, the next write raises it again.

The size is what the engine's files take on the disk. To look at them costs a microsecond a file, so a look is taken
only when enough was written since the last one to matter: a sixteenth of the room that was left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.log import Logger
from trioetcd.node.parking import Signal
from trioetcd.node.proposals import Proposals
from trioetcd.storage.growth import growth_bytes
from trioetcd.storage.internal_ops import AlarmRaised
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.requests import RaftRequest

QUOTA_BYTES_SUGGESTED_MAX: Final = 8 << 30
"""etcd's: above that a member warns."""

RETRY_SECONDS: Final = 1.0
_LOOK_BYTES_MIN: Final = 64 << 10
_ROOM_SHARE: Final = 16


class Quota:
    """Whether there is room, and who says so when there is none.

    Attributes:
        limit_bytes: the size that the database may have; None is any.
        is_tight: whether a request may come that does not fit. While it is False none needs to be asked about.
    """

    def __init__(
        self,
        *,
        machine: StateMachine,
        member_id: int,
        proposals: Proposals,
        limit_bytes: int | None,
        request_growth_bytes_max: int,
        log: Logger,
    ) -> None:
        self.limit_bytes = limit_bytes
        self.is_tight = False
        self._machine = machine
        self._member_id = member_id
        self._proposals = proposals
        self._request_growth_bytes_max = request_growth_bytes_max
        self._log = log
        self._exceeded = Signal()
        self._room_bytes = 0  # as of the last look, less what was written since
        self._next_look_room_bytes = 0
        if limit_bytes is not None:
            self._look(limit_bytes)
            if limit_bytes > QUOTA_BYTES_SUGGESTED_MAX:
                log.warning(
                    "the quota of the database is above the suggested maximum",
                    quota_size_bytes=limit_bytes,
                    suggested_size_bytes_max=QUOTA_BYTES_SUGGESTED_MAX,
                )

    def _look(self, limit_bytes: int) -> None:
        room = self._room_bytes = limit_bytes - self._machine.size_bytes()
        self._next_look_room_bytes = room - max(_LOOK_BYTES_MIN, room // _ROOM_SHARE)
        self.is_tight = self._next_look_room_bytes <= self._request_growth_bytes_max

    async def admit(self, op: object) -> None:
        """Refuse a request that does not fit: NO_SPACE, once the alarm stands. To be asked while `is_tight`."""
        growth = growth_bytes(op)
        if not growth or self.limit_bytes is None or growth < self._room_bytes:
            return
        self._look(self.limit_bytes)
        if growth < self._room_bytes:
            return
        await self._raise_alarm()
        raise ApiError.of(ErrorKind.NO_SPACE)

    def note_applied(self, run: Sequence[Committed], size_bytes: int) -> None:
        """Entries of that size were applied; if there is no room any more for what they wrote, the alarm is raised."""
        if self.limit_bytes is None:
            return
        self._room_bytes -= size_bytes
        if self._room_bytes > self._next_look_room_bytes:
            return
        self._look(self.limit_bytes)
        if self._room_bytes <= 0 and not self._is_raised and any(map(_grows, run)):
            self._exceeded.set()

    @property
    def _is_raised(self) -> bool:
        return self._machine.alarms.is_raised(self._member_id, m.AlarmType.NOSPACE)

    async def _raise_alarm(self) -> bool:
        """Raise the alarm through the log unless it stands; whether it stands then."""
        if self._is_raised:
            return True
        self._log.warning(
            "the database exceeds its quota: raising the alarm NOSPACE", quota_size_bytes=self.limit_bytes
        )
        alarm = AlarmRaised(member_id=self._member_id, alarm=int(m.AlarmType.NOSPACE))
        try:
            await self._proposals.submit(RaftRequest(alarm), bounded=False)
        except ApiError as error:
            self._log.warning("the alarm was not raised", error=error.message)
            return False
        return True

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Raise the alarm when what was applied does not fit, until cancelled."""
        task_status.started()
        while True:
            await self._exceeded.wait()
            while self._is_full() and not await self._raise_alarm():  # noqa: ASYNC110 # it tries again, it waits for nothing
                await trio.sleep(RETRY_SECONDS)

    def _is_full(self) -> bool:
        """Whether there is no room now: between two attempts somebody may have made some."""
        if self.limit_bytes is None:
            return False
        self._look(self.limit_bytes)
        return self._room_bytes <= 0


def _grows(entry: Committed) -> bool:
    return entry.proposal is not None and any(growth_bytes(request.op) for request in entry.proposal.requests)
