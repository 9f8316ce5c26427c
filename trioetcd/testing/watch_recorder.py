"""What watchers were told and what really happened, taken from members of a cluster in memory."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final

import trio

from trioetcd.api import messages as m
from trioetcd.node.service.context import ANYONE
from trioetcd.node.service.watch import WatchSession
from trioetcd.testing.member import MemoryMember
from trioetcd.testing.watch_checks import WatchRecord, check_watch

_HISTORY_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.01


class WatchRecorder:
    """One watcher of a member's own watch service, recorded. Ends with its nursery."""

    def __init__(self, member: MemoryMember, request: m.WatchCreateRequest) -> None:
        self._opened: AbstractAsyncContextManager[WatchSession] = member.services.watch.open(ANYONE)
        self._request = request
        self.record = WatchRecord(request=request, created_revision=0)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Record until cancelled; `started()` when the watcher is created."""
        async with self._opened as session:
            session.handle(m.WatchRequest(create_request=self._request))
            created = await session.receive()
            self.record.created_revision = created.header.revision
            task_status.started()
            while True:
                message = await session.receive()
                self.record.responses.append(message.delivery.response(message.header))

    def has_reached(self, revision: int) -> bool:
        """Whether the watcher was told of this revision."""
        events = self.record.events()
        return bool(events) and revision_of(events[-1]) >= revision


def revision_of(event: m.Event) -> int:
    """The revision of the change."""
    assert event.kv is not None
    return event.kv.mod_revision


async def true_history(member: MemoryMember) -> list[m.Event]:
    """All changes that a member's store holds, in order."""
    async with trio.open_nursery() as nursery:
        watcher = WatchRecorder(
            member, m.WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=1, prev_kv=True)
        )
        await nursery.start(watcher.run)
        with trio.fail_after(_HISTORY_SECONDS):
            while not watcher.has_reached(member.parts.machine.store.revision):  # noqa: ASYNC110 # the clock jumps
                await trio.sleep(_LOOK_SECONDS)
        nursery.cancel_scope.cancel()
    return watcher.record.events()


async def what_was_told_wrong(watcher: WatchRecorder, member: MemoryMember) -> list[str]:
    """Every difference between what a watcher was told and what `member` says happened; an empty list if none."""
    return check_watch(watcher.record, await true_history(member))
