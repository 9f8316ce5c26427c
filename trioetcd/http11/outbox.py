"""Answers of one turn leave together.

While many connections are served at once, each send wakes a client that then takes the processor from us, for one
answer. So answers that are made in the same turn of the scheduler are gathered, and sent one right after the other in
the next: the clients wake once. Measured with ranges at 64 connections on two cores: 33 instead of 38 microseconds of
CPU a request, of that 8 instead of 11 in the kernel.

One task sends for all. What a socket does not take at once, because its client does not read, is left to a task of its
own. A send that fails is not reported here: whoever reads from that connection finds it broken.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import trio


class Gathered(Protocol):
    """A stream that has something to be sent."""

    def flush(self) -> bool:
        """Send what is gathered; False when the socket did not take all."""
        ...

    def finish_sending(self) -> Awaitable[None]:
        """Send the rest, waiting while the socket is full."""
        ...


class Outbox:
    """The streams that have something to be sent; they are flushed by `run`."""

    def __init__(self) -> None:
        self._streams: list[Gathered] = []
        self._sender: trio.lowlevel.Task | None = None  # while it waits

    def add(self, stream: Gathered) -> None:
        """Flush this stream in the next turn."""
        self._streams.append(stream)
        if self._sender is not None:
            trio.lowlevel.reschedule(self._sender)
            self._sender = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Send until cancelled."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await self._wait()
                streams, self._streams = self._streams, []
                for stream in streams:
                    if not stream.flush():
                        nursery.start_soon(stream.finish_sending)

    async def _wait(self) -> None:
        if self._streams:
            await trio.lowlevel.checkpoint()
            return
        self._sender = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._sender = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
