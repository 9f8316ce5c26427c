"""The write-ahead log: what is in a synced record of it survives, and nothing else does.

The log is a chain of segment files in one directory. `append` writes entries and the hard state as one record with one
write; `sync` makes them durable; only then may anything be acknowledged. When a segment is full the next one is
written aside, synced, renamed and its name synced, and only then used: so every segment but the last is whole and
durable, and a crash can only leave a torn tail in the last one. The first record of a segment repeats what older ones
said (metadata, hard state), so they can be removed once a snapshot stands for their entries.

A segment's room is reserved when it is made, but ext4 and xfs note at the first write to each reserved block that it
holds something now, and a sync waits for their journal besides the bytes. So a record that reaches blocks not written
yet takes zeros along, up to the next boundary of 64 KiB, and those that follow it find blocks in use. Zeros over zeros
change nothing that a reader sees, after a crash as before.

A write or sync that fails is final (`DiskFailure`): every later call raises the same. The methods block, and must not
overlap, but for `remove`: whoever runs `sync` in a thread waits for it before the next call.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from trioetcd.raft.types import Entry, HardState
from trioetcd.storage.filesystem import DiskFailure, File, FileSystem
from trioetcd.storage.wal_reading import WalContents, read_log, read_markers
from trioetcd.storage.wal_record import (
    RecordType,
    SegmentHead,
    WalDamage,
    WalSnapshot,
    encode_record,
    encode_segment_head,
    pack,
)
from trioetcd.storage.wal_segment import (
    SEGMENT_BYTES,
    TEMPORARY_SUFFIX,
    SegmentName,
    SegmentReader,
    TornTail,
    list_segments,
    segments_from,
)

_EMPTY: Final = HardState()
_MARGIN_BYTES: Final = 4096  # of a segment, for its first record and a frame
# Microseconds a sync on ext4, of records of 5, 20, 40, 60 kB: in reserved blocks 237, 263, 291, 345; with zeros ahead
# 156, 214, 243, 339; in a file of zeros 154, 159, 186, 217. Larger records lose by it, and 128 KiB cost the p99.
_AHEAD_BYTES: Final = 64 << 10

__all__ = [
    "DiskFailure",
    "TornTail",
    "WalContents",
    "WalDamage",
    "WalSnapshot",
    "WalStatus",
    "WriteAheadLog",
    "read_markers",
]


class WalStatus(NamedTuple):
    """Where the log stands. Offsets are in bytes within the newest segment; synced <= written."""

    segments: tuple[str, ...]
    last_index: int
    written_bytes: int
    synced_bytes: int
    failure: str | None


class WriteAheadLog:
    """The log of one member. Use `create` or `open`; the directory must be held by this process alone."""

    def __init__(
        self,
        *,
        fs: FileSystem,
        directory: Path,
        metadata: bytes,
        segment_bytes: int,
        names: list[SegmentName],
        hard_state: HardState,
        last_index: int,
    ) -> None:
        self._fs = fs
        self._directory = directory
        self._metadata = metadata
        self._segment_bytes = segment_bytes
        self._names = names
        self._hard_state = hard_state
        self._last_index = last_index
        self._failure: DiskFailure | None = None
        self._released = -1  # The segments before this sequence number may be purged.
        # The newest segment. durable <= position; all bytes before durable are synced. From position to ahead, if there
        # is anything between them, zeros were written.
        self._file: File | None = None
        self._position = 0
        self._durable = 0
        self._ahead = 0
        self._crc = 0
        self._seed = 0

    @classmethod
    def create(
        cls, *, fs: FileSystem, directory: Path, metadata: bytes, segment_bytes: int = SEGMENT_BYTES
    ) -> WriteAheadLog:
        """Begin a log in a directory that has none; all of it is durable on return.

        A crash before that leaves no segment, so `exists` is False and the log is created anew.
        """
        if cls.exists(fs, directory):
            raise FileExistsError(
                f"there is a write-ahead log in {directory} already: open it, or use another directory"
            )
        log = cls(
            fs=fs,
            directory=directory,
            metadata=metadata,
            segment_bytes=segment_bytes,
            names=[],
            hard_state=_EMPTY,
            last_index=0,
        )
        try:
            fs.make_directory(directory)
            _remove_temporary(fs, directory)
        except OSError as error:
            raise log._fail("making", error) from error
        log._begin_segment(SegmentName(0, 0), marker=WalSnapshot())
        return log

    @classmethod
    def open(cls, *, fs: FileSystem, directory: Path, start: WalSnapshot) -> tuple[WriteAheadLog, WalContents]:
        """Read the log behind the marker `start` and go on writing it.

        A torn tail is cut off (`WalContents.torn` tells). Everything read is durable on return. `WalDamage` if the log
        is not what was written, or has no such marker; nothing was changed then.
        """
        contents, reader, names = read_log(fs, directory, start)
        log = cls(
            fs=fs,
            directory=directory,
            metadata=contents.metadata,
            segment_bytes=reader.head.size_bytes,
            names=names,
            hard_state=contents.hard_state,
            last_index=contents.entries[-1].index if contents.entries else start.index,
        )
        try:
            _remove_temporary(fs, directory)
            log._go_on(reader)
        except OSError as error:
            raise log._fail("preparing", error) from error
        return log, contents

    @staticmethod
    def exists(fs: FileSystem, directory: Path) -> bool:
        """Whether a log was created here; `WalDamage` if segments are missing in its middle."""
        return bool(list_segments(fs, directory))

    def append(self, hard_state: HardState | None, entries: Sequence[Entry]) -> None:
        """Write entries, and the hard state if it changed, as one record. Durable after `sync`.

        An entry replaces what the log had from its index on. More than half a segment becomes several records, the
        hard state in the last of them. `ValueError` for a single entry beyond that; `DiskFailure` is final.
        """
        body: bytes = pack((hard_state, entries))
        if len(body) > self._segment_bytes // 2:
            self._append_halves(hard_state, entries, len(body))
            return
        self._write(RecordType.SAVE, body)
        if entries:
            self._last_index = entries[-1].index
        if hard_state is not None:
            self._hard_state = hard_state

    def begin_sync(self) -> None:
        """Let the disk begin to write what was appended, without waiting: `sync` takes less time then."""
        self._opened.begin_writing(self._durable, self._position - self._durable)

    def sync(self) -> None:
        """Make all that was appended durable. A failure is final: what is on the disk is not known any more."""
        if self._failure is not None:
            raise self._failure
        written = self._position
        try:
            self._opened.sync()
        except OSError as error:
            raise self._fail("syncing", error) from error
        self._durable = written

    def save_snapshot(self, snapshot: WalSnapshot, *, hard_state: HardState | None = None) -> None:
        """Write the marker of a snapshot whose file is durable, and sync it.

        What a snapshot stands for is committed, and a marker counts only if the log says so; on the other side a commit
        beyond the log's end is refused. So the two are one record: one that came from the leader takes its hard state
        along, and for any other the newest hard state is raised to the marker if it lags behind.
        """
        if hard_state is None and self._hard_state.commit < snapshot.index:
            hard_state = self._hard_state._replace(commit=snapshot.index)
        self._write(RecordType.MARKER, pack((snapshot, hard_state)))
        self._last_index = max(self._last_index, snapshot.index)
        if hard_state is not None:
            self._hard_state = hard_state
        self.sync()

    def release_to(self, index: int) -> None:
        """Say that a start will never again need what is before the snapshot at `index`: it may be given up."""
        needed = segments_from(self._names, index)
        if needed:
            self._released = max(self._released, needed[0].sequence)

    def give_up(self, max_files: int) -> list[str]:
        """Take the oldest released segments out of the log until at most `max_files` are left: their names.

        They are still there; `remove` is for them, and after a crash before that a later purge finds them again.
        """
        excess = max(len(self._names) - max(max_files, 1), 0)
        given_up = [name for name in self._names[:excess] if name.sequence < self._released]
        self._names = [name for name in self._names if name not in given_up]
        return [str(name) for name in given_up]

    def remove(self, names: Sequence[str]) -> None:
        """Remove segments that were given up, durably. The one method that may run in a thread beside the others."""
        try:
            for name in names:  # Oldest first, so that a crash leaves no gap.
                self._fs.unlink(self._directory / name)
                self._fs.sync_directory(self._directory)
        except OSError as error:
            raise self._fail("purging", error) from error

    def close(self) -> None:
        """Close the files without a sync; what was not synced may be lost."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def status(self) -> WalStatus:
        """Where the log stands."""
        return WalStatus(
            segments=tuple(map(str, self._names)),
            last_index=self._last_index,
            written_bytes=self._position,
            synced_bytes=self._durable,
            failure=None if self._failure is None else str(self._failure),
        )

    @property
    def _opened(self) -> File:
        if self._file is None:
            raise ValueError(f"the write-ahead log in {self._directory} is closed")
        return self._file

    def _fail(self, action: str, error: OSError) -> DiskFailure:
        path = self._directory / str(self._names[-1]) if self._names else self._directory
        self._failure = DiskFailure(path, action, error)
        return self._failure

    def _append_halves(self, hard_state: HardState | None, entries: Sequence[Entry], size: int) -> None:
        if len(entries) < 2:
            limit = self._segment_bytes // 2
            raise ValueError(f"an entry of {size} bytes does not fit the log, whose records have at most {limit}")
        middle = len(entries) // 2
        self.append(None, entries[:middle])
        self.append(hard_state, entries[middle:])

    def _write(self, kind: RecordType, body: bytes) -> None:
        if self._failure is not None:
            raise self._failure
        frame, crc = encode_record(kind, body, previous=self._crc, durable=self._durable, seed=self._seed)
        if self._position + len(frame) > self._segment_bytes:
            self._cut()
            frame, crc = encode_record(kind, body, previous=self._crc, durable=self._durable, seed=self._seed)
        try:
            self._opened.write(self._position, self._with_zeros(frame))
        except OSError as error:
            raise self._fail("writing", error) from error
        self._position += len(frame)
        self._crc = crc

    def _with_zeros(self, frame: bytes) -> bytes:
        end = self._position + len(frame)
        if end <= self._ahead or len(frame) >= _AHEAD_BYTES:
            return frame
        boundary = (end // _AHEAD_BYTES + 1) * _AHEAD_BYTES
        self._ahead = min(boundary, self._segment_bytes)
        return frame + bytes(self._ahead - end)

    def _cut(self) -> None:
        self.sync()
        self._begin_segment(SegmentName(self._names[-1].sequence + 1, self._last_index + 1))

    def _begin_segment(self, name: SegmentName, *, marker: WalSnapshot | None = None) -> None:
        head = SegmentHead(self._segment_bytes, name.sequence, name.first_index, self._metadata, self._hard_state)
        body = encode_segment_head(head)
        if len(body) > min(_MARGIN_BYTES, self._segment_bytes // 4):
            raise ValueError(f"metadata of {len(self._metadata)} bytes does not fit the head of a segment")
        data, crc = encode_record(RecordType.SEGMENT, body, previous=self._crc, durable=0, seed=0)
        seed = crc
        if marker is not None:
            frame, crc = encode_record(RecordType.MARKER, pack((marker, None)), previous=crc, durable=0, seed=seed)
            data += frame
        try:
            file = self._write_aside(name, data)
        except OSError as error:
            raise self._fail(f"beginning {name} after", error) from error
        self.close()
        self._file, self._position, self._durable, self._ahead = file, len(data), len(data), 0
        self._crc, self._seed = crc, seed
        self._names.append(name)

    def _write_aside(self, name: SegmentName, data: bytes) -> File:
        target = self._directory / str(name)
        aside = self._directory / (target.name + TEMPORARY_SUFFIX)
        file = self._fs.create(aside)
        try:
            file.preallocate(self._segment_bytes)
            file.write(0, data)
            file.sync()
            self._fs.rename(aside, target)
            self._fs.sync_directory(self._directory)
        except OSError:
            file.close()
            raise
        return file

    def _go_on(self, reader: SegmentReader) -> None:
        file = self._fs.open(reader.path)
        self._file, self._position, self._crc, self._seed = file, reader.end, reader.crc, reader.seed
        # After a failed sync the page cache may hold, as clean, what never reached the disk; reading it back proves
        # nothing. So what no record testifies to have been synced is written once more, the torn tail as zeros.
        torn_bytes = reader.torn.size_bytes if reader.torn is not None else 0
        file.write(reader.durable, reader.data[reader.durable : reader.end] + bytes(torn_bytes))
        file.sync()
        self._fs.sync_directory(self._directory)
        self._durable = reader.end


def _remove_temporary(fs: FileSystem, directory: Path) -> None:
    leftovers = [name for name in fs.list_directory(directory) if name.endswith(TEMPORARY_SUFFIX)]
    for name in leftovers:
        fs.unlink(directory / name)
