"""Purging: every 30 seconds the oldest log segments and snapshot files beyond the number to keep are removed.

What may go is decided by those who own the files: a segment that a restart or a slow follower still needs is not
released, and so not removed, however many there are (etcd: server/etcdserver/server.go, purgeFile).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from trioetcd.log import Logger

INTERVAL_SECONDS: Final = 30.0


class Purgeable(Protocol):
    """Files of one kind, oldest first. Others may be added while a thread removes."""

    def purge(self, max_files: int) -> list[str]:
        """Remove the oldest that are released until `max_files` are left; the names of those removed."""
        ...


class Purge:
    """Removes old segments and snapshot files. A maximum of 0 keeps all, as etcd's flags say.

    In a thread: a file's pages go from the page cache with it, 20 ms for a segment.
    """

    def __init__(
        self,
        *,
        wal: Purgeable,
        snapshots: Purgeable,
        max_wals: int,
        max_snapshots: int,
        run_blocking: Callable[[Callable[[], None]], Awaitable[None]],
        log: Logger,
    ) -> None:
        self._kinds = (("write-ahead log", wal, max_wals), ("snapshot", snapshots, max_snapshots))
        self._run_blocking = run_blocking
        self._log = log

    async def purge_once(self) -> None:
        """Remove what is over, now. What the file system refuses is raised: the directory is not ours then."""
        for kind, files, files_max in self._kinds:
            if files_max > 0 and (removed := await self._purge(files, files_max)):
                self._log.info("purged old files", kind=kind, removed=removed, kept_at_most=files_max)

    async def _purge(self, files: Purgeable, files_max: int) -> list[str]:
        removed: list[str] = []
        await self._run_blocking(lambda: removed.extend(files.purge(files_max)))
        return removed

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Purge every 30 seconds until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(INTERVAL_SECONDS)
            await self.purge_once()
