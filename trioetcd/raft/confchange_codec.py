"""Configuration changes as bytes: those of the field's protocol buffers, so that others can read our log.

    ConfChange        1 id, 2 type, 3 node_id (varints, always there), 4 context (bytes, if any)
    ConfChangeV2      1 transition (varint, always there), 2 changes (messages), 3 context (bytes, if any)
    ConfChangeSingle  1 type, 2 node_id (varints, always there)

No bytes at all are an empty ConfChangeV2: the entry by which a leader leaves a joint configuration on its own.
Fields that are not known are skipped, as is the rule of that format.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import TypeVar

from trioetcd.raft.errors import ConfChangeMalformed
from trioetcd.raft.types import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Entry,
    EntryType,
)

_VARINT = 0
_BYTES = 2
_FIXED = {1: 8, 5: 4}  # wire type: bytes to skip

_Enum = TypeVar("_Enum", bound=IntEnum)


def conf_change_entry(change: ConfChange | ConfChangeV2) -> Entry:
    """The entry that proposes this change; term and index are the leader's to set."""
    entry_type = EntryType.CONF_CHANGE if isinstance(change, ConfChange) else EntryType.CONF_CHANGE_V2
    return Entry(0, 0, entry_type, encode_conf_change(change))


def decode_conf_change_entry(entry: Entry) -> ConfChange | ConfChangeV2:
    """What `conf_change_entry` made an entry of. `ConfChangeMalformed` if it is none or is damaged."""
    match entry.type:
        case EntryType.CONF_CHANGE:
            return decode_conf_change(entry.data)
        case EntryType.CONF_CHANGE_V2:
            return decode_conf_change_v2(entry.data)
        case _:
            raise ConfChangeMalformed(
                f"entry {entry.term}/{entry.index} has type {entry.type!r}, which is not that of a conf change"
            )


def as_v2(change: ConfChange | ConfChangeV2) -> ConfChangeV2:
    """The same change in its second version."""
    if isinstance(change, ConfChangeV2):
        return change
    return ConfChangeV2(changes=(ConfChangeSingle(change.type, change.node_id),), context=change.context)


def encode_conf_change(change: ConfChange | ConfChangeV2) -> bytes:
    """The bytes of a change of either version."""
    if isinstance(change, ConfChange):
        fields = _varint_field(1, change.id) + _varint_field(2, change.type) + _varint_field(3, change.node_id)
        return fields + (_bytes_field(4, change.context) if change.context else b"")
    singles = (_varint_field(1, single.type) + _varint_field(2, single.node_id) for single in change.changes)
    fields = _varint_field(1, change.transition) + b"".join(_bytes_field(2, single) for single in singles)
    return fields + (_bytes_field(3, change.context) if change.context else b"")


def decode_conf_change(data: bytes) -> ConfChange:
    """A first-version change from its bytes; `ConfChangeMalformed` if they are damaged."""
    numbers, texts = _collect(data)
    return ConfChange(
        type=_enum(ConfChangeType, numbers.get(2, 0)),
        node_id=numbers.get(3, 0),
        context=texts.get(4, [b""])[-1],
        id=numbers.get(1, 0),
    )


def decode_conf_change_v2(data: bytes) -> ConfChangeV2:
    """A second-version change from its bytes; none are an empty change. `ConfChangeMalformed` if damaged."""
    numbers, texts = _collect(data)
    singles = [_collect(single)[0] for single in texts.get(2, [])]
    return ConfChangeV2(
        changes=tuple(ConfChangeSingle(_enum(ConfChangeType, s.get(1, 0)), s.get(2, 0)) for s in singles),
        transition=_enum(ConfChangeTransition, numbers.get(1, 0)),
        context=texts.get(3, [b""])[-1],
    )


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _enum(enum: type[_Enum], value: int) -> _Enum:
    if value not in enum._value2member_map_:
        raise ConfChangeMalformed(f"{value} is no {enum.__name__}; expected one of {[int(member) for member in enum]}")
    return enum(value)


def _collect(data: bytes) -> tuple[dict[int, int], dict[int, list[bytes]]]:
    """The numbers (the last of each field counts) and the byte strings (all of each field), by field number."""
    numbers: dict[int, int] = {}
    texts: dict[int, list[bytes]] = {}
    for number, value in _fields(data):
        if isinstance(value, int):
            numbers[number] = value
        else:
            texts.setdefault(number, []).append(value)
    return numbers, texts


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        wire_type = tag & 7
        if wire_type == _VARINT:
            value, position = _read_varint(data, position)
            yield tag >> 3, value
            continue
        if wire_type == _BYTES:
            length, position = _read_varint(data, position)
        elif wire_type in _FIXED:
            length = _FIXED[wire_type]
        else:
            raise ConfChangeMalformed(f"wire type {wire_type} before byte {position}; expected 0, 1, 2 or 5")
        if position + length > len(data):
            raise ConfChangeMalformed(f"a field of {length} bytes at byte {position} of {len(data)}: it is cut off")
        if wire_type == _BYTES:
            yield tag >> 3, data[position : position + length]
        position += length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift, byte in zip(range(0, 64, 7), data[position:], strict=False):
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + shift // 7 + 1
    raise ConfChangeMalformed(f"the number at byte {position} of {len(data)} has no end within 10 bytes")
