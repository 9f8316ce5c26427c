r"""JSON to messages, compiled from the table: orjson reads, generated functions build.

The compiled path is only ever sure of what Go accepts too; whenever it is not (and so before every refusal) the exact
path decides. What orjson reads otherwise than Go does is kept out by that: it refuses invalid UTF-8, lone surrogates,
numbers past a double and nesting past 1024, where the exact path then accepts; what only raw bytes can tell (an
integer or a name written with \u escapes) never gets here.

Generated source, not closures over a table of setters: measured with 3.11, a PutRequest of 8 and 256 bytes takes 1.8 us
(closures: 1.9), a RangeResponse with one of them 5.2 us (6.9). The fields are set where they are read, on an object
made without its `__init__`, which would take 0.1 us a message more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import orjson
import pybase64

from trioetcd.api import json_exact
from trioetcd.api.schema import FieldSpec, WireType, contains_itself, fields_of

T = TypeVar("T")
Decoder = Callable[..., Any]


class _UnsureError(ValueError):
    """The compiled path leaves the decision to the exact one."""


def decode(cls: type[T], data: bytes) -> T:
    """The message that the first JSON value of `data` is; what follows it is ignored, as etcd's gateway does.

    Nothing and null are the empty message. Raises JsonError with the text that etcd answers.
    """
    # One byte is looked for by memchr, two by a loop that takes 2.7 ms a megabyte: hence both.
    if b"\\" not in data or b"\\u" not in data:
        try:
            message: T = _DECODERS[cls](orjson.loads(data))
        except (ValueError, TypeError):
            pass  # not a refusal yet: the exact path, below, accepts more than this one and words what it refuses
        else:
            return message
    return json_exact.decode(cls, data)


def decode_single(cls: type[T], data: bytes) -> T | None:
    """The message that `data` is, and nothing besides; None when it takes a closer look to tell."""
    if b"\\u" not in data:
        try:
            message: T = _DECODERS[cls](orjson.loads(data))
        except (ValueError, TypeError):
            return None
        else:
            return message
    return None


class _Decoders(dict[type, Decoder]):
    """The compiled decoders; one is compiled when its message is first met (a client needs few of the 120)."""

    def __missing__(self, cls: type) -> Decoder:
        namespace: dict[str, Any] = {
            "b64": pybase64.b64decode,
            "new": object.__new__,
            "Unsure": _UnsureError,
            "too_deep": json_exact.too_deep,
        }
        source = "\n".join(_source(cls, namespace))
        exec(compile(source, f"<json decoder of {cls.__name__}>", "exec"), namespace)  # noqa: S102 # our own source
        decoder: Decoder = namespace["decode"]
        self[cls] = decoder
        for name, nested in namespace["nested"].items():
            namespace[name] = self[nested]
        return decoder


_DECODERS: Final = _Decoders()


def _canonical(members: dict[str, Any], names: frozenset[str], aliases: dict[str, str]) -> dict[str, Any]:
    """The members under the protocol's names: camelCase wins, unknown ones and nulls are dropped."""
    named = {name: value for name, value in members.items() if name in names}
    named.update((aliases[name], value) for name, value in members.items() if name in aliases)
    return {name: value for name, value in named.items() if value is not None}


def _source(cls: type, namespace: dict[str, Any]) -> Iterator[str]:
    """The lines of `decode(members, depth)` for one class; what they refer to is put into `namespace`."""
    specs = fields_of(cls)
    recursive = contains_itself(cls)
    namespace["cls"] = cls
    namespace["nested"] = {}
    namespace["canonical"] = _canonical
    namespace["names"] = frozenset(spec.name for spec in specs)
    namespace["aliases"] = {spec.camel_name: spec.name for spec in specs if spec.camel_name != spec.name}
    yield f"def decode(members{', depth=0' if recursive else ''}):"
    yield "    if type(members) is not dict: raise Unsure"
    if recursive:
        yield f"    if depth > {json_exact.NESTING_MAX}: raise too_deep()"
    yield "    message = new(cls)"
    yield "    get, size = members.get, len(members)"
    yield "    seen = 0"
    for place, spec in enumerate(specs):
        yield f"    v = get({spec.name!r})"
        yield "    if v is None:"
        yield f"        message.{spec.name} = {_unset(spec)}"
        yield "    else:"
        yield "        seen += 1"
        yield from (f"        {line}" for line in _field(spec, namespace, recursive=recursive))
        yield f"        message.{spec.name} = v"
        # Most requests set the first fields of many, or one of a oneof: the rest is not looked for.
        alone = "".join(f" and message.{one.name} is None" for one in specs[:place] if one.oneof is not None)
        yield f"        if seen == size{alone}:"
        yield from (f"            message.{later.name} = {_unset(later)}" for later in specs[place + 1 :])
        yield "            return message"
    yield "    if seen != size:"
    yield f"        return decode(canonical(members, names, aliases){', depth' if recursive else ''})"
    yield from _oneofs(specs)
    yield "    return message"


def _unset(spec: FieldSpec) -> str:
    if spec.repeated:
        return "[]"
    if spec.presence:
        return "None"
    return {WireType.BYTES: "b''", WireType.STRING: "''", WireType.BOOL: "False"}.get(spec.wire_type, "0")


def _field(spec: FieldSpec, namespace: dict[str, Any], *, recursive: bool) -> Iterator[str]:
    """Turn `v` into the field's value."""
    if not spec.repeated:
        yield from _single(spec, namespace, recursive=recursive)
        return
    yield "if type(v) is not list: raise Unsure"
    yield "items = []"
    yield "for v in v:"
    yield from (f"    {line}" for line in _single(spec, namespace, recursive=recursive))
    yield "    items.append(v)"
    yield "v = items"


def _single(spec: FieldSpec, namespace: dict[str, Any], *, recursive: bool) -> Iterator[str]:
    """Turn `v` into one value."""
    match spec.wire_type:
        case WireType.BYTES:
            yield "v = b64(v, None, True)"
        case WireType.STRING:
            yield "if type(v) is not str: raise Unsure"
        case WireType.BOOL:
            yield "if v is not True and v is not False: raise Unsure"
        case WireType.MESSAGE:
            assert spec.message is not None, "the table names the message of a nested field"
            nested = spec.message()
            namespace["nested"][f"decode_{nested.__name__}"] = nested
            deeper = ", depth + 1" if recursive and contains_itself(nested) else ""
            yield f"v = decode_{nested.__name__}(v{deeper})"
        case WireType.ENUM:
            assert spec.enum is not None, "the table names the enumeration of an enum field"
            namespace[f"names_{spec.number}"] = {member.name: int(member) for member in spec.enum}
            yield f"if type(v) is str: v = names_{spec.number}.get(v)"
            yield "if type(v) is not int or not -0x80000000 <= v <= 0x7fffffff: raise Unsure"
        case _:
            low, high = _LIMITS[spec.wire_type]
            yield "if type(v) is str:"
            yield "    n = int(v)"
            yield "    if str(n) != v: raise Unsure"
            yield "    v = n"
            if low == 0:
                yield "elif v == 0: raise Unsure"  # it may have been -0, which Go refuses here
            yield f"if type(v) is not int or not {low} <= v <= {high}: raise Unsure"


_LIMITS: Final = {
    WireType.INT64: (-(1 << 63), (1 << 63) - 1),
    WireType.UINT64: (0, (1 << 64) - 1),
    WireType.UINT32: (0, (1 << 32) - 1),
}


def _oneofs(specs: tuple[FieldSpec, ...]) -> Iterator[str]:
    """Of several members of a oneof the one declared last counts."""
    for oneof in sorted({spec.oneof for spec in specs if spec.oneof is not None}):
        members = [f"message.{spec.name}" for spec in specs if spec.oneof == oneof]
        for position in range(len(members) - 1, 0, -1):
            keyword = "if" if position == len(members) - 1 else "elif"
            yield f"    {keyword} {members[position]} is not None:"
            yield f"        {' = '.join(members[:position])} = None"
