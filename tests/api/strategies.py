"""Hypothesis strategies of messages, built from the table."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from trioetcd.api.schema import FieldSpec, WireType, fields_of

_SCALARS: dict[WireType, st.SearchStrategy[Any]] = {
    WireType.BYTES: st.binary(max_size=40),
    WireType.STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    WireType.INT64: st.integers(-(1 << 63), (1 << 63) - 1),
    WireType.UINT64: st.integers(0, (1 << 64) - 1),
    WireType.UINT32: st.integers(0, (1 << 32) - 1),
    WireType.BOOL: st.booleans(),
    WireType.ENUM: st.integers(-(1 << 31), (1 << 31) - 1) | st.integers(0, 5),
}


def messages_of(cls: type, depth: int = 3) -> st.SearchStrategy[Any]:
    """Messages of a class, with at most one member of each oneof set, nested to `depth`."""

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        chosen: dict[str, str] = {}
        specs = fields_of(cls)
        for spec in specs:
            if spec.oneof is not None and spec.oneof not in chosen:
                members = [other.name for other in specs if other.oneof == spec.oneof]
                chosen[spec.oneof] = draw(st.sampled_from(["", *members]))
        values = {}
        for spec in specs:
            if spec.oneof is None or chosen[spec.oneof] == spec.name:
                values[spec.name] = draw(_field(spec, depth))
        return cls(**{name: value for name, value in values.items() if value is not None})

    return build()


def _field(spec: FieldSpec, depth: int) -> st.SearchStrategy[Any]:
    if spec.message is not None:
        if depth == 0:
            return st.just([]) if spec.repeated else st.none()
        one = messages_of(spec.message(), depth - 1)
        return st.lists(one, max_size=2) if spec.repeated else st.none() | one
    one = _SCALARS[spec.wire_type]
    return st.lists(one, max_size=3) if spec.repeated else one
