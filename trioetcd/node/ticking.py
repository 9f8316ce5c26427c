"""The clock of the core: one tick every heartbeat interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from trioetcd.log import Logger

_PEERS_SECONDS: Final = 5.0
_PEERS_TO_WAIT_FOR: Final = 2
_LOOK_SECONDS: Final = 0.05


async def tick_loop(
    *,
    tick: Callable[[], None],
    tick_seconds: float,
    note_late: Callable[[], None],
    log: Logger,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Tick until cancelled; `note_late` is called when it was more than two ticks' time since the last.

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
            note_late()


async def hasten_first_election(
    *,
    tick: Callable[[], None],
    election_ticks: int,
    is_lone: Callable[[], bool],
    active_peers: Callable[[], int],
    enabled: bool,
) -> None:
    """Let most of the first election timeout pass at once (`--initial-election-tick-advance`, etcd's `adjustTicks`).

    A lone member has nobody to wait for. One of several waits until two peers are connected, so that a leader that is
    there has its say, and gives up after the time in which they should have been. To be called when the configuration
    that the log knows is applied: before, ticks count for nothing.
    """
    if not enabled:
        return
    if is_lone():
        ticks = election_ticks - 1
    else:
        ticks = election_ticks - 2
        with trio.move_on_after(_PEERS_SECONDS) as scope:
            while active_peers() < _PEERS_TO_WAIT_FOR:  # noqa: ASYNC110 # for a moment, once
                await trio.sleep(_LOOK_SECONDS)
        if scope.cancelled_caught:
            return
    for _ in range(ticks):
        tick()
