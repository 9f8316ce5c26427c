"""Proposals as bytes: there and back, and nothing else than `MalformedProposal` for other bytes."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trioetcd.api import messages as m
from trioetcd.api.schema import FieldSpec, WireType, fields_of
from trioetcd.storage import requests
from trioetcd.storage.internal_ops import MemberAttributes
from trioetcd.storage.requests import (
    MalformedProposal,
    Proposal,
    RaftRequest,
    decode_proposal,
    encode_proposal,
    encode_request,
    join_proposal,
    proposal_id,
)

SCALARS: dict[WireType, st.SearchStrategy[Any]] = {
    WireType.BYTES: st.binary(max_size=6),
    WireType.STRING: st.text(max_size=6),
    WireType.INT64: st.integers(-(2**63), 2**63 - 1),
    WireType.UINT64: st.integers(0, 2**64 - 1),
    WireType.UINT32: st.integers(0, 2**32 - 1),
    WireType.ENUM: st.integers(-(2**31), 2**31 - 1),
    WireType.BOOL: st.booleans(),
}


def message_of(cls: type, depth: int = 0) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{spec.name: field_of(spec, depth) for spec in fields_of(cls)})


def field_of(spec: FieldSpec, depth: int) -> st.SearchStrategy[Any]:
    if spec.message is None:
        value = SCALARS[spec.wire_type]
    elif depth > 3:
        return st.just([]) if spec.repeated else st.none()
    else:
        value = message_of(spec.message(), depth + 1)
    if spec.repeated:
        return st.lists(value, max_size=2)
    return st.none() | value if spec.presence else value


ops = st.one_of([message_of(cls) for cls in requests._OPERATIONS.values()])
raft_requests = st.builds(RaftRequest, ops, st.text(max_size=5), st.integers(0, 2**64 - 1))
proposals = st.builds(Proposal, st.integers(0, 2**64 - 1), st.lists(raft_requests, max_size=4).map(tuple))


@settings(deadline=None)
@given(proposals)
def test_there_and_back(proposal: Proposal) -> None:
    data = encode_proposal(proposal)
    assert decode_proposal(data) == proposal
    assert proposal_id(data) == proposal.id
    assert join_proposal(proposal.id, [encode_request(one) for one in proposal.requests]) == data


@settings(deadline=None)
@given(proposals, st.data())
def test_damage_is_named_or_harmless(proposal: Proposal, data: st.DataObject) -> None:
    raw = bytearray(encode_proposal(proposal))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(raw), bytes(raw[:-1])):
        with suppress(MalformedProposal):
            decode_proposal(damaged)
            proposal_id(damaged)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([1, [[99, "", 0, []]]], "operation 99 is unknown"),
        ([1, [[4, "", 0, [1, 2]]]], "CompactionRequest has"),
        ([1, [[4, "", 0, [1]]]], "CompactionRequest has"),
        ([1, [[9, "", 0, [1, "n", "url"]]]], "client_urls is"),
        ([1, [[3, "", 0, [[1], [], []]]]], "compare is 1"),
        (["1", []], "its ID is"),
        ([1, [[4, b"", 0, [1, False]]]], "user name"),
        (5, "cannot be read"),
    ],
)
def test_what_is_wrong_is_said(fields: object, says: str) -> None:
    with pytest.raises(MalformedProposal, match=says):
        decode_proposal(msgpack.packb(fields))


def test_a_proposal_has_a_greatest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PROPOSAL_BYTES_MAX", 100)
    proposal = Proposal(1, (RaftRequest(m.PutRequest(key=b"k", value=b"x" * 100)),))
    with pytest.raises(MalformedProposal, match="is the most there can be"):
        decode_proposal(encode_proposal(proposal))


def test_the_format_stays() -> None:
    """Entries on disk and members of other versions hold these bytes."""
    proposal = Proposal(
        7,
        (
            RaftRequest(m.PutRequest(key=b"k", value=b"v", lease=1), "u", 2),
            RaftRequest(MemberAttributes(member_id=3, name="n", client_urls=["c"])),
        ),
    )
    assert encode_proposal(proposal).hex() == ("9207929401a1750296c4016bc4017601c2c2c29409a0009303a16e91a163")
