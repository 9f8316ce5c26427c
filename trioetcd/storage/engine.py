"""The engine: an ordered map of bytes to bytes on disk, with atomic batches and consistent views.

`LevelEngine` is LevelDB, never with its defaults, which lose data without a word: a flipped bit in its log drops
batches from the middle and keeps later ones, a flipped bit in a table changes what is read, and a missing CURRENT
file makes an empty database. So checks are paranoid, checksums are verified on every read, and a database is created
only where the caller says that there is none (see `docs/ARCHITECTURE.md`, durability).

A batch is not durable when `write` returns: the raft log is the redo log, and the engine may lose its newest batches in
a crash as long as it loses them from the end. `leveldb_log.py` sees to that at `open`. `write(..., sync=True)` makes
this batch and all before it durable.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from trioetcd.storage.engine_protocol import Batch, Engine, Reader, View
from trioetcd.storage.filesystem import DIRECTORY_MODE, FILE_MODE, OsFileSystem
from trioetcd.storage.leveldb_log import CutLog, LevelDamage, cut_broken_logs, note_synced, sync_logs
from trioetcd.storage.live_files import LiveFiles
from trioetcd.storage.memory_engine import MemoryEngine

try:
    import plyvel
except ImportError:  # From Python 3.13 on the fork has the wheels; the interface is the same.
    import plyvel_next as plyvel

__all__ = [
    "Batch",
    "Engine",
    "EngineClosed",
    "EngineDamage",
    "EngineMissing",
    "LevelEngine",
    "LevelView",
    "MemoryEngine",
    "Reader",
    "View",
    "remove_engine",
    "restrict_modes",
]

# With the default 4 MiB, one batch in a hundred waits 1 ms and more; and what is no more in the buffer takes 2.5 us
# longer to read, as its block is verified each time. The large files that come of it are why `LiveFiles` is there.
WRITE_BUFFER_BYTES: Final = 64 << 20
_CACHE_BYTES: Final = 64 << 20
_TABLE_BYTES: Final = 8 << 20  # fewer, larger files than the default of 2 MiB
_DATA_SUFFIXES: Final = frozenset([".log", ".ldb", ".sst"])
_BLOOM_BITS: Final = 10  # 1 % false positives
MAX_OPEN_FILES: Final = 128
BLOCK_BYTES: Final = 4096  # what file systems give to files
_LAST: Final = b"\xff" * 16


class EngineDamage(Exception):
    """The database on disk is not what was written, or cannot be read or written. The member must stop."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"database {path} failed: {reason}. It is left as it is; check the disk, and if the files are damaged "
            "remove this member from the cluster and add it anew with an empty data directory"
        )
        self.path = path
        self.reason = reason


class EngineMissing(EngineDamage):
    """There is no database where one must be: it is never made anew in place of one that was lost."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "there is no database here (no CURRENT file), but there was one before")


class EngineClosed(Exception):
    """The database was closed under whoever was reading: another state took its place, or the member ends."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"database {path} was closed while it was read")


class LevelEngine:
    """An `Engine` in LevelDB. `cut` tells what a crash had left of its log and was cut off at `open`, for the log."""

    def __init__(self, *, path: Path, database: Any, cut: CutLog | None) -> None:
        self._path = path
        self._database = database
        self._failure: EngineDamage | None = None
        self._files = LiveFiles(path)
        self.cut = cut

    @classmethod
    def open(cls, path: Path, *, create: bool, max_open_files: int = MAX_OPEN_FILES) -> LevelEngine:
        """Open the database in the directory `path`; with `create`, one that is not there is made.

        So `create` is for a member that has no log yet: if a crash interrupted the creation it is begun anew, and a
        database that is there is opened, for the caller to see whether it holds anything. `EngineDamage` for what
        cannot be trusted, its `EngineMissing` for what was lost. The directory's names are durable on return.
        """
        is_new = create and _prepare_new(path)
        cut = None if is_new else _prepare_existing(path)
        database = _open_database(path, create=is_new, max_open_files=max_open_files)
        engine = cls(path=path, database=database, cut=cut)
        restrict_modes(path)
        fs = OsFileSystem()
        fs.sync_directory(path)
        fs.sync_directory(path.parent)
        return engine

    def get(self, key: bytes, /) -> bytes | None:
        """See `Engine`."""
        try:
            value: bytes | None = self._database.get(key, None, verify_checksums=True)
        except plyvel.Error as error:
            raise EngineDamage(self._path, str(error)) from error
        return value

    def range(self, start: bytes, end: bytes | None, /, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `Engine`."""
        return _iterate(self._path, self._database, start, end, reverse=reverse, fill_cache=True)

    def write(self, batch: Batch, /, *, sync: bool = False) -> None:
        """See `Engine`. After a failure every later write raises the same."""
        if self._failure is not None:
            raise self._failure
        try:
            changes = self._database.write_batch(sync=sync)
            put, delete = changes.put, changes.delete
            for key, value in batch:
                if value is None:
                    delete(key)
                else:
                    put(key, value)
            if sync:
                sync_logs(self._path)
            changes.write()
            if sync:
                note_synced(self._path)
        except (plyvel.Error, OSError) as error:
            self._failure = EngineDamage(self._path, str(error))
            raise self._failure from error
        self._files.note_written(changes.approximate_size())

    def view(self) -> LevelView:
        """See `Engine`."""
        return LevelView(path=self._path, snapshot=self._database.snapshot())

    def size_bytes(self) -> int:
        """See `Engine`: the blocks that its files fill; takes about 1 microsecond a file."""
        blocks = 0
        for file in self._path.iterdir():
            with suppress(FileNotFoundError):  # LevelDB removes files in its own thread.
                blocks += -(-file.stat().st_size // BLOCK_BYTES)
        return blocks * BLOCK_BYTES

    def compact(self, start: bytes | None = None, end: bytes | None = None, /) -> None:
        """See `Engine`. May run in a thread, beside reads and writes.

        LevelDB merges a level with the next, and leaves the last one that has anything as it is, though that is where a
        flush may have put what is garbage by now. So marks are written around the range, in a table of their own: they
        are what the last level is merged with, and go in that merge. They delete keys that there are none of.
        """
        try:
            self._database.compact_range(start=_LAST, stop=_LAST)  # flushes what is in memory, and no more
            marks = [self._unused_key(start or b""), self._unused_key(end or _LAST)]
            with self._database.write_batch() as changes:
                for mark in marks:
                    changes.delete(mark)
            self._database.compact_range(start=start, stop=marks[1])  # plyvel takes a stop of None for b""
        except plyvel.Error as error:
            raise EngineDamage(self._path, str(error)) from error

    def _unused_key(self, bound: bytes) -> bytes:
        """A key right behind a bound that is not there; the schema has none like it, as records have one length."""
        key = bound + b"\0"
        while self._database.get(key) is not None:
            key += b"\0"
        return key

    def let_go(self) -> Callable[[], None] | None:
        """See `Engine`."""
        return self._files.let_go()

    def close(self) -> None:
        """See `Engine`."""
        self._database.close()
        self._files.close()


class LevelView:
    """A `View` of a `LevelEngine`. Its ranges pass by the cache, since they are long and read once.

    A range raises `EngineClosed` when the engine is closed before its end.
    """

    def __init__(self, *, path: Path, snapshot: Any) -> None:
        self._path = path
        self._snapshot = snapshot

    def get(self, key: bytes, /) -> bytes | None:
        """See `Reader`."""
        try:
            value: bytes | None = self._snapshot.get(key, verify_checksums=True)
        except plyvel.Error as error:
            raise EngineDamage(self._path, str(error)) from error
        return value

    def range(self, start: bytes, end: bytes | None, /, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `Reader`."""
        return _iterate(self._path, self._snapshot, start, end, reverse=reverse, fill_cache=False)

    def close(self) -> None:
        """See `View`."""
        self._snapshot.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


def remove_engine(path: Path) -> None:
    """Remove a closed database with its directory, durably; nothing happens if there is none."""
    if path.exists():
        shutil.rmtree(path)
        OsFileSystem().sync_directory(path.parent)


def restrict_modes(path: Path) -> None:
    """Take group's and others' permissions from what LevelDB made; what it makes later follows the process's umask."""
    path.chmod(DIRECTORY_MODE)
    for file in path.iterdir():
        with suppress(FileNotFoundError):  # LevelDB removes files in its own thread.
            file.chmod(FILE_MODE)


def _prepare_existing(path: Path) -> CutLog | None:
    if not (path / "CURRENT").is_file():
        raise EngineMissing(path)
    try:
        return cut_broken_logs(path)
    except (LevelDamage, OSError) as error:
        raise EngineDamage(path, str(error)) from error


def _prepare_new(path: Path) -> bool:
    """Make room for a new database, and say whether there is room: not if there is one already."""
    if (path / "CURRENT").is_file():
        return False
    OsFileSystem().make_directory(path)
    left = [file for file in path.iterdir() if file.stat().st_size]
    if any(file.suffix in _DATA_SUFFIXES for file in left):
        raise EngineMissing(path)
    for file in left:  # A creation gives CURRENT its name last, and writes data only then.
        file.unlink()
    return True


def _open_database(path: Path, *, create: bool, max_open_files: int) -> Any:
    try:
        return plyvel.DB(
            str(path),
            create_if_missing=create,
            error_if_exists=create,
            paranoid_checks=True,
            write_buffer_size=WRITE_BUFFER_BYTES,
            max_file_size=_TABLE_BYTES,
            max_open_files=max_open_files,
            lru_cache_size=_CACHE_BYTES,
            bloom_filter_bits=_BLOOM_BITS,
        )
    except plyvel.Error as error:
        raise EngineDamage(path, str(error)) from error


def _iterate(
    path: Path, source: Any, start: bytes, end: bytes | None, *, reverse: bool, fill_cache: bool
) -> Iterator[tuple[bytes, bytes]]:
    if end is not None and start >= end:
        return
    try:
        # plyvel loses the empty key when it goes backwards to a start of b"", and takes None for the same.
        with source.iterator(
            start=start or None, stop=end, reverse=reverse, verify_checksums=True, fill_cache=fill_cache
        ) as pairs:
            yield from pairs
    except plyvel.Error as error:
        raise EngineDamage(path, str(error)) from error
    except RuntimeError as error:  # all that plyvel says of a database that is closed
        raise EngineClosed(path) from error
