"""Purging: every 30 seconds the oldest log segments and snapshot files beyond the number to keep are removed.

What may go is decided by those who own the files: a segment that a restart or a slow follower still needs is not
released, and so not removed, however many there are (etcd: server/etcdserver/server.go, purgeFile).
"""

from __future__ import annotations

from typing import Final, Protocol

import trio

from trioetcd.log import Logger

INTERVAL_SECONDS: Final = 30.0


class Purgeable(Protocol):
    """Files of one kind, oldest first."""

    def purge(self, max_files: int) -> list[str]:
        """Remove the oldest that are released until `max_files` are left; the names of those removed."""
        ...


class Purge:
    """Removes old segments and snapshot files. A maximum of 0 keeps all, as etcd's flags say."""

    def __init__(self, *, wal: Purgeable, snapshots: Purgeable, max_wals: int, max_snapshots: int, log: Logger) -> None:
        self._kinds = (("write-ahead log", wal, max_wals), ("snapshot", snapshots, max_snapshots))
        self._log = log

    def purge_once(self) -> None:
        """Remove what is over, now. What the file system refuses is raised: the directory is not ours then."""
        for kind, files, files_max in self._kinds:
            if files_max > 0 and (removed := files.purge(files_max)):
                self._log.info("purged old files", kind=kind, removed=removed, kept_at_most=files_max)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Purge every 30 seconds until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(INTERVAL_SECONDS)
            self.purge_once()
