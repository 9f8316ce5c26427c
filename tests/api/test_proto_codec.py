"""The wire rules by example."""

from __future__ import annotations

import pytest

from trioetcd.api import messages as m
from trioetcd.api import proto_codec


@pytest.mark.parametrize(
    ("message", "encoded"),
    [
        (m.PutRequest(), ""),
        (m.PutRequest(key=b"a", value=b"bc", lease=300, prev_kv=True), "0a0161 12026263 18ac02 2001"),
        (m.RangeRequest(limit=-1), "18ffffffffffffffffff01"),
        (m.RangeRequest(sort_order=-1), "28ffffffffffffffffff01"),
        (m.Compare(range_end=b"z", lease=0), "4000 82047a".replace("7a", "017a")),
        (m.RangeResponse(header=m.ResponseHeader(), kvs=[m.KeyValue(), m.KeyValue(version=1)]), "0a00 1200 12022001"),
        (m.RequestOp(request_txn=m.TxnRequest()), "2200"),
        (m.WatchCreateRequest(filters=[0, 1, 200]), "2a04 0001c801"),
        (m.HashKVResponse(hash=4294967295), "10ffffffff0f"),
        (m.AuthRoleAddRequest(name="\u00e9"), "0a02c3a9"),
    ],
)
def test_messages(message: object, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert proto_codec.encode(message) == data
    assert proto_codec.encoded_size(message) == len(data)
    assert proto_codec.decode(type(message), data) == message


@pytest.mark.parametrize(
    ("cls", "encoded", "message"),
    [
        (m.WatchCreateRequest, "28012800", m.WatchCreateRequest(filters=[1, 0])),  # not packed
        (m.PutRequest, "0a01610a0162", m.PutRequest(key=b"b")),  # the last one counts
        (m.PutResponse, "0a0208010a021002", m.PutResponse(header=m.ResponseHeader(cluster_id=1, member_id=2))),
        (m.RequestOp, "0a0012030a0161", m.RequestOp(request_put=m.PutRequest(key=b"a"))),  # the last member counts
        (m.PutRequest, "980601 9906" + "00" * 8 + "9a060100 9d0600000000 9b0608019c06", m.PutRequest()),
        (m.DefragmentRequest, "0801", m.DefragmentRequest()),
    ],
)  # fmt: skip
def test_other_spellings_are_read(cls: type, encoded: str, message: object) -> None:
    assert proto_codec.decode(cls, bytes.fromhex(encoded)) == message


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("0a0561", "etcdserverpb.PutRequest.key: 5 bytes at byte 2, but only 1 are there"),
        ("0801", "etcdserverpb.PutRequest.key: wire type 0 before byte 1, expected 2"),
        ("1a00", "etcdserverpb.PutRequest.lease: wire type 2 before byte 1, expected 0"),
        ("18", "etcdserverpb.PutRequest.lease: the number at byte 1 is cut off"),
        ("18" + "80" * 11, "etcdserverpb.PutRequest.lease: the number at byte 1 has more than 10 bytes"),
        ("9a0605", "etcdserverpb.PutRequest: unknown field 99 is cut off after 3 bytes"),
        ("0001", "etcdserverpb.PutRequest: field number 0"),
        ("9e06", "etcdserverpb.PutRequest: unknown field 99 has wire type 6"),
        ("9b06" * 200, "groups nest deeper than 100"),
    ],
)
def test_refusals_say_what_and_where(encoded: str, message: str) -> None:
    with pytest.raises(proto_codec.ProtoError, match=message):
        proto_codec.decode(m.PutRequest, bytes.fromhex(encoded))


def test_text_must_be_utf8() -> None:
    with pytest.raises(proto_codec.ProtoError, match=r"AuthRoleAddRequest\.name: not UTF-8"):
        proto_codec.decode(m.AuthRoleAddRequest, b"\n\x01\xff")


def test_nesting_has_a_limit() -> None:
    data = b""
    for _ in range(60):  # two levels each
        data = proto_codec.encode(m.RequestOp(request_txn=m.TxnRequest()))[:1] + _delimited(b"\x12" + _delimited(data))
    with pytest.raises(proto_codec.ProtoError, match="nest deeper than 100"):
        proto_codec.decode(m.RequestOp, data)


def _delimited(data: bytes) -> bytes:
    length = len(data)
    return (bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])) + data
