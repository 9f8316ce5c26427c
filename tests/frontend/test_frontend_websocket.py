"""Streams over WebSocket, as browsers open them."""

from __future__ import annotations

import json

import pytest
import trio
from frontend_fakes import HEADER_JSON, FakeMember
from trio_websocket import ConnectionClosed, wrap_client_stream

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.mvcc.watch_delivery import WatchDelivery

CREATE = '{"create_request":{"key":"YQ=="}}'
KEYED = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
HANDSHAKE = b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + KEYED
CREATED = (b'{"result":{"header":%b,"created":true}}' % HEADER_JSON).decode()


async def test_frames_both_ways(serve, member: FakeMember) -> None:
    async with serve() as server, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, server.stream(), "test", "/v3/watch")
        await websocket.send_message(CREATE)
        assert await websocket.get_message() == CREATED
        await websocket.send_message(CREATE.encode())
        assert await websocket.get_message() == CREATED
        [session] = member.services.watch.sessions
        assert len(session.requests) == 2
        await websocket.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert session.closed
        assert server.client_listener.status().connections == 0


@pytest.mark.parametrize("by", ["subprotocol", "cookie"])
async def test_the_token(serve, member: FakeMember, by: str) -> None:
    subprotocols = ["Bearer", "tok.1"] if by == "subprotocol" else None
    headers = [(b"cookie", b"a=b; token=tok.1")] if by == "cookie" else None
    async with serve() as server, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(
            nursery, server.stream(), "test", "/v3/watch", subprotocols=subprotocols, extra_headers=headers
        )
        assert websocket.subprotocol == ("Bearer" if by == "subprotocol" else None)
        assert [context.token for context in member.services.watch.contexts] == ["tok.1"]
        await websocket.aclose()


async def test_an_error_is_a_last_frame(serve, member: FakeMember) -> None:
    async with serve() as server, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, server.stream(), "test", "/v3/watch")
        await websocket.send_message("{bad")
        assert json.loads(await websocket.get_message())["code"] == 2
        with pytest.raises(ConnectionClosed):
            await websocket.get_message()
        websocket = await wrap_client_stream(nursery, server.stream(), "test", "/v3/watch")
        await websocket.send_message(CREATE)
        assert await websocket.get_message() == CREATED
        member.services.watch.sessions[-1].tell(ApiError.of(ErrorKind.NO_LEADER))
        assert json.loads(await websocket.get_message())["error"]["http_code"] == 503
        with pytest.raises(ConnectionClosed):
            await websocket.get_message()


async def test_a_connection_that_breaks_ends_the_watch(serve, member: FakeMember) -> None:
    async with serve() as server:
        stream = server.stream()
        async with trio.open_nursery() as nursery:
            websocket = await wrap_client_stream(nursery, stream, "test", "/v3/watch")
            await websocket.send_message(CREATE)
            await websocket.get_message()
            nursery.cancel_scope.cancel()
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        [session] = member.services.watch.sessions
        assert session.closed
        assert server.client_listener.status().connections == 0


async def test_an_idle_websocket_lives_on(serve, member: FakeMember, autojump_clock: trio.testing.MockClock) -> None:
    async with serve() as server, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, server.stream(), "test", "/v3/watch")
        await websocket.send_message(CREATE)
        assert await websocket.get_message() == CREATED
        await trio.sleep(3600)
        member.services.watch.sessions[0].tell(WatchDelivery(0, 3, canceled=True))
        assert "canceled" in await websocket.get_message()
        await websocket.aclose()


async def test_a_message_beyond_the_bound_closes(serve) -> None:
    async with serve() as server, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, server.stream(), "test", "/v3/watch")
        await websocket.send_message(" " * 5_000_000)
        with pytest.raises(ConnectionClosed) as caught:
            await websocket.get_message()
        assert caught.value.reason.code == 1009


async def test_what_is_no_handshake(serve) -> None:
    upgrade = b"HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    async with serve() as server:
        answer = await server.exchange(b"GET /v3/watch " + upgrade + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"Sec-Websocket-Version: 13\r\n" in answer
        assert answer.endswith(b"\r\n\r\nBad Request\n")
        assert (await server.exchange(b"GET /health " + upgrade + KEYED + b"\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"Sec-WebSocket-Protocol: Bearer, \xff",
        b"Sec-WebSocket-Extensions: \xff;;=,",
        b"Cookie: \xff=;;",
        b"Connection: \xff",
    ],
)
async def test_fields_of_a_handshake(serve, field: bytes) -> None:
    async with serve() as server:
        stream = server.stream()
        await stream.send_all(HANDSHAKE % b"/v3/watch" + (field + b"\r\n" if field else b"") + b"\r\n")
        answer = bytes(await stream.receive_some())
        assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer  # the example of RFC 6455, 1.3
        await stream.aclose()


async def test_a_path_that_is_not_there(serve) -> None:
    async with serve() as server:
        answer = await server.exchange(HANDSHAKE % b"/v3/nope" + b"\r\n")
        assert answer.partition(b"\r\n\r\n")[2] == b"\x81\x09Not Found"


async def test_a_client_that_does_not_wait_for_the_handshake(serve) -> None:
    async with serve() as server:
        assert await server.exchange(HANDSHAKE % b"/v3/watch" + b"\r\n\x81\x80\0\0\0\0") == b""


async def test_a_unary_call_is_made_when_the_client_closes(serve, member: FakeMember) -> None:
    async with serve() as server, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, server.stream(), "test", "/v3/kv/put")
        await websocket.send_message('{"key":"YQ=="}')
        await trio.testing.wait_all_tasks_blocked()
        assert member.services.kv.calls == []
        await websocket.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert [request.key for request, _ in member.services.kv.calls] == [b"a"]
