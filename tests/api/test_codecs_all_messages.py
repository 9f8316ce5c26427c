"""Properties over every message of the table, in JSON and in protobuf, beside Google's protobuf."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("google.protobuf", reason="the test group has protobuf, the independent implementation")

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.message import DecodeError

from trioetcd.api import json_codec, json_exact, proto_codec
from trioetcd.api import messages as m
from trioetcd.api.schema import FieldSpec, WireType, declared_messages, enum_name, fields_of, proto_name

MESSAGES = [cls for cls in declared_messages() if cls.__module__.startswith("trioetcd.api.messages.")]
FAST = settings(derandomize=True, deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))

_SCALARS: dict[WireType, st.SearchStrategy[Any]] = {
    WireType.BYTES: st.binary(max_size=40),
    WireType.STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    WireType.INT64: st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-2, 300),
    WireType.UINT64: st.integers(0, (1 << 64) - 1),
    WireType.UINT32: st.integers(0, (1 << 32) - 1),
    WireType.BOOL: st.booleans(),
    WireType.ENUM: st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(0, 5),
}


@st.composite
def messages_of(draw: st.DrawFn, cls: type, depth: int = 3) -> Any:
    """A message with at most one member of each oneof set, nested to `depth`."""
    specs = fields_of(cls)
    oneofs = sorted({spec.oneof for spec in specs if spec.oneof is not None})
    chosen = {oneof: draw(st.sampled_from([spec.name for spec in specs if spec.oneof == oneof])) for oneof in oneofs}
    values = {}
    for spec in specs:
        if spec.oneof is None or chosen[spec.oneof] == spec.name:
            values[spec.name] = draw(_field(spec, depth))
    return cls(**values)


def _field(spec: FieldSpec, depth: int) -> st.SearchStrategy[Any]:
    if spec.message is not None:
        if depth == 0:
            return st.just([]) if spec.repeated else st.none()
        one = messages_of(spec.message(), depth - 1)
        return st.lists(one, max_size=2) if spec.repeated else st.none() | one
    one = _SCALARS[spec.wire_type]
    if spec.repeated:
        return st.lists(one, max_size=3)
    return st.none() | one if spec.oneof is not None else one


_TYPES = {
    WireType.BYTES: descriptor_pb2.FieldDescriptorProto.TYPE_BYTES,
    WireType.STRING: descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
    WireType.INT64: descriptor_pb2.FieldDescriptorProto.TYPE_INT64,
    WireType.UINT64: descriptor_pb2.FieldDescriptorProto.TYPE_UINT64,
    WireType.UINT32: descriptor_pb2.FieldDescriptorProto.TYPE_UINT32,
    WireType.BOOL: descriptor_pb2.FieldDescriptorProto.TYPE_BOOL,
    WireType.ENUM: descriptor_pb2.FieldDescriptorProto.TYPE_ENUM,
    WireType.MESSAGE: descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE,
}


def _flat(full_name: str) -> str:
    """Everything in one package: only the wire counts here, and nested names would need nested descriptors."""
    return full_name.replace(".", "_")


def _google_classes() -> dict[type, Any]:
    """Google's classes for our table."""
    file = descriptor_pb2.FileDescriptorProto(name="table.proto", package="table", syntax="proto3")
    enums = {spec.enum for cls in MESSAGES for spec in fields_of(cls) if spec.enum is not None}
    for enum in sorted(enums, key=enum_name):
        name = _flat(enum_name(enum))
        proto = file.enum_type.add(name=name)
        for member in enum:
            proto.value.add(name=f"{name}_{member.name}", number=member.value)
    for cls in MESSAGES:
        _describe(file.message_type.add(name=_flat(proto_name(cls))), cls)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        cls: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"table.{_flat(proto_name(cls))}"))
        for cls in MESSAGES
    }


def _describe(proto: descriptor_pb2.DescriptorProto, cls: type) -> None:
    oneofs: list[str] = []
    for spec in fields_of(cls):
        label = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
        if spec.repeated:
            label = descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        field = proto.field.add(name=spec.name, number=spec.number, type=_TYPES[spec.wire_type], label=label)
        if spec.message is not None:
            field.type_name = f".table.{_flat(proto_name(spec.message()))}"
        if spec.enum is not None:
            field.type_name = f".table.{_flat(enum_name(spec.enum))}"
        if spec.oneof is not None:
            if spec.oneof not in oneofs:
                oneofs.append(spec.oneof)
                proto.oneof_decl.add(name=spec.oneof)
            field.oneof_index = oneofs.index(spec.oneof)


GOOGLE = _google_classes()


def _google_json(message: Any) -> str:
    return json_format.MessageToJson(message, preserving_proto_field_name=True, use_integers_for_enums=True)


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
@FAST
@given(data=st.data())
def test_round_trips(cls: type, data: st.DataObject) -> None:
    message = data.draw(messages_of(cls))
    text = json_codec.encode(message)
    assert json_codec.decode(cls, text) == message
    assert json_exact.decode(cls, text) == message
    assert json_codec.decode_stream(cls).feed(text) == [message]

    encoded = proto_codec.encode(message)
    assert proto_codec.decode(cls, encoded) == message
    assert proto_codec.encoded_size(message) == len(encoded)

    google = GOOGLE[cls].FromString(encoded)
    assert google.SerializeToString(deterministic=True) == encoded
    # Both spellings of names, integers as strings and as numbers: what another implementation writes, we read.
    assert json_codec.decode(cls, _google_json(google).encode()) == message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_WRONG = [m.TxnRequest, m.RangeRequest, m.WatchCreateRequest, m.AlarmRequest, m.StatusResponse]


def _with_strangers(value: Any, draw: st.DrawFn) -> Any:
    """The same JSON with unknown members here and there."""
    if isinstance(value, list):
        return [_with_strangers(element, draw) for element in value]
    if not isinstance(value, dict):
        return value
    before = {f"?{name}": draw(_JSON) for name in draw(st.lists(st.text(max_size=3), max_size=2))}
    known = {name: _with_strangers(member, draw) for name, member in value.items()}
    return {**before, **known, "\u00e9[": draw(_JSON)}


@pytest.mark.parametrize("cls", _WRONG)
@settings(FAST, max_examples=40)
@given(data=st.data(), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_unknown_members_change_nothing(
    cls: type, data: st.DataObject, *, ascii_only: bool, indent: int | None
) -> None:
    message = data.draw(messages_of(cls))
    members = _with_strangers(json.loads(json_codec.encode(message)), data.draw)
    text = json.dumps(members, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    assert json_exact.decode(cls, text) == message
    assert json_codec.decode(cls, text) == message
    assert json_codec.decode_stream(cls).feed(text + b" garbage")[0] == message


def _outcome(decode: Callable[[type, bytes], Any], cls: type, text: bytes) -> object:
    try:
        return decode(cls, text)
    except json_codec.JsonError as error:
        return error.message


@pytest.mark.parametrize("cls", _WRONG)
@settings(FAST, max_examples=150)
@given(data=st.data())
def test_the_compiled_path_accepts_nothing_that_the_exact_one_does_not(cls: type, data: st.DataObject) -> None:
    names = [name for spec in fields_of(cls) for name in (spec.name, spec.camel_name)]
    values = st.sampled_from(
        [0, -0.0, 1, 1.0, "0", "-0", "1", "01", " 1", "1\n", "a", "YQ==", "YQ", "PUT", "NONE", None]
    )
    members = data.draw(st.dictionaries(st.sampled_from(names), _JSON | values | st.lists(values, max_size=2)))
    text = bytearray(json.dumps(members).encode())
    for _ in range(data.draw(st.integers(0, 2))):
        position = data.draw(st.integers(0, len(text)))
        text[position : position + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from(
                [b"", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"0", b"-", b" ", b"\xff", b"\n", b"e1"]
            )
        )
    assert _outcome(json_codec.decode, cls, bytes(text)) == _outcome(json_exact.decode, cls, bytes(text))


@pytest.mark.parametrize("cls", [m.TxnRequest, m.RangeResponse, m.WatchCreateRequest, m.Compare, m.StatusResponse])
@settings(FAST, max_examples=150)
@given(data=st.data())
def test_damaged_protobuf_is_refused_in_words_or_read_as_others_read_it(cls: type, data: st.DataObject) -> None:
    encoded = bytearray(proto_codec.encode(data.draw(messages_of(cls))))
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(encoded)))
        encoded[position : position + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    try:
        ours = proto_codec.decode(cls, bytes(encoded))
    except proto_codec.ProtoError:
        return
    try:
        theirs = GOOGLE[cls].FromString(bytes(encoded))
    except DecodeError:
        return  # it is stricter in places: group end tags, field numbers
    theirs.DiscardUnknownFields()
    assert proto_codec.encode(ours) == theirs.SerializeToString(deterministic=True)


def test_the_table_is_etcds() -> None:
    golden = (Path(__file__).parent / "golden_messages.txt").read_text().splitlines()
    assert sorted(_described()) == sorted(_grouped(golden))


def _grouped(lines: list[str]) -> list[str]:
    """One line a message or enumeration."""
    groups: list[str] = []
    for line in lines:
        if line.startswith(" "):
            groups[-1] += f"\n{line}"
        else:
            groups.append(line)
    return groups


def _described() -> list[str]:
    messages = ["\n".join([f"message {proto_name(cls)}", *map(_described_field, fields_of(cls))]) for cls in MESSAGES]
    enums = {spec.enum for cls in MESSAGES for spec in fields_of(cls) if spec.enum is not None}
    rows = ["\n".join([f"enum {enum_name(e)}", *(f"  {member.value} {member.name}" for member in e)]) for e in enums]
    return messages + rows


def _described_field(spec: FieldSpec) -> str:
    kind = spec.wire_type.value
    if spec.message is not None:
        kind = proto_name(spec.message())
    if spec.enum is not None:
        kind = enum_name(spec.enum)
    repeated = "repeated " if spec.repeated else ""
    oneof = f" oneof {spec.oneof}" if spec.oneof is not None else ""
    return f"  {spec.number} {repeated}{kind} {spec.name} {spec.camel_name}{oneof}"
