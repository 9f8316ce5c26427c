"""The bytes of the write-ahead log: what a record looks like, and how it is known to be whole.

A segment file has a fixed size, is zero where nothing was written yet, and holds records one after another, each on
a boundary of 8 bytes. All integers are little-endian.

    offset  size  field
         0     4  length    of the body; 0 = nothing was written here, the log ends
         4     4  check     CRC-32C of the segment's seed and the other five fields of this header
         8     4  previous  the `crc` of the record before, in this segment or the one before it: the chain
        12     4  crc       CRC-32C of the body, begun with `previous`
        16     4  durable   up to where this segment was known to be synced when the record was written
        20     4  type      see RecordType
        24     n  body      msgpack, see below
      24+n     1  end       0xA5, never zero: a record whose end was not written shows it
    24+n+1   0-7  padding   zero

    type     body
    SEGMENT  [version, segment size, sequence, first index, metadata, [term, vote, commit]]
    SAVE     [[term, vote, commit] or nil, [[term, index, type, data], ...]]
    MARKER   [[index, term, [voters, learners, outgoing voters, next learners, auto leave]],
              [term, vote, commit] or nil]

Theory of operation. The chain makes one sequence of all records: one that is changed, lost, repeated or moved breaks
it. But a broken chain has two meanings, and they call for opposite acts: a crash during a write that was not yet
synced (nothing was promised: cut it off) and damage to what was synced (everything was promised: refuse). Three
fields are there to tell them apart, see `wal_tail.py`. `check` makes the length trustworthy although the body is not.
`previous` lets a record be verified by itself, when the one before it cannot be read. And `durable` is a testimony: a
whole record that stands behind a broken one, and was written when that one had been synced, proves damage.

`seed` is the `crc` of the segment's first record, so that bytes of another segment do not pass as a record of this
one. A record's length is held against what is left of the file before anything is read or allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import google_crc32c
import msgpack

from trioetcd.raft.types import ConfState, Entry, EntryType, HardState

FORMAT_VERSION: Final = 1
HEADER_BYTES: Final = 24
END_MARK: Final = 0xA5
_ALIGNMENT: Final = 8
_HEADER: Final = struct.Struct("<6I")
_CHECKED: Final = struct.Struct("<5I")
_TRAILERS: Final = tuple(bytes([END_MARK]) + bytes((-HEADER_BYTES - 1 - n) % _ALIGNMENT) for n in range(_ALIGNMENT))

crc32c = google_crc32c.extend
"""`crc32c(crc, data)`: the CRC-32C of what `crc` was computed of, followed by `data`."""


class WalDamage(Exception):
    """The log is not what was written. The member must not start from it: what was acknowledged may be missing."""

    def __init__(self, file: Path, offset: int, what: str) -> None:
        super().__init__(
            f"write-ahead log {file} is damaged at offset {offset}: {what}. It is left as it is; restore the file, "
            "or remove this member from the cluster and add it anew with an empty data directory"
        )
        self.file = file
        self.offset = offset
        self.what = what


class RecordInvalid(Exception):
    """No whole record is at this offset. `body_end` is where its body ends, if its header can be trusted."""

    def __init__(self, what: str, body_end: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.body_end = body_end


class RecordType(IntEnum):
    """What a record's body is."""

    SEGMENT = 1
    SAVE = 2
    MARKER = 3


_KINDS: Final = frozenset(RecordType)


class Record(NamedTuple):
    """A whole record, at `offset` of its segment; the next one begins at `end`."""

    type: RecordType
    body: bytes
    offset: int
    end: int
    crc: int
    durable: int


class WalSnapshot(NamedTuple):
    """The marker of a snapshot in the log: up to `index`, of `term`, the state is had without the log."""

    index: int = 0  # type: ignore[assignment]  # hides tuple.index, which has no use here
    term: int = 0
    conf_state: ConfState = ConfState()


class SegmentHead(NamedTuple):
    """What the first record of a segment tells, so that older segments can be done without."""

    size_bytes: int
    sequence: int
    first_index: int
    metadata: bytes
    hard_state: HardState


def frame_size(body_bytes: int) -> int:
    """How many bytes a record takes in the file."""
    return HEADER_BYTES + body_bytes + len(_TRAILERS[body_bytes % _ALIGNMENT])


def encode_record(kind: RecordType, body: bytes, *, previous: int, durable: int, seed: int) -> tuple[bytes, int]:
    """Return the record's bytes, and its `crc` for the next one's `previous`."""
    crc = crc32c(previous, body)
    length = len(body)
    check = crc32c(seed, _CHECKED.pack(length, previous, crc, durable, kind))
    header = _HEADER.pack(length, check, previous, crc, durable, kind)
    return b"".join((header, body, _TRAILERS[length % _ALIGNMENT])), crc


def decode_record(data: bytes, offset: int, *, seed: int, previous: int | None) -> Record:
    """Read the record at `offset`; with `previous` None it is verified by itself, without its place in the chain.

    The caller has seen that its length is not zero. `RecordInvalid` says which test it failed.
    """
    if offset + HEADER_BYTES > len(data):
        raise RecordInvalid("a record begins where the segment has no room for one")
    length, check, before, crc, durable, kind = _HEADER.unpack_from(data, offset)
    if crc32c(seed, _CHECKED.pack(length, before, crc, durable, kind)) != check:
        raise RecordInvalid("the header's checksum does not match")
    end = offset + frame_size(length)
    if end > len(data):
        raise RecordInvalid(f"a record of {length} bytes is announced, the segment has {len(data) - offset} left")
    if kind not in _KINDS:
        raise RecordInvalid(f"the record is of type {kind}, which this program does not know")
    body_end = offset + HEADER_BYTES + length
    body = data[offset + HEADER_BYTES : body_end]
    if crc32c(before, body) != crc:
        raise RecordInvalid("the record's checksum does not match", body_end)
    if data[body_end:end] != _TRAILERS[length % _ALIGNMENT]:
        raise RecordInvalid("the record's end mark is missing", body_end)
    if previous is not None and before != previous:
        raise RecordInvalid("the record does not follow the one before it: the checksum chain is broken", body_end)
    return Record(RecordType(kind), body, offset, end, crc, durable)


# msgpack takes named tuples and integer enumerations as they are, so a whole batch is packed in one call.
pack = msgpack.Packer(use_bin_type=True).pack


def encode_segment_head(head: SegmentHead) -> bytes:
    """The body of a SEGMENT record."""
    return bytes(pack((FORMAT_VERSION, *head)))


def decode_segment_head(body: bytes) -> SegmentHead:
    """The reverse of `encode_segment_head`; ValueError or TypeError if it is no such body."""
    version, *rest = _unpack(body)
    if version != FORMAT_VERSION:
        raise ValueError(f"format version {version} is not known, this program reads version {FORMAT_VERSION}")
    size_bytes, sequence, first_index, metadata, hard_state = rest
    return SegmentHead(size_bytes, sequence, first_index, metadata, HardState(*hard_state))


def decode_save(body: bytes) -> tuple[HardState | None, list[Entry]]:
    """The body of a SAVE record, packed by `pack((hard_state, entries))`; ValueError or TypeError if it is none."""
    hard_state, entries = _unpack(body)
    decoded = [Entry(term, index, EntryType(kind), data) for term, index, kind, data in entries]
    return None if hard_state is None else HardState(*hard_state), decoded


def decode_save_hard_state(body: bytes) -> HardState | None:
    """The hard state of a SAVE record alone, its entries unread; ValueError or TypeError if it is none."""
    unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=len(body))
    unpacker.feed(body)
    unpacker.read_array_header()
    hard_state = unpacker.unpack()
    return None if hard_state is None else HardState(*hard_state)


def decode_marker(body: bytes) -> tuple[WalSnapshot, HardState | None]:
    """The body of a MARKER record, packed by `pack((snapshot, hard_state))`; ValueError or TypeError if it is none."""
    snapshot, hard_state = _unpack(body)
    return _to_snapshot(*snapshot), None if hard_state is None else HardState(*hard_state)


def decode_snapshot(body: bytes) -> WalSnapshot:
    """What `pack(snapshot)` made, as a snapshot's file has it; ValueError or TypeError if it is none."""
    return _to_snapshot(*_unpack(body))


def _to_snapshot(index: int, term: int, conf_state: Iterable[Any]) -> WalSnapshot:
    return WalSnapshot(index, term, ConfState(*conf_state))


def _unpack(body: bytes) -> Any:
    return msgpack.unpackb(body, use_list=False)
