"""LevelDB's file formats, as far as its log has to be judged before it is opened.

    log file: blocks of 32768 bytes, of records that do not cross blocks; a block's last 1-6 bytes are zero if no
    header fits. Integers are little-endian.        (LevelDB, doc/log_format.md)

    offset  size  field
         0     4  crc     CRC-32C of type and data, masked: rotated right by 15 bits, plus 0xa282ead8
         4     2  length  of the data
         6     1  type    1 whole batch, 2 first, 3 middle, 4 last part of one
         7     n  data    a batch: sequence number (8), number of changes (4), the changes

The manifest has the same format; each of its batches is a list of tagged fields, see `_skip_field`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trioetcd.storage.wal_record import crc32c

FULL, FIRST, MIDDLE, LAST = range(1, 5)
_BLOCK_BYTES: Final = 32768
_HEADER: Final = struct.Struct("<IHB")
_LOG_NUMBER_TAG: Final = 2
# A manifest's fields by tag (LevelDB, db/version_edit.cc): n is a varint, s a string after its length.
_FIELDS: Final = {1: "s", 2: "n", 3: "n", 4: "n", 5: "ns", 6: "nn", 7: "nnnss", 9: "n"}


class Broken(Exception):
    """No whole record is at this place."""


def read_parts(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Iterate over the records of a log: type, and where its data begins and ends. `Broken` at the first fault."""
    offset = 0
    while offset < len(data):
        left = _BLOCK_BYTES - offset % _BLOCK_BYTES
        if left < _HEADER.size:
            offset += left
            continue
        if offset + _HEADER.size > len(data):
            raise Broken("the file ends within a record's header")
        crc, length, kind = _HEADER.unpack_from(data, offset)
        start = offset + _HEADER.size
        offset = start + length
        if not FULL <= kind <= LAST or offset > len(data) or _HEADER.size + length > left:
            raise Broken("the bytes are no record's header, or the file ends within the record")
        if _masked(crc32c(0, data[start - 1 : offset])) != crc:
            raise Broken("a record's checksum does not match")
        yield kind, start, offset


def log_number_of(directory: Path) -> int | None:
    """The number of the oldest log file that the database still needs; None if its manifest cannot tell."""
    manifest = directory / (directory / "CURRENT").read_text("ascii", "replace").strip()
    if not manifest.is_file():
        return None
    number: int | None = None
    try:
        for edit in _read_edits(manifest.read_bytes()):
            number = _log_number(edit, number)
    except (Broken, IndexError):
        return None
    return number


def _read_edits(data: bytes) -> Iterator[bytes]:
    parts: list[bytes] = []
    for kind, start, end in read_parts(data):
        parts = [] if kind in (FULL, FIRST) else parts
        parts.append(data[start:end])
        if kind in (FULL, LAST):
            yield b"".join(parts)


def _log_number(edit: bytes, number: int | None) -> int | None:
    offset = 0
    while offset < len(edit):
        tag, offset = _read_varint(edit, offset)
        if tag not in _FIELDS:
            raise Broken(f"a manifest's field has the unknown tag {tag}")
        if tag == _LOG_NUMBER_TAG:
            number, _ = _read_varint(edit, offset)
        offset = _skip_field(edit, offset, _FIELDS[tag])
    return number


def _skip_field(edit: bytes, offset: int, kinds: str) -> int:
    for kind in kinds:
        value, offset = _read_varint(edit, offset)
        offset += value if kind == "s" else 0
    return offset


def _read_varint(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while data[offset] & 0x80:
        value |= (data[offset] & 0x7F) << shift
        offset, shift = offset + 1, shift + 7
    return value | data[offset] << shift, offset + 1


def _masked(crc: int) -> int:
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
