"""Unary calls over HTTP: what reaches the service, and what the client is told."""

from __future__ import annotations

import json

import pytest
import trio
from frontend_fakes import HEADER_JSON, FakeMember

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.frontend.v3_http import UNFIT_BODY_BYTES_MAX
from trioetcd.http11 import Headers

CORS = {
    b"access-control-allow-headers": b"accept, content-type, authorization",
    b"access-control-allow-methods": b"POST, GET, OPTIONS, PUT, DELETE",
    b"access-control-allow-origin": b"*",
}


def without_framing(headers: Headers) -> Headers:
    return {name: value for name, value in headers.items() if name not in (b"date", b"content-length")}


async def test_a_put_and_its_answer(serve, member: FakeMember) -> None:
    async with serve() as server:
        response = await server.client().request("POST", "/v3/kv/put", body=b'{"key":"YQ==","value":"Yg=="}')
    assert response.status == 200
    assert response.body == b'{"header":%b}' % HEADER_JSON
    assert without_framing(response.headers) == CORS | {
        b"content-type": b"application/json",
        b"grpc-metadata-content-type": b"application/grpc",
    }
    request, context = member.services.kv.calls[0]
    assert request == m.PutRequest(key=b"a", value=b"b")
    assert (context.token, context.require_leader) == (None, False)


async def test_an_error_of_the_service(serve) -> None:
    async with serve() as server:
        response = await server.client().request("POST", "/v3/kv/put", body=b"{}")
    assert response.status == 400
    text = "etcdserver: key is not provided"
    assert json.loads(response.body) == {"error": text, "code": 3, "message": text}
    assert without_framing(response.headers) == CORS | {b"content-type": b"application/json"}


async def test_bad_json(serve) -> None:
    async with serve() as server:
        response = await server.client().request("POST", "/v3/kv/put", body=b'{"key":')
    assert response.status == 400
    assert json.loads(response.body) == {"error": "unexpected EOF", "code": 3, "message": "unexpected EOF"}


@pytest.mark.parametrize(
    ("path", "rpc", "service"),
    [
        ("/v3/maintenance/hashkv", "HashKV", "etcdserverpb.Maintenance"),
        ("/v3/auth/enable", "AuthEnable", "etcdserverpb.Auth"),
        ("/v3/lock/lock", "Lock", "v3lockpb.Lock"),
    ],
)
async def test_what_is_not_built_is_refused_by_name(serve, path: str, rpc: str, service: str) -> None:
    async with serve() as server:
        response = await server.client().request("POST", path, body=b"{}")
    assert response.status == 501
    text = f"unknown method {rpc} for service {service}"
    assert json.loads(response.body) == {"error": text, "code": 12, "message": text}


async def test_token_and_leader_are_read_from_the_fields(serve, member: FakeMember) -> None:
    async with serve() as server:
        client = server.client()
        for fields in (
            [(b"Authorization", b"abc.1")],
            [(b"Authorization", b"Bearer abc.1")],
            [(b"Grpc-Metadata-Token", b"abc.1"), (b"Grpc-Metadata-hasleader", b"true")],
        ):
            await client.request("POST", "/v3/kv/range", fields, b"{}")
    contexts = [context for _, context in member.services.kv.calls]
    assert [context.token for context in contexts] == ["abc.1"] * 3
    assert [context.require_leader for context in contexts] == [False, False, True]


async def test_timeouts(serve, member: FakeMember, autojump_clock: trio.testing.MockClock) -> None:
    member.services.kv.ranging = trio.sleep_forever
    async with serve() as server:
        client = server.client()
        response = await client.request("POST", "/v3/kv/range", [(b"Grpc-Timeout", b"3S")], b"{}")
        assert response.status == 504
        assert json.loads(response.body)["message"] == "context deadline exceeded"
        assert trio.current_time() >= 3
        for bad in (b"zzz", b"5", b"S", b"1.5S", b"+-5S", b"\xb2S", b"99999999999999999999S", b"9" * 5000 + b"S"):
            response = await client.request("POST", "/v3/kv/put", [(b"Grpc-Timeout", bad)], b"{")
            assert response.status == 400
            assert json.loads(response.body)["message"] == f"invalid grpc-timeout: {bad.decode('utf-8', 'replace')}"
        response = await client.request("POST", "/v3/kv/put", [(b"Grpc-Timeout", b"-1n")], b'{"key":"YQ=="}')
        assert response.status == 504
        response = await client.request("POST", "/v3/kv/put", [(b"Grpc-Timeout", b"1H")], b'{"key":"YQ=="}')
        assert response.status == 200
        response = await client.request("POST", "/v3/kv/put", [(b"Grpc-Timeout", b"0S")], b'{"key":"YQ=="}')
        assert response.status == 200  # none, as the gateway takes it


async def test_a_client_that_leaves_cancels_its_call(
    serve, member: FakeMember, autojump_clock: trio.testing.MockClock
) -> None:
    cancelled = trio.Event()

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    member.services.kv.ranging = wait
    async with serve() as server:
        stream = server.stream()
        await stream.send_all(b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        await trio.sleep(5)
        assert not cancelled.is_set()
        await stream.aclose()
        with trio.fail_after(1):
            await cancelled.wait()
        await trio.sleep(1)
        assert server.client_listener.status().connections == 0


async def test_bodies_beyond_the_limit(serve, member: FakeMember) -> None:
    limit = UNFIT_BODY_BYTES_MAX
    text = f"grpc: received message larger than max ({limit + 1} vs. 2097152)"
    async with serve() as server:
        client = server.client()
        large = b'{"key":"YQ==","value":"%b"}' % (b"A" * 2_000_000)
        assert (await client.request("POST", "/v3/kv/put", body=large)).status == 200
        assert len(member.services.kv.calls[0][0].value) == 1_500_000
        larger = b'{"key":"YQ==","value":"%b"}' % (b"A" * 2_800_000)
        refused = await client.request("POST", "/v3/kv/put", body=larger)
        assert refused.status == 429
        size = 3 + 5 + 2_100_000  # the key's field, the value's tag and length, the value
        assert json.loads(refused.body)["error"] == f"grpc: received message larger than max ({size} vs. 2097152)"
        head = b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (limit + 1)
        answer = await server.exchange(head)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"Connection: close" in head
    assert json.loads(body) == {"error": text, "code": 8, "message": text}


async def test_pipelined_calls_are_answered_in_order(serve, member: FakeMember) -> None:
    request = b"POST /v3/kv/%b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
    bodies = ((b"put", b'{"key":"YQ=="}'), (b"range", b'{"key":"Yg=="}'), (b"put", b"{}"))
    async with serve() as server:
        answer = await server.exchange(b"".join(request % (name, len(body), body) for name, body in bodies))
    assert [answer.count(status) for status in (b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request")] == [2, 1]
    assert answer.endswith(b'"message":"etcdserver: key is not provided"}')


async def test_a_programming_error_is_not_hidden(serve, member: FakeMember) -> None:
    async def break_down() -> None:
        raise ZeroDivisionError

    member.services.kv.ranging = break_down
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with serve() as server:
            await server.stream().send_all(b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            await trio.sleep_forever()


async def test_other_codes_have_their_status(serve, member: FakeMember) -> None:
    for error, status in ((ApiError.of(ErrorKind.NO_LEADER), 503), (ApiError(Code.INTERNAL, "x"), 500)):

        async def fail(error: ApiError = error) -> None:
            raise error

        member.services.kv.ranging = fail
        async with serve() as server:
            response = await server.client().request("POST", "/v3/kv/range", body=b"{}")
        assert (response.status, json.loads(response.body)["code"]) == (status, int(error.code))
