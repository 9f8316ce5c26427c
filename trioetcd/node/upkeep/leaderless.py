"""Streams that asked for a leader end when there is none for long: their member may be cut off, and would stay silent.

A client that sends `hasleader` is told "no leader" after three election timeouts and goes on at another member (etcd's
`monitorLeader`, server/etcdserver/api/v3rpc/interceptor.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from trioetcd.node.leadership import Leadership

ELECTION_TIMEOUTS: Final = 3


class LeaderlessStreams:
    """Knows the streams that asked for a leader, and ends them when there is none."""

    def __init__(self, *, leadership: Leadership, election_timeout_seconds: float) -> None:
        self._leadership = leadership
        self._patience_seconds = ELECTION_TIMEOUTS * election_timeout_seconds
        self._ends: dict[object, Callable[[], None]] = {}

    @contextmanager
    def following(self, end: Callable[[], None]) -> Iterator[None]:
        """Have `end` called once there is no leader for long, within the block."""
        key = object()
        self._ends[key] = end
        try:
            yield
        finally:
            del self._ends[key]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch over the leadership until cancelled."""
        task_status.started()
        while True:
            changed = self._leadership.changed
            if not self._leadership.has_leader:
                with trio.move_on_after(self._patience_seconds):
                    await changed.wait()
                    continue
                for end in self._ends.values():
                    end()
            await changed.wait()
