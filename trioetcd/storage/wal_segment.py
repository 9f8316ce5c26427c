"""The files of the write-ahead log: their names, and reading one from its first record to its last."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from trioetcd.storage.filesystem import FileSystem
from trioetcd.storage.wal_record import (
    HEADER_BYTES,
    Record,
    RecordInvalid,
    RecordType,
    WalDamage,
    decode_record,
    decode_segment_head,
)
from trioetcd.storage.wal_tail import what_damaged, written_end

SEGMENT_BYTES: Final = 64_000_000
TEMPORARY_SUFFIX: Final = ".tmp"
_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.wal")
_NOTHING: Final = bytes(4)
T = TypeVar("T")


class SegmentName(NamedTuple):
    """`%016x-%016x.wal`: the place in the order of segments, and the index that follows when the segment is begun."""

    sequence: int
    first_index: int

    def __str__(self) -> str:
        return f"{self.sequence:016x}-{self.first_index:016x}.wal"


class TornTail(NamedTuple):
    """What an open cut off: bytes of a write that a crash had interrupted before it was synced."""

    file: Path
    offset: int
    size_bytes: int


def list_segments(fs: FileSystem, directory: Path) -> list[SegmentName]:
    """The segments in order; `WalDamage` if one is missing between two others. Other files are passed over."""
    matches = (_NAME.fullmatch(name) for name in fs.list_directory(directory))
    names = [SegmentName(int(match[1], 16), int(match[2], 16)) for match in matches if match]
    for before, after in pairwise(names):
        if after.sequence != before.sequence + 1:
            raise WalDamage(directory / str(after), 0, f"the segment before it is missing (the last is {before})")
    return names


def segments_from(names: list[SegmentName], index: int) -> list[SegmentName]:
    """The segments that hold the snapshot marker of `index` and all entries after it; none if they are gone.

    A marker is written after its entry, so it is not before the last segment that was begun at `index` or earlier.
    """
    starts = [position for position, name in enumerate(names) if name.first_index <= index]
    return names[starts[-1] :] if starts else []


class SegmentReader:
    """Iterates over the records of one segment, the first of which is its head.

    Afterwards `end`, `crc` and `durable` say where and how the log goes on. A last segment may end in a `torn` tail;
    any other fault is `WalDamage`. `previous` is the chain's value before this segment, None if that was released.
    """

    def __init__(
        self, fs: FileSystem, directory: Path, name: SegmentName, *, previous: int | None, is_last: bool
    ) -> None:
        self.path = path = directory / str(name)
        file = fs.open(path)
        try:
            self.data = file.read(0, file.size())
        finally:
            file.close()
        self._previous = previous
        self._is_last = is_last
        record = self._read_head()
        self.head = self.decode(record, decode_segment_head)
        if len(self.data) < self.head.size_bytes:
            what = f"the file has {len(self.data)} bytes and was made with {self.head.size_bytes}: it was truncated"
            raise WalDamage(path, len(self.data), what)
        if (self.head.sequence, self.head.first_index) != name:
            raise WalDamage(path, 0, f"its first record says that it is {SegmentName(*self.head[1:3])}: it was renamed")
        self.seed = record.crc
        self.crc = record.crc
        self.end = record.end
        self.durable = record.end
        self.torn: TornTail | None = None

    def __iter__(self) -> Iterator[Record]:
        while self._more():
            try:
                record = decode_record(self.data, self.end, seed=self.seed, previous=self.crc)
            except RecordInvalid as fault:
                self._end_at(fault)
                return
            if record.type is RecordType.SEGMENT:
                raise WalDamage(self.path, record.offset, "a segment's first record stands within it")
            self.end, self.crc, self.durable = record.end, record.crc, record.durable
            yield record
        if written_end(self.data) > self.end:
            self._end_at(RecordInvalid("the log ends here, and there are bytes behind its end"))

    def decode(self, record: Record, decoder: Callable[[bytes], T]) -> T:
        """Decode a record's body. Its checksum held, so a body that does not decode was written by something else."""
        try:
            return decoder(record.body)
        except (ValueError, TypeError) as error:
            raise WalDamage(
                self.path, record.offset, f"a whole {record.type.name} record cannot be read: {error}"
            ) from error

    def _read_head(self) -> Record:
        try:
            record = decode_record(self.data, 0, seed=0, previous=self._previous)
        except RecordInvalid as fault:
            raise WalDamage(self.path, 0, fault.what) from fault
        if record.type is not RecordType.SEGMENT:
            raise WalDamage(self.path, 0, f"a segment begins with a SEGMENT record, this one with {record.type.name}")
        return record

    def _more(self) -> bool:
        return self.end + HEADER_BYTES < len(self.data) and self.data[self.end : self.end + 4] != _NOTHING

    def _end_at(self, fault: RecordInvalid) -> None:
        # A segment is synced before the next one is begun, so only the last one can have been cut short by a crash.
        what = what_damaged(self.data, self.end, fault, seed=self.seed) if self._is_last else fault.what
        if what is not None:
            raise WalDamage(self.path, self.end, what)
        self.torn = TornTail(self.path, self.end, written_end(self.data) - self.end)


def read_segments(fs: FileSystem, directory: Path, names: list[SegmentName]) -> Iterator[SegmentReader]:
    """Iterate over segments that follow each other; each is read to its end before the next is asked for."""
    previous: int | None = None
    for name in names:
        reader = SegmentReader(fs, directory, name, previous=previous, is_last=name is names[-1])
        yield reader
        previous = reader.crc
