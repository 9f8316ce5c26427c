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
        keyed = upgrade + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        assert (await server.exchange(b"GET /health " + keyed)).startswith(b"HTTP/1.1 200 OK\r\n")
        assert (await server.exchange(b"GET /v3/kv/put " + keyed)).startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "field",
    [
        b"Sec-WebSocket-Protocol: Bearer, \xff",
        b"Sec-WebSocket-Extensions: \xff;;=,",
        b"Host: xn--99999999999",
        b"Connection: Upgrade, \xff",
    ],
)
async def test_fields_that_the_library_cannot_read(serve, field: bytes) -> None:
    lines = [
        b"GET /v3/watch HTTP/1.1",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        field,
    ]
    lines += [b"Host: a"] * (not field.startswith(b"Host"))
    lines += [b"Connection: Upgrade"] * (not field.startswith(b"Connection"))
    async with serve() as server:
        assert (await server.exchange(b"\r\n".join([*lines, b"", b""]))).startswith(b"HTTP/1.1 400 ")
        assert (await server.exchange(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
