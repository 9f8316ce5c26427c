"""What LevelDB leaves out of its promises about its own log, kept for it.

LevelDB appends each batch to a log file and, when its memory table is full, turns to a new one while the old table is
being written out. Three things about that do not suit a database whose newest batches must be lost from the end or
not at all:

- A synced write syncs the newest log file only. The one before it may still be needed, and may not be on the disk.
  `sync_logs` syncs all of them.
- After a crash, pages of a log that were not synced may be missing from its middle. Opened with paranoid checks the
  database refuses, although nothing that was promised is gone.
- A log that lost its end reads as one that ended there, and a newer log file is replayed behind it: batches are
  missing from the middle, and no check of LevelDB notices.

So before an open, `cut_broken_logs` walks the live log files, verifies every record and that the batches' sequence
numbers have no gap, and where that ends, cuts: the rest of that file, and all newer log files. The result is a prefix
of what was written. The `SYNCED` file, renewed after each synced write, says how far the prefix must reach; if it does
not, that is damage, and nothing is touched.

    SYNCED: number of the log file (8 bytes), its size then (8), CRC-32C of these (4), little-endian
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from trioetcd.storage.filesystem import OsFileSystem
from trioetcd.storage.leveldb_format import FIRST, FULL, LAST, Broken, log_number_of, read_parts
from trioetcd.storage.wal_record import crc32c

_BATCH: Final = struct.Struct("<QI")
_SYNCED: Final = struct.Struct("<QQ")
_SYNCED_NAME: Final = "SYNCED"


class LevelDamage(Exception):
    """What LevelDB had synced is not there any more, or not whole."""


class CutLog(NamedTuple):
    """What was cut off before an open: unsynced batches that a crash had broken, and those behind them."""

    file: Path
    offset: int
    size_bytes: int
    removed: tuple[str, ...]
    what: str


class _Position(NamedTuple):
    number: int
    offset: int


def sync_logs(directory: Path) -> None:
    """Sync every log file; to be called before a synced write, which itself syncs the newest one only."""
    for path in _log_files(directory).values():
        with suppress(FileNotFoundError):  # LevelDB removes in its own thread what its tables have, which it syncs.
            _sync_file(path)


def note_synced(directory: Path) -> None:
    """Note durably that all there is by now was synced; to be called after a synced write."""
    files = _log_files(directory)
    number = max(files)
    body = _SYNCED.pack(number, files[number].stat().st_size)
    fs = OsFileSystem()
    aside = directory / (_SYNCED_NAME + ".tmp")
    aside.unlink(missing_ok=True)
    file = fs.create(aside)
    try:
        file.write(0, body + struct.pack("<I", crc32c(0, body)))
        file.sync()
    finally:
        file.close()
    fs.rename(aside, directory / _SYNCED_NAME)
    fs.sync_directory(directory)


def cut_broken_logs(directory: Path) -> CutLog | None:
    """Cut the log files of a closed database to the prefix that is whole; None if they are whole.

    `LevelDamage` if the prefix does not hold all that was synced.
    """
    first_number = log_number_of(directory)
    if first_number is None:
        return None  # The manifest is not whole: LevelDB itself says so at the open.
    files = {number: path for number, path in _log_files(directory).items() if number >= first_number}
    synced = _read_synced(directory)
    if first_number and first_number not in files:
        raise LevelDamage(f"its log file {first_number:06d}.log is missing")
    sequence: int | None = None
    for number, path in files.items():
        data = path.read_bytes()
        end, sequence, what = _whole_prefix(data, sequence)
        if what is None:
            continue
        if _Position(number, end) < synced:
            raise LevelDamage(f"its log file {path.name} is damaged at offset {end}, which was synced: {what}")
        newer = [files[other] for other in files if other > number]
        _cut(directory, path, end, newer)
        return CutLog(path, end, len(data) - end, tuple(file.name for file in newer), what)
    if files and _Position(number, len(data)) < synced:
        raise LevelDamage(f"its log ends at offset {len(data)} of {path.name}, and was synced up to {tuple(synced)}")
    return None


def _log_files(directory: Path) -> dict[int, Path]:
    numbered = [(int(path.stem), path) for path in directory.glob("*.log") if path.stem.isdecimal()]
    return dict(sorted(numbered))


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _read_synced(directory: Path) -> _Position:
    path = directory / _SYNCED_NAME
    if not path.exists():
        return _Position(0, 0)
    data = path.read_bytes()
    if len(data) != _SYNCED.size + 4 or struct.pack("<I", crc32c(0, data[: _SYNCED.size])) != data[_SYNCED.size :]:
        raise LevelDamage(f"its file {_SYNCED_NAME} is damaged")
    return _Position(*_SYNCED.unpack_from(data))


def _cut(directory: Path, path: Path, end: int, newer: list[Path]) -> None:
    # The newest first: wherever this is interrupted, what is left has the same hole, and is cut again.
    for file in reversed(newer):
        file.unlink()
    OsFileSystem().sync_directory(directory)
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, end)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _whole_prefix(data: bytes, sequence: int | None) -> tuple[int, int | None, str | None]:
    """Where the whole batches end, the sequence number that is to follow, and what is wrong behind, None if nothing."""
    end = 0
    try:
        for header, batch_end in _read_batches(data):
            if len(header) < _BATCH.size:
                return end, sequence, "a batch without a header"
            begins, count = _BATCH.unpack_from(header)
            if sequence is not None and begins != sequence:
                return end, sequence, f"batch {sequence} was to follow, here is {begins}"
            sequence = begins + count
            end = batch_end
    except Broken as broken:
        return end, sequence, str(broken)
    return end, sequence, None


def _read_batches(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Iterate over whole batches: the header of each, and where the batch ends."""
    header: bytes | None = None
    for kind, start, end in read_parts(data):
        if (kind in (FULL, FIRST)) != (header is None):
            raise Broken("a batch has no beginning or no end")
        header = ((header or b"") + data[start : min(end, start + _BATCH.size)])[: _BATCH.size]
        if kind in (FULL, LAST):
            yield header, end
            header = None
    if header is not None:
        raise Broken("the last batch has no end")
