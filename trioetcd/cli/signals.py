"""Signals: the first SIGTERM or SIGINT stops the member in order, a second ends the process at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Final

import trio

from trioetcd.log import Logger

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


async def stop_on_signals(
    stop: Callable[[], None],
    *,
    log: Logger,
    end_process: Callable[[int], object] = os._exit,  # the public name of "end without cleaning up"
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Call `stop` at the first signal; end the process with 128 + its number at the second. Runs until cancelled.

    `started()` is called once signals arrive here instead of at Python's own handlers.
    """
    stopping = False
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            if stopping:
                log.warning("received a second signal; ending at once", signal=name)
                end_process(128 + number)
            else:
                log.info("received signal; shutting down", signal=name)
                stopping = True
                stop()
