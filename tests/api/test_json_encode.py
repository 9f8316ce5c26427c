"""What is written, byte for byte."""

from __future__ import annotations

from itertools import combinations

import pytest

from trioetcd.api import json_codec
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind

HEADER = m.ResponseHeader(cluster_id=(1 << 64) - 1, member_id=7, revision=3, raft_term=2)
HEADER_JSON = b'{"cluster_id":"18446744073709551615","member_id":"7","revision":"3","raft_term":"2"}'
PAIR = m.KeyValue(key=b"k", create_revision=2, mod_revision=3, version=2, value=b"v?>")
PAIR_JSON = b'{"key":"aw==","create_revision":"2","mod_revision":"3","version":"2","value":"dj8+"}'


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (m.PutResponse(), b"{}"),
        (m.PutResponse(header=m.ResponseHeader()), b'{"header":{}}'),
        (m.PutResponse(header=HEADER), b'{"header":' + HEADER_JSON + b"}"),
        (m.PutResponse(header=m.ResponseHeader(revision=4)), b'{"header":{"revision":"4"}}'),
        (
            m.RangeResponse(header=HEADER, kvs=[PAIR, m.KeyValue()], more=True, count=2),
            b'{"header":' + HEADER_JSON + b',"kvs":[' + PAIR_JSON + b',{}],"more":true,"count":"2"}',
        ),
        (m.HashKVResponse(hash=4294967295, compact_revision=-1), b'{"hash":4294967295,"compact_revision":"-1"}'),
        (m.Event(type=m.EventType.DELETE, kv=m.KeyValue(key=b"k")), b'{"type":"DELETE","kv":{"key":"aw=="}}'),
        (m.Event(type=9), b'{"type":9}'),
        (m.Compare(value=b"", range_end=b"x"), b'{"value":"","range_end":"eA=="}'),
        (m.Compare(lease=0), b'{"lease":"0"}'),
        (m.WatchCreateRequest(filters=[1, 0, 5]), b'{"filters":["NODELETE","NOPUT",5]}'),
        (m.StatusResponse(errors=["", "a"]), b'{"errors":["","a"]}'),
        (
            m.TxnResponse(responses=[m.ResponseOp(response_txn=m.TxnResponse(header=m.ResponseHeader()))]),
            b'{"responses":[{"response_txn":{"header":{}}}]}',
        ),
    ],
)
def test_messages(message: object, expected: bytes) -> None:
    assert json_codec.encode(message) == expected
    assert json_codec.decode(type(message), expected) == message


@pytest.mark.parametrize("left_out", [set(left) for size in range(7) for left in combinations(range(6), size)])
def test_a_key_value_without_any_of_its_fields(left_out: set[int]) -> None:
    texts = {
        "key": ("aw==", b"k"),
        "create_revision": ("2", 2),
        "mod_revision": ("3", 3),
        "version": ("4", 4),
        "value": ("dg==", b"v"),
        "lease": ("-5", -5),
    }
    kept = {name: both for number, (name, both) in enumerate(texts.items()) if number not in left_out}
    message = m.KeyValue(**{name: value for name, (_, value) in kept.items()})
    expected = ",".join(f'"{name}":"{text}"' for name, (text, _) in kept.items())
    assert json_codec.encode(message) == f"{{{expected}}}".encode()


def test_text_is_escaped_as_go_escapes_it() -> None:
    text = 'a"\\/<b>&\n\r\t\b\f\x00\x7f\u00e9\u2028\U0001f600\ud800'
    expected = '"a\\"\\\\/\\u003cb\\u003e\\u0026\\n\\r\\t\\u0008\\u000c\\u0000\x7f\u00e9\\u2028\U0001f600\\ufffd"'
    assert json_codec.encode(m.AuthRoleAddRequest(name=text)) == b'{"name":%b}' % expected.encode()


def test_a_header_alone_is_what_stands_in_responses() -> None:
    assert json_codec.encode_header(HEADER) == HEADER_JSON == json_codec.encode(HEADER)
    assert json_codec.encode_header(m.ResponseHeader()) == b"{}"
    for member_id in range(200):  # more origins than are remembered
        expected = b'{"member_id":"%d","raft_term":"1"}' % member_id if member_id else b'{"raft_term":"1"}'
        assert json_codec.encode_header(m.ResponseHeader(member_id=member_id, raft_term=1)) == expected


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_watch_response_is_assembled_from_encoded_events(count: int) -> None:
    events = [m.Event(kv=PAIR, prev_kv=PAIR), m.Event(type=1, kv=PAIR), m.Event()][:count]
    whole = m.WatchResponse(header=HEADER, watch_id=5, fragment=True, cancel_reason="<", events=events)
    assembled = json_codec.encode_watch_response(
        header=HEADER,
        watch_id=5,
        fragment=True,
        cancel_reason="<",
        events=[json_codec.encode_event(event) for event in events],
    )
    assert assembled == json_codec.encode(whole)
    assert json_codec.encode_stream_result(assembled) == b'{"result":' + assembled + b"}\n"


def test_errors() -> None:
    no_leader = ApiError.of(ErrorKind.NO_LEADER)
    assert json_codec.encode_unary_error(ApiError(Code.INVALID_ARGUMENT, 'a "<"')) == (
        b'{"error":"a \\"\\u003c\\"","code":3,"message":"a \\"\\u003c\\""}'
    )
    assert json_codec.encode_stream_error(no_leader) == (
        b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader",'
        b'"http_status":"Service Unavailable"}}'
    )
    assert json_codec.encode_unary_error(ApiError(Code.UNKNOWN, "")) == b'{"code":2}'
    assert json_codec.encode_stream_error(ApiError(Code.UNKNOWN, "")) == (
        b'{"error":{"grpc_code":2,"http_code":500,"http_status":"Internal Server Error"}}'
    )
