"""JSON to messages by Go's rules, one by one: golang/protobuf's jsonpb on encoding/json, as in etcd 3.5.

Slow and exact. It decides whatever the compiled decoders are not sure of, and words every refusal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

from trioetcd.api import go_base64, go_json, go_scanner, go_text
from trioetcd.api.go_json import Raw
from trioetcd.api.go_scanner import JsonError
from trioetcd.api.schema import FieldSpec, WireType, enum_name, fields_of

T = TypeVar("T")

NESTING_MAX: Final = 100
"""How deep messages may contain messages: every protobuf implementation but Go's old one stops at 100."""

_INTEGERS: Final = {
    WireType.INT64: ("int64", -(1 << 63), (1 << 63) - 1),
    WireType.UINT64: ("uint64", 0, (1 << 64) - 1),
    WireType.UINT32: ("uint32", 0, (1 << 32) - 1),
    WireType.ENUM: ("protoreflect.EnumNumber", -(1 << 31), (1 << 31) - 1),
}


def decode(cls: type[T], data: bytes) -> T:
    """The message that the first JSON value of `data` is; nothing and null are the empty message.

    Raises JsonError with the text that etcd answers.
    """
    text = go_scanner.first_value(data)
    return cls() if text is None else _message(cls, go_json.parse(text, _SHAPES[cls]), 0)


class _Shapes(dict[type, go_json.Shape]):
    """What is wanted of the JSON of each message: made when the message is first met."""

    def __missing__(self, cls: type) -> go_json.Shape:
        shape = self[cls] = go_json.Shape()
        for spec in fields_of(cls):
            inner = go_json.Shape() if spec.repeated else None
            if spec.message is not None:
                inner = self[spec.message()]
            shape[spec.name.encode()] = shape[spec.camel_name.encode()] = inner
        return shape


_SHAPES: Final = _Shapes()


def too_deep() -> JsonError:
    """The refusal of messages that contain each other deeper than NESTING_MAX."""
    return JsonError(f"message exceeds the maximum nesting depth of {NESTING_MAX}")


def _mismatch(kind: str, go_type: str) -> JsonError:
    return JsonError(f"json: cannot unmarshal {kind} into Go value of type {go_type}")


def _message(cls: type[T], raw: Raw, depth: int) -> T:
    if raw.kind == "null":
        return cls()
    if raw.kind != "object":
        raise _mismatch(raw.kind, "map[string]json.RawMessage")
    if depth > NESTING_MAX:
        raise too_deep()
    values: dict[str, Any] = {}
    chosen: dict[str, str] = {}
    for spec in fields_of(cls):
        member = raw.members.get(spec.camel_name.encode(), raw.members.get(spec.name.encode()))
        if member is None or member.kind == "null":
            continue
        values[spec.name] = _repeated(spec, member, depth) if spec.repeated else _single(spec, member, depth)
        if spec.oneof is not None:
            values.pop(chosen.get(spec.oneof, ""), None)
            chosen[spec.oneof] = spec.name
    return cls(**values)


def _repeated(spec: FieldSpec, raw: Raw, depth: int) -> list[Any]:
    if raw.kind != "array":
        raise _mismatch(raw.kind, "[]json.RawMessage")
    return [_single(spec, element, depth) for element in raw.elements]


def _single(spec: FieldSpec, raw: Raw, depth: int) -> Any:
    match spec.wire_type:
        case WireType.MESSAGE:
            assert spec.message is not None, "the table names the message of a nested field"
            return _message(spec.message(), raw, depth + 1)
        case WireType.BYTES:
            return _bytes(raw)
        case WireType.STRING:
            return _string(raw)
        case WireType.BOOL:
            return _boolean(raw)
        case WireType.ENUM if raw.kind == "string":
            return _enum_by_name(spec, raw)
        case WireType.ENUM:
            return _integer(WireType.ENUM, raw)
        case _:
            # Go re-reads what stands between the quotes as JSON, whatever it is.
            bare = Raw(go_scanner.check(raw.text[1:-1])) if raw.kind == "string" else raw
            return _integer(spec.wire_type, bare)


def _bytes(raw: Raw) -> bytes:
    if raw.kind == "null":
        return b""
    if raw.kind == "array":  # Go's []uint8 is also an array of numbers
        return bytes(_octets(raw.text))
    if raw.kind != "string":
        raise _mismatch(raw.kind, "[]uint8")
    try:
        return go_base64.decode(go_json.unquote(raw.text).encode())
    except go_base64.Base64Error as error:
        raise JsonError(str(error)) from None


_OCTETS: Final = {b"null": 0, **{b"%d" % octet: octet for octet in range(256)}}


def _octets(text: bytes) -> Iterator[int]:
    """The numbers of an array; up to the first that is none every comma stands between two of them."""
    inside = text[1:-1].strip(go_scanner.SPACE)
    for piece in inside.split(b",") if inside else ():
        octet = _OCTETS.get(piece)
        if octet is None:
            element = Raw(piece.strip(go_scanner.SPACE))
            octet = _OCTETS.get(element.text)
            if octet is None:
                octet = _number(element, "uint8", 0, 255)
        yield octet


def _string(raw: Raw) -> str:
    if raw.kind == "null":
        return ""
    if raw.kind != "string":
        raise _mismatch(raw.kind, "string")
    return go_json.unquote(raw.text)


def _boolean(raw: Raw) -> bool:
    if raw.kind == "null":
        return False
    if raw.kind != "bool":
        raise _mismatch(raw.kind, "bool")
    return raw.text == b"true"


def _enum_by_name(spec: FieldSpec, raw: Raw) -> int:
    assert spec.enum is not None, "the table names the enumeration of an enum field"
    for member in spec.enum:
        if raw.text == b'"%b"' % member.name.encode():
            return int(member)
    raise JsonError(f"unknown value {go_text.quote(raw.text)} for enum {enum_name(spec.enum)}")


def _integer(wire_type: WireType, raw: Raw) -> int:
    return 0 if raw.kind == "null" else _number(raw, *_INTEGERS[wire_type])


def _number(raw: Raw, go_type: str, low: int, high: int) -> int:
    if raw.kind != "number":
        raise _mismatch(raw.kind, go_type)
    digits = raw.text.decode()
    # A sign alone makes a number unfit for an unsigned type (-0), and 20 characters hold every 64-bit one.
    fits = digits.removeprefix("-").isdecimal() and len(digits) <= 20 and not (low == 0 and digits[0] == "-")
    if not fits or not low <= int(digits) <= high:
        raise _mismatch(f"number {digits}", go_type)
    return int(digits)
