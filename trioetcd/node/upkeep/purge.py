"""Purging: every 30 seconds the oldest log segments and snapshot files beyond the number to keep are removed.

What may go is decided by those who own the files: a segment that a restart or a slow follower still needs is not
released, and so not removed, however many there are (etcd: server/etcdserver/server.go, purgeFile).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol

import trio

from trioetcd.log import Logger

INTERVAL_SECONDS: Final = 30.0


class Segments(Protocol):
    """The segments of a log."""

    def give_up(self, max_files: int) -> list[str]:
        """Take the oldest that are released out of the log, until `max_files` are left: their names."""
        ...

    def remove(self, names: Sequence[str]) -> None:
        """Remove what was given up; may run in a thread."""


class Snapshots(Protocol):
    """Snapshot files, oldest first."""

    def purge(self, max_files: int) -> list[str]:
        """Remove the oldest until `max_files` are left; the names of those removed."""
        ...


class Purge:
    """Removes old segments and snapshot files. A maximum of 0 keeps all, as etcd's flags say.

    Segments go in a thread: the system takes 20 ms for the pages of each.
    """

    def __init__(
        self,
        *,
        wal: Segments,
        snapshots: Snapshots,
        max_wals: int,
        max_snapshots: int,
        run_blocking: Callable[[Callable[[], None]], Awaitable[None]],
        log: Logger,
    ) -> None:
        self._wal = wal
        self._snapshots = snapshots
        self._max_wals = max_wals
        self._max_snapshots = max_snapshots
        self._run_blocking = run_blocking
        self._log = log

    async def purge_once(self) -> None:
        """Remove what is over, now. What the file system refuses is raised: the directory is not ours then."""
        if self._max_wals > 0 and (names := self._wal.give_up(self._max_wals)):
            await self._run_blocking(partial(self._wal.remove, names))
            self._note("write-ahead log", names, self._max_wals)
        if self._max_snapshots > 0 and (names := self._snapshots.purge(self._max_snapshots)):
            self._note("snapshot", names, self._max_snapshots)

    def _note(self, kind: str, removed: Sequence[str], kept_at_most: int) -> None:
        self._log.info("purged old files", kind=kind, removed=removed, kept_at_most=kept_at_most)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Purge every 30 seconds until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(INTERVAL_SECONDS)
            await self.purge_once()
