"""What is done with LevelDB's files beside LevelDB, so that those who wait for the engine or the log wait less.

- **A growing table.** LevelDB writes a whole table, of 58 MB when its memory table was full, into the page cache, and
  syncs it at the end in one go. Until the disk has all of that, syncs of the raft log wait behind it. So the disk is
  made to begin while the table grows, with a few MB at a time.
- **Removed files.** LevelDB (1.22, which plyvel carries) removes files while it holds the lock that every read and
  write needs, and with a file's last name and descriptor its pages go from the page cache: 20 ms for each 60 MB. So a
  descriptor of each new file is held, and closed some time later in a thread.

Measured with 64 connections that put values which do not compress, in seconds in which a table was written or files
were removed: the p99 was 20 to 60 ms with neither, 10 to 45 with the first alone, 6 to 13 with both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from trioetcd.storage.write_back import begin_writing

LOOK_BYTES: Final = 128 << 10  # 20 to 40 ms under load; a look takes 20 us, and 0.4 ms while a table grows
HELD_MAX: Final = 32
"""How many files are held, the newest: they are what is merged, and so removed, first."""


class LiveFiles:
    """The files of an open database, as far as they are looked at.

    There is no clock: those who wait are those who write, so looks count by what is written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unlooked_bytes = 0
        self._held: dict[str, int] = {}  # descriptors by name
        self._table = ""  # the newest, and how much of it the disk has begun with
        self._begun_bytes = 0

    def note_written(self, size_bytes: int) -> None:
        """Count a batch that the database took; look after every 128 KiB."""
        self._unlooked_bytes += size_bytes
        if self._unlooked_bytes >= LOOK_BYTES:
            self._unlooked_bytes = 0
            self._look()

    def let_go(self) -> Callable[[], None] | None:
        """Let go of files that were removed: what is left to do, to be run in a thread; None if there is nothing."""
        live = set(self._newest())
        gone = [self._held.pop(name) for name in list(self._held) if name not in live]
        return partial(_close, gone) if gone else None

    def close(self) -> None:
        """Close all that is held."""
        _close(self._held.values())
        self._held.clear()

    def _look(self) -> None:
        names = self._newest()
        for name in names:
            if name not in self._held:
                with suppress(FileNotFoundError):  # LevelDB removes files in its own thread.
                    self._held[name] = os.open(self._directory / name, os.O_RDONLY | os.O_CLOEXEC)
        table = next((name for name in reversed(names) if name.endswith(".ldb")), "")
        if table in self._held:
            self._begin_table(table)

    def _begin_table(self, name: str) -> None:
        if name != self._table:
            self._table, self._begun_bytes = name, 0
        size = os.fstat(self._held[name]).st_size
        if size > self._begun_bytes:
            begin_writing(self._held[name], self._begun_bytes, size - self._begun_bytes)
            self._begun_bytes = size

    def _newest(self) -> list[str]:
        """The newest tables and logs, in the order of their numbers; none if a swap has removed the directory."""
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 # names alone
        except FileNotFoundError:
            return []
        names = sorted(name for name in names if name.endswith((".ldb", ".log")))
        names.sort(key=len)  # Numbers have six digits, and more when these run out.
        return names[-HELD_MAX:]


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
