"""The lean socket stream, over real sockets."""

from __future__ import annotations

import os
import socket

import pytest
import trio

from trioetcd.http11 import BodyTooLarge, LeanSocketStream, ServerConnection


async def open_pair() -> tuple[LeanSocketStream, trio.SocketStream]:
    ours, theirs = trio.socket.socketpair(socket.AF_UNIX)
    return LeanSocketStream.take_over(trio.SocketStream(ours)), trio.SocketStream(theirs)


async def test_bytes_both_ways_and_the_end() -> None:
    lean, plain = await open_pair()
    async with lean, plain:
        await plain.send_all(b"ping")
        assert await lean.receive_some() == b"ping"
        await lean.send_all(b"pong")
        assert await plain.receive_some() == b"pong"
        await lean.send_eof()
        assert await plain.receive_some() == b""
        await plain.send_eof()
        assert await lean.receive_some() == b""


async def test_a_full_socket_makes_send_all_wait() -> None:
    lean, plain = await open_pair()
    data = bytes(range(256)) * 20_000
    received = bytearray()

    async def read() -> None:
        while len(received) < len(data):
            received.extend(await plain.receive_some())

    async with lean, plain, trio.open_nursery() as nursery:
        assert lean.send_nowait(data) < len(data)
        with trio.move_on_after(0.02) as scope:
            await lean.send_all(data)
        assert scope.cancelled_caught
    lean, plain = await open_pair()
    async with lean, plain, trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await lean.send_all(data)
    assert received == data


async def test_a_broken_and_a_closed_connection_are_told_apart() -> None:
    lean, plain = await open_pair()
    await plain.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await lean.send_all(b"x")
    await lean.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await lean.send_all(b"x")
    with pytest.raises(trio.ClosedResourceError):
        await lean.receive_some()


async def test_closing_wakes_who_waits() -> None:
    lean, plain = await open_pair()

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await lean.receive_some()

    async with plain, trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await lean.aclose()


async def test_a_refused_upload_still_reads_its_answer() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listeners[0].socket.getsockname()

    async def serve() -> None:
        accepted = await listeners[0].accept()
        descriptor = accepted.socket.fileno()
        connection = ServerConnection(LeanSocketStream.take_over(accepted))
        with socket.socket(fileno=os.dup(descriptor)) as same:
            assert same.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert same.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert await connection.next_request() is not None
        with pytest.raises(BodyTooLarge):
            await connection.read_body(1000)
        await connection.respond(429, [], b"too much")
        assert await connection.next_request() is None
        await connection.aclose()
        await listeners[0].aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        client = await trio.open_tcp_stream(address[0], address[1])
        async with client:
            await client.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
            answer = bytearray()

            async def read() -> None:
                while data := await client.receive_some():
                    answer.extend(data)

            async with trio.open_nursery() as uploading:
                uploading.start_soon(read)
                for _ in range(10):
                    await client.send_all(b"x" * 100_000)
                await client.send_eof()
            assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
            assert b"Connection: close\r\n" in answer
            assert answer.endswith(b"too much")
