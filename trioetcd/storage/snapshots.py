"""The snapshot files: which states of the engine a start may begin from.

The state itself is the engine, whose applied index was made durable before the file is written. The file says what
the log before it said: index, term and configuration. It is written aside, synced, renamed, and its name synced, and
only then does the write-ahead log get a marker. A file without a marker is of a snapshot that was not finished.

    offset  size  field                          all integers little-endian
         0     8  magic   "tesnap01"
         8     4  length  of the body
        12     4  crc     CRC-32C of the body
        16     n  body    msgpack [index, term, [voters, learners, outgoing voters, next learners, auto leave]]

The name is `%016x-%016x.snap`, term and index, so that names sort as snapshots follow each other.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from trioetcd.raft.types import SnapshotMetadata
from trioetcd.storage.filesystem import DiskFailure, FileSystem
from trioetcd.storage.wal_record import WalSnapshot, crc32c, decode_snapshot, pack

_MAGIC: Final = b"tesnap01"
_HEADER: Final = struct.Struct("<8sII")
_FILE_BYTES_MAX: Final = 1 << 20
_NAME: Final = re.compile(r"[0-9a-f]{16}-[0-9a-f]{16}\.snap")
_BROKEN_SUFFIX: Final = ".broken"
_TEMPORARY_SUFFIX: Final = ".tmp"


class SnapshotFiles:
    """The snapshot files of one directory, which is made if it is not there. `DiskFailure` is final."""

    def __init__(self, *, fs: FileSystem, directory: Path) -> None:
        self._fs = fs
        self._directory = directory
        self._failure: DiskFailure | None = None
        self._damaged: list[str] = []
        self._unfinished: list[str] = []
        fs.make_directory(directory)

    def save(self, metadata: SnapshotMetadata) -> None:
        """Write the file of a snapshot; it is durable on return, and its marker may go to the write-ahead log."""
        if self._failure is not None:
            raise self._failure
        body: bytes = pack((metadata.index, metadata.term, metadata.conf_state))
        target = self._directory / _file_name(metadata)
        try:
            self._write_aside(target, _HEADER.pack(_MAGIC, len(body), crc32c(0, body)) + body)
        except OSError as error:
            self._failure = DiskFailure(target, "writing", error)
            raise self._failure from error

    def load_newest(self, markers: Sequence[WalSnapshot]) -> SnapshotMetadata | None:
        """The newest snapshot that has a marker in the log and a whole file; None if there is none.

        A damaged file, and one without a marker, is passed over, and kept in mind for `tidy`. Changes nothing.
        """
        marked = {(marker.index, marker.term) for marker in markers}
        for name in reversed(self._names()):
            metadata = self._read(name)
            if metadata is None:
                self._damaged.append(name)
            elif (metadata.index, metadata.term) in marked:
                return metadata
            else:
                self._unfinished.append(name)
        return None

    @property
    def damaged(self) -> Sequence[Path]:
        """The files that `load_newest` passed over."""
        return [self._directory / name for name in self._damaged]

    def tidy(self) -> None:
        """Put aside what `load_newest` passed over, as a start could do without it.

        What is damaged becomes `.broken`. What has no marker is removed: `purge` keeps the newest files, and would
        keep it in the place of the one that counts.
        """
        for path in self.damaged:
            self._fs.rename(path, path.with_name(path.name + _BROKEN_SUFFIX))
        for name in self._unfinished:
            self._fs.unlink(self._directory / name)
        if self._damaged or self._unfinished:
            self._fs.sync_directory(self._directory)
        self._damaged.clear()
        self._unfinished.clear()

    def purge(self, max_files: int) -> list[str]:
        """Remove the oldest files until at most `max_files` are left, and half-written ones; returns the names."""
        names = self._names()
        removed = names[: max(len(names) - max(max_files, 1), 0)]
        removed += [name for name in self._fs.list_directory(self._directory) if name.endswith(_TEMPORARY_SUFFIX)]
        for name in removed:
            self._fs.unlink(self._directory / name)
        return removed

    def _names(self) -> list[str]:
        return [name for name in self._fs.list_directory(self._directory) if _NAME.fullmatch(name)]

    def _write_aside(self, target: Path, data: bytes) -> None:
        aside = target.with_name(target.name + _TEMPORARY_SUFFIX)
        if self._fs.exists(aside):
            self._fs.unlink(aside)
        file = self._fs.create(aside)
        try:
            file.write(0, data)
            file.sync()
        finally:
            file.close()
        self._fs.rename(aside, target)
        self._fs.sync_directory(self._directory)

    def _read(self, name: str) -> SnapshotMetadata | None:
        file = self._fs.open(self._directory / name)
        try:
            data = file.read(0, _FILE_BYTES_MAX)
        finally:
            file.close()
        metadata = _decode(data)
        return metadata if metadata is not None and _file_name(metadata) == name else None


def _file_name(metadata: SnapshotMetadata) -> str:
    return f"{metadata.term:016x}-{metadata.index:016x}.snap"


def _decode(data: bytes) -> SnapshotMetadata | None:
    if len(data) < _HEADER.size:
        return None
    magic, length, crc = _HEADER.unpack_from(data)
    body = data[_HEADER.size :]
    if magic != _MAGIC or length != len(body) or crc32c(0, body) != crc:
        return None
    try:
        index, term, conf_state = decode_snapshot(body)
    except (ValueError, TypeError):
        return None
    return SnapshotMetadata(conf_state, index, term)
