"""The wire format of protobuf below the messages: varints, and how to step over a field."""

from __future__ import annotations

from typing import Final

_GROUP_NESTING_MAX: Final = 100


class ProtoError(Exception):
    """What came is not the protobuf encoding of the message; the text says in which field and at which byte."""


def wrong_type(where: str, tag: int, position: int, expected: str) -> ProtoError:
    """A known field whose value is of another kind than the table says."""
    return ProtoError(f"{where}: wire type {tag & 7} before byte {position}, {expected}")


def cut_off(where: str, length: int, position: int, end: int) -> ProtoError:
    """A field that is longer than what contains it."""
    return ProtoError(f"{where}: {length} bytes at byte {position}, but only {end - position} are there")


_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(128))


def varint(number: int) -> bytes:
    """An unsigned number of at most 64 bits, seven bits a byte, the lowest first."""
    if number < 128:
        return _ONE_BYTE[number]
    out = bytearray()
    while number >= 128:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def varint_size(number: int) -> int:
    """The length of `varint(number)`."""
    return (number.bit_length() + 6) // 7 or 1


def read_varint(data: bytes, position: int, where: str) -> tuple[int, int]:
    """The number at `position` and the position behind it. Bits past the 64th are dropped, as in Go."""
    start = position
    number = shift = 0
    for byte in data[position : position + 10]:
        number |= (byte & 0x7F) << shift
        position += 1
        if byte < 128:
            return number & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
    what = "has more than 10 bytes" if position - start == 10 else "is cut off"
    raise ProtoError(f"{where}: the number at byte {start} {what}")


def skip_field(data: bytes, position: int, tag: int, where: str) -> int:
    """The position behind the unknown field whose tag has been read."""
    if tag >> 3 == 0:
        raise ProtoError(f"{where}: field number 0 before byte {position}")
    position = _skip_value(data, position, tag, where, 0)
    if position > len(data):
        raise ProtoError(f"{where}: unknown field {tag >> 3} is cut off after {len(data)} bytes")
    return position


def _skip_value(data: bytes, position: int, tag: int, where: str, depth: int) -> int:
    match tag & 7:
        case 0:
            return read_varint(data, position, where)[1]
        case 1:
            return position + 8
        case 2:
            length, position = read_varint(data, position, where)
            return position + length
        case 3:
            return _skip_group(data, position, tag, where, depth + 1)
        case 5:
            return position + 4
        case wire_type:
            raise ProtoError(f"{where}: unknown field {tag >> 3} has wire type {wire_type} before byte {position}")


def _skip_group(data: bytes, position: int, tag: int, where: str, depth: int) -> int:
    """Groups are gone from proto3, but an unknown field may be one: it goes on to its own end tag (wire type 4)."""
    if depth > _GROUP_NESTING_MAX:
        raise ProtoError(f"{where}: groups nest deeper than {_GROUP_NESTING_MAX} at byte {position}")
    while True:
        inner, position = read_varint(data, position, where)
        if inner == (tag & ~7 | 4):
            return position
        position = _skip_value(data, position, inner, where, depth)
