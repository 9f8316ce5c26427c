"""What is done with LevelDB's files beside LevelDB, so that those who wait for the engine or the log wait less.

- **A growing table.** LevelDB writes a whole table, of 58 MB when its memory table was full, into the page cache, and
  syncs it at the end in one go. Until the disk has all of that, syncs of the raft log wait behind it. So the disk is
  made to begin while the table grows, with a few MB at a time.
- **Removed files.** LevelDB (1.22, which plyvel carries) removes files while it holds the lock that every read and
  write needs, and with a file's last name and descriptor its pages go from the page cache: 20 ms for each 60 MB. So a
  descriptor of each new file is held, and closed some time later in a thread.

Measured with 64 connections that put values which do not compress, in seconds in which a table was written or files
were removed: the p99 was 17 to 44 ms with neither, 8 to 49 with the first alone, 5 to 15 with both.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from trioetcd.storage.write_back import begin_writing

LOOK_BYTES: Final = 128 << 10  # 20 to 40 ms under load; a look takes 2 us, and 0.4 ms while a table grows
HELD_MAX: Final = 32
"""How many files are held, the newest: they are what is merged, and so removed, first."""


class LiveFiles:
    """The files of an open database, as far as they are looked at.

    There is no clock: those who wait are those who write, so looks count by what is written. Whatever the system
    refuses here is passed over, as all of it only spares time; LevelDB meets it as well, and says so.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._unlooked_bytes = 0
        self._changed_ns = -1  # the directory's time when it was listed
        self._is_settled = False  # it was listed twice at that time
        self._names: list[str] = []
        self._held: dict[str, int] = {}  # descriptors by name
        self._gone: list[int] = []  # descriptors of removed files
        self._table = ""  # the newest, and how much of it the disk has begun with
        self._begun_bytes = 0

    def note_written(self, size_bytes: int) -> None:
        """Count a batch that the database took; look after every 128 KiB."""
        self._unlooked_bytes += size_bytes
        if self._unlooked_bytes >= LOOK_BYTES:
            self._unlooked_bytes = 0
            with suppress(OSError):
                self._list()
                self._begin_table()

    def let_go(self) -> Callable[[], None] | None:
        """Let go of files that were removed: what is left to do, to be run in a thread; None if there is nothing."""
        try:
            self._list()
        except OSError:  # No descriptors are left, say: then those held here are the first to go.
            self._names, self._is_settled = [], False
        for name in self._held.keys() - set(self._names):
            self._gone.append(self._held.pop(name))
        return self._close_gone if self._gone else None

    def close(self) -> None:
        """Close all that is held."""
        self._gone += self._held.values()
        self._held.clear()
        self._close_gone()

    def _list(self) -> None:
        """Find the newest files, if the directory changed, and hold those that are not held yet.

        The system's time of files goes by ticks of 4 ms. What changed in the same tick, but after the listing, is found
        by the next.
        """
        changed_ns = self._directory.stat().st_mtime_ns
        if self._is_settled and changed_ns == self._changed_ns:
            return
        self._is_settled, self._changed_ns = changed_ns == self._changed_ns, changed_ns
        files = [name for name in os.listdir(self._directory) if name.endswith((".ldb", ".log"))]  # noqa: PTH208 # names
        files.sort()
        files.sort(key=len)  # Numbers have six digits, and more when these run out.
        self._names = files[-HELD_MAX:]
        for name in self._names:
            if name not in self._held:
                with suppress(FileNotFoundError):  # LevelDB removes files in its own thread.
                    self._held[name] = os.open(self._directory / name, os.O_RDONLY | os.O_CLOEXEC)

    def _begin_table(self) -> None:
        newest = next((name for name in reversed(self._names) if name.endswith(".ldb")), "")
        if newest not in self._held:
            return
        if newest != self._table:
            self._table, self._begun_bytes = newest, 0
        descriptor = self._held[newest]
        size = os.fstat(descriptor).st_size
        if size > self._begun_bytes:
            begin_writing(descriptor, self._begun_bytes, size - self._begun_bytes)
            self._begun_bytes = size

    def _close_gone(self) -> None:
        while self._gone:
            with suppress(OSError, IndexError):  # Another thread may have taken the last.
                os.close(self._gone.pop())
