"""Files that the engine removed are let go in a thread: the system takes 20 ms for each 60 MB of their pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from trioetcd.storage.machine import StateMachine

INTERVAL_SECONDS: Final = 1.0


class RemovedFiles:
    """Lets go of what the engine holds of removed files, every second."""

    def __init__(self, *, machine: StateMachine, run_blocking: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        self._machine = machine
        self._run_blocking = run_blocking

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look every second until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(INTERVAL_SECONDS)
            if (close := self._machine.engine.let_go()) is not None:
                await self._run_blocking(close)
