"""A trioetcd member whose `kill -9` is a power failure: what was not synced is lost with the process.

    python -m bench.page_cache FLAGS

The write-ahead log and snapshots are written through a file system that holds bytes back in this process until they
are synced. LevelDB writes past it; so after the kill, `bench.durability` cuts its log to what was synced. Names stay:
what a disk may do to those is simulated in memory (`trioetcd.testing.disk`).
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import trio

from trioetcd.cli.production import production_environment
from trioetcd.cli.serve import serve_member
from trioetcd.config import MemberConfig
from trioetcd.log import Logger
from trioetcd.nursery_server import run_member
from trioetcd.storage.filesystem import File, OsFileSystem

Write: TypeAlias = tuple[int, bytes]


class WriteBackFileSystem(OsFileSystem):
    """The operating system's, with a page cache that dies with the process."""

    def __init__(self) -> None:
        self.unsynced: defaultdict[Path, list[Write]] = defaultdict(list)

    def create(self, path: Path, /) -> WriteBackFile:  # type: ignore[override] # another `File`, as the protocol allows
        """See `FileSystem`."""
        return WriteBackFile(super().create(path), self.unsynced[path])

    def open(self, path: Path, /) -> WriteBackFile:  # type: ignore[override] # as above
        """See `FileSystem`."""
        return WriteBackFile(super().open(path), self.unsynced[path])

    def rename(self, source: Path, target: Path, /) -> None:
        """See `FileSystem`."""
        super().rename(source, target)
        self.unsynced[target] = self.unsynced.pop(source, [])

    def unlink(self, path: Path, /) -> None:
        """See `FileSystem`."""
        super().unlink(path)
        self.unsynced.pop(path, None)


class WriteBackFile:
    """A `File` whose bytes reach the system when they are synced."""

    def __init__(self, file: File, unsynced: list[Write]) -> None:
        self._file = file
        self._unsynced = unsynced

    def size(self) -> int:
        """See `File`."""
        return max([self._file.size(), *(offset + len(data) for offset, data in self._unsynced)])

    def read(self, offset: int, size: int, /) -> bytes:
        """See `File`."""
        size = max(0, min(size, self.size() - offset))
        found = bytearray(self._file.read(offset, size).ljust(size, b"\0"))
        for start, data in self._unsynced:
            first, last = max(start, offset), min(start + len(data), offset + size)
            if first < last:
                found[first - offset : last - offset] = data[first - start : last - start]
        return bytes(found)

    def write(self, offset: int, data: bytes, /) -> None:
        """See `File`."""
        self._unsynced.append((offset, bytes(data)))

    def begin_writing(self, _offset: int, _size: int, /) -> None:
        """See `File`: the disk that loses most has not begun when the process dies."""

    def preallocate(self, size: int, /) -> None:
        """See `File`."""
        self._file.preallocate(size)

    def sync(self) -> None:
        """See `File`."""
        for offset, data in self._unsynced:
            self._file.write(offset, data)
        self._unsynced.clear()
        self._file.sync()

    def close(self) -> None:
        """See `File`."""
        self._file.close()


async def run_with_page_cache(
    config: MemberConfig, *, log: Logger, stop: trio.Event, task_status: trio.TaskStatus[object]
) -> None:
    """The member as in production, but for its file system."""
    environment = replace(production_environment(config, log=log), filesystem=WriteBackFileSystem())
    await run_member(config, environment=environment, stop=stop, task_status=task_status)


def main() -> int:
    """The process: `--name=value` flags alone."""
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in sys.argv[1:])
    return serve_member(flags, os.environ, run=run_with_page_cache)


if __name__ == "__main__":
    sys.exit(main())
