"""How a message is declared: a dataclass whose defaults carry field number and wire type.

The declarations in `trioetcd.api.messages` are the one table of etcd's messages. Codecs (JSON today, protobuf
beside it) walk `fields_of(cls)` once, at import, and compile themselves; nothing else repeats a name or a number.

Attributes have the protocol's own names (`prev_kv`, `peerURLs`, `ID`), which are also the names in JSON.
A scalar that is not set holds its type's zero; a message or a member of a oneof that is not set is None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum, IntEnum
from typing import Any, Final, NamedTuple, TypeVar, dataclass_transform

T = TypeVar("T")
E = TypeVar("E", bound=IntEnum)
_SPEC: Final = "trioetcd.api.field"


class WireType(Enum):
    """The scalar types that etcd's messages use, and the two composed ones."""

    BYTES = "bytes"
    STRING = "string"
    INT64 = "int64"
    UINT64 = "uint64"
    UINT32 = "uint32"
    BOOL = "bool"
    ENUM = "enum"
    MESSAGE = "message"


ZERO: Final[dict[WireType, object]] = {
    WireType.BYTES: b"",
    WireType.STRING: "",
    WireType.INT64: 0,
    WireType.UINT64: 0,
    WireType.UINT32: 0,
    WireType.BOOL: False,
    WireType.ENUM: 0,
    WireType.MESSAGE: None,
}


class FieldSpec(NamedTuple):
    """One row of the table. `enum` and `message` are there for those wire types alone."""

    name: str
    number: int
    wire_type: WireType
    repeated: bool
    oneof: str | None
    enum: type[IntEnum] | None
    message: Callable[[], type] | None

    @property
    def camel_name(self) -> str:
        """The other spelling that JSON input may use: `prev_kv` as `prevKv`; `peerURLs` has no other."""
        head, *tail = self.name.split("_")
        return head + "".join(part[:1].upper() + part[1:] for part in tail)

    @property
    def presence(self) -> bool:
        """Whether unset (None) differs from zero: messages and members of a oneof."""
        return not self.repeated and (self.oneof is not None or self.wire_type is WireType.MESSAGE)


def _field(
    number: int,
    wire_type: WireType,
    *,
    repeated: bool = False,
    oneof: str | None = None,
    enum: type[IntEnum] | None = None,
    message: Callable[[], type] | None = None,
    secret: bool = False,
) -> Any:
    spec = (number, wire_type, repeated, oneof, enum, message)
    if repeated:
        return field(default_factory=list, metadata={_SPEC: spec})
    return field(default=None if oneof else ZERO[wire_type], metadata={_SPEC: spec}, repr=not secret)


def bytes_(number: int, *, repeated: bool = False, oneof: str | None = None) -> Any:
    """Raw bytes; base64 in JSON."""
    return _field(number, WireType.BYTES, repeated=repeated, oneof=oneof)


def string(number: int, *, repeated: bool = False, secret: bool = False) -> Any:
    """Text; what is `secret` does not show in `repr`, and so in no log."""
    return _field(number, WireType.STRING, repeated=repeated, secret=secret)


def int64(number: int, *, repeated: bool = False, oneof: str | None = None) -> Any:
    """A signed 64-bit integer; a decimal string in JSON."""
    return _field(number, WireType.INT64, repeated=repeated, oneof=oneof)


def uint64(number: int) -> Any:
    """An unsigned 64-bit integer; a decimal string in JSON."""
    return _field(number, WireType.UINT64)


def uint32(number: int) -> Any:
    """An unsigned 32-bit integer; a number in JSON."""
    return _field(number, WireType.UINT32)


def boolean(number: int) -> Any:
    """True or false."""
    return _field(number, WireType.BOOL)


def enumeration(number: int, enum: type[IntEnum], *, repeated: bool = False) -> Any:
    """A number of `enum`, held as int: unknown numbers pass through (proto3)."""
    return _field(number, WireType.ENUM, enum=enum, repeated=repeated)


def nested(number: int, message: Callable[[], type], *, repeated: bool = False, oneof: str | None = None) -> Any:
    """Another message, named late (`lambda: TxnRequest`) so that messages may contain each other."""
    return _field(number, WireType.MESSAGE, message=message, repeated=repeated, oneof=oneof)


_ENUM_NAMES: Final[dict[type[IntEnum], str]] = {}


def enum(proto_name: str) -> Callable[[type[E]], type[E]]:
    """Declare a class as the enumeration `proto_name` (its full name in etcd's .proto files)."""

    def declare(cls: type[E]) -> type[E]:
        _ENUM_NAMES[cls] = proto_name
        return cls

    return declare


def enum_name(cls: type[IntEnum]) -> str:
    """The full protobuf name of a declared enumeration; it stands in errors that clients see."""
    return _ENUM_NAMES[cls]


_PROTO_NAMES: Final[dict[type, str]] = {}
_FIELDS: Final[dict[type, tuple[FieldSpec, ...]]] = {}


@dataclass_transform()  # no field specifiers: to a type checker, each call below stands for the default it returns
def message(proto_name: str) -> Callable[[type[T]], type[T]]:
    """Declare a class as the message `proto_name` (its full name in etcd's .proto files)."""

    def declare(cls: type[T]) -> type[T]:
        declared = dataclass(slots=True)(cls)
        _PROTO_NAMES[declared] = proto_name
        _FIELDS[declared] = tuple(FieldSpec(f.name, *f.metadata[_SPEC]) for f in fields(declared))  # type: ignore[arg-type] # T is a dataclass as of the line above
        return declared

    return declare


def proto_name(cls: type) -> str:
    """The full protobuf name of a declared message class."""
    return _PROTO_NAMES[cls]


def fields_of(cls: type) -> tuple[FieldSpec, ...]:
    """The rows of a declared message class, in declaration order."""
    return _FIELDS[cls]


def declared_messages() -> tuple[type, ...]:
    """Every message class declared so far."""
    return tuple(_FIELDS)


def contains_itself(cls: type) -> bool:
    """Whether messages of the class can hold, however deep, messages of the same class."""
    met: set[type] = set()
    waiting = [cls]
    while waiting:
        for spec in fields_of(waiting.pop()):
            nested = spec.message() if spec.message is not None else None
            if nested is cls:
                return True
            if nested is not None and nested not in met:
                met.add(nested)
                waiting.append(nested)
    return False
