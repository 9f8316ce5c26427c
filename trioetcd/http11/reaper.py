"""Deadlines and departures of many connections, looked after by one task instead of a cancel scope a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from trioetcd.http11.server import Phase, ServerConnection

_SWEEP_SECONDS: Final = 0.25


class Reaper:
    """Ends connections whose client is too slow with a head, idle for too long, or gone while its request waits.

    It looks at every guarded connection each `sweep_seconds`, so a limit is kept to within one sweep. A request
    that is still with its handler at the second look gets a task that notices when the client closes: requests
    that are answered at once never pay for it.
    """

    def __init__(self, *, sweep_seconds: float = _SWEEP_SECONDS) -> None:
        self._sweep_seconds = sweep_seconds
        self._guards: set[_Guard] = set()
        self._work = trio.Event()

    @contextmanager
    def guard(self, connection: ServerConnection) -> Iterator[trio.CancelScope]:
        """Look after a connection for the length of the block, which is cancelled when the connection must end."""
        with trio.CancelScope() as scope:
            guard = _Guard(connection, scope)
            self._guards.add(guard)
            self._work.set()
            try:
                yield scope
            finally:
                self._guards.discard(guard)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Sweep while there is something to look at, until cancelled."""
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                if not self._guards:
                    self._work = trio.Event()
                    await self._work.wait()
                await trio.sleep(self._sweep_seconds)
                self._sweep(nursery, trio.current_time())

    def _sweep(self, nursery: trio.Nursery, now: float) -> None:
        for guard in self._guards:
            connection = guard.connection
            phase = connection.phase
            if phase is not guard.phase or connection.requests_served != guard.requests_served:
                guard.phase = phase
                guard.requests_served = connection.requests_served
                guard.since = now
            elif phase is Phase.BUSY:
                if connection.waits_unwatched:
                    connection.watch_departure(nursery, guard.scope)
            elif now - guard.since >= guard.seconds_max(phase):
                guard.scope.cancel()


class _Guard:
    """What was seen of a connection at the last sweep, and since when it is so."""

    __slots__ = ("connection", "phase", "requests_served", "scope", "since")

    def __init__(self, connection: ServerConnection, scope: trio.CancelScope) -> None:
        self.connection = connection
        self.scope = scope
        self.phase = connection.phase
        self.requests_served = connection.requests_served
        self.since = trio.current_time()

    def seconds_max(self, phase: Phase) -> float:
        limits = self.connection.limits
        return limits.idle_seconds if phase is Phase.IDLE else limits.head_seconds
