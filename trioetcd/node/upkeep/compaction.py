"""The removal of compacted history from the engine, in slices, so that requests go on in between."""

from __future__ import annotations

from typing import Final

import trio

from trioetcd.node.parking import Signal
from trioetcd.storage.machine import StateMachine

PAUSE_SECONDS: Final = 0.01  # etcd's default between batches of 1000 (--experimental-compaction-sleep-interval)


class Compactor:
    """Removes what compactions gave up, one slice at a time."""

    def __init__(self, *, machine: StateMachine) -> None:
        self._machine = machine
        self._scheduled = Signal()
        self._finished = trio.Event()

    def wake(self) -> None:
        """A compaction was applied, or the state was replaced."""
        self._scheduled.set()

    async def wait_compacted(self, revision: int) -> None:
        """Return once nothing before `revision` is left in the engine."""
        self.wake()
        while self._machine.store.compaction.finished_revision < revision:
            await self._finished.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Remove until cancelled; a removal cut short goes on after the next start."""
        task_status.started()
        self.wake()
        while True:
            await self._scheduled.wait()
            while self._machine.store.compaction.step():  # noqa: ASYNC110 # it paces work, it waits for nothing
                await trio.sleep(PAUSE_SECONDS)
            self._finished.set()
            self._finished = trio.Event()
