from __future__ import annotations

import os
import signal
from functools import partial

import pytest
import trio

from trioetcd.cli.signals import stop_on_signals
from trioetcd.log import null_logger


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_first_signal_stops_and_the_second_ends(number: signal.Signals) -> None:
    stopped, ended = trio.Event(), trio.Event()
    codes: list[int] = []

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(partial(stop_on_signals, stopped.set, log=null_logger(), end_process=end))
        os.kill(os.getpid(), number)
        await stopped.wait()
        assert codes == []
        os.kill(os.getpid(), signal.SIGTERM)
        await ended.wait()
        nursery.cancel_scope.cancel()
    assert codes == [128 + signal.SIGTERM]
