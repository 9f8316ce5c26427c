"""The clock of the core: one tick every heartbeat interval."""

from __future__ import annotations

from collections.abc import Callable

import trio

from trioetcd.log import Logger


async def tick_loop(
    *,
    tick: Callable[[], None],
    tick_seconds: float,
    log: Logger,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Tick until cancelled.

    Ticks that were missed are not made up for: a member that was paused must not rush into an election that its peers
    see no reason for.
    """
    next_tick = trio.current_time() + tick_seconds
    task_status.started()
    while True:
        await trio.sleep_until(next_tick)
        tick()
        now = trio.current_time()
        next_tick += tick_seconds
        if now > next_tick + tick_seconds:
            log.warning(
                "the event loop was held up", behind_seconds=round(now - next_tick, 3), tick_seconds=tick_seconds
            )
            next_tick = now + tick_seconds
