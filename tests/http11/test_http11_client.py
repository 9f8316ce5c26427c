"""The client's side, against a server that is a script."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MemorySendStream, memory_stream_pair

from trioetcd.http11 import BadResponse, ClientConnection, ServerGone


def make_pair() -> tuple[ClientConnection, trio.abc.Stream]:
    ours, theirs = memory_stream_pair()
    return ClientConnection(ours, host="example.test:2379"), theirs


async def read_until(stream: trio.abc.ReceiveStream, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        received = await stream.receive_some()
        assert received, data
        data += received
    return data


async def test_a_whole_exchange_and_another_on_the_same_connection() -> None:
    client, server = make_pair()

    async def serve() -> None:
        request = await read_until(server, b"hello")
        assert request.startswith(b"POST /a HTTP/1.1\r\nHost: example.test:2379\r\nX-One: 1\r\n")
        assert b"Content-Length: 5\r\n" in request
        await server.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Two: 2\r\n\r\nabc")
        request = await read_until(server, b"\r\n\r\n")
        assert request.startswith(b"GET /b HTTP/1.1\r\n")
        assert b"Content-Length" not in request
        await server.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        response = await client.request("POST", "/a", [(b"X-One", b"1")], b"hello")
        assert response == (200, {b"content-length": b"3", b"x-two": b"2"}, b"abc")
        assert client.reusable
        assert (await client.request("GET", "/b")).status == 404
        assert not client.reusable
    await client.aclose()


async def test_a_chunked_body_is_joined_however_it_arrives() -> None:
    client, server = make_pair()
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"

    async def drip() -> None:
        for index in range(len(response)):
            await server.send_all(response[index : index + 1])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        async with client.stream("POST", "/v3/watch") as exchange:
            status, _ = await exchange.receive_head()
            assert status == 200
            assert await exchange.receive_body() == b"firstsecond"
            await exchange.end()
    assert client.reusable


async def test_the_request_streams_while_the_response_does() -> None:
    client, server = make_pair()

    async def serve() -> None:
        await read_until(server, b"\r\n\r\n3\r\nabc\r\n")
        await server.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await read_until(server, b"3\r\nabc\r\n")
        await server.send_all(b"2\r\nok\r\n")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with client.stream("POST", "/v3/watch") as exchange:
            await exchange.send(b"abc")
            assert (await exchange.receive_head())[0] == 200
            assert await exchange.receive_some() == b"ok"
            await exchange.send(b"abc")
            assert await exchange.receive_some() == b"ok"
    assert not client.reusable  # left before its end


async def test_a_large_body_is_refused_by_its_bound() -> None:
    client, server = make_pair()
    await server.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890")
    with pytest.raises(BadResponse, match="more than the 10 bytes"):
        await client.request("GET", "/", response_bytes_max=10)
    assert not client.reusable


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
async def test_a_server_that_closes_in_the_middle(sent: bytes) -> None:
    client, server = make_pair()
    if sent:
        await server.send_all(sent)
    assert isinstance(server, trio.StapledStream)
    assert isinstance(server.send_stream, MemorySendStream)
    server.send_stream.close()
    with pytest.raises(ServerGone):
        await client.request("GET", "/")


async def test_what_is_not_http_is_told_so() -> None:
    client, server = make_pair()
    await server.send_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    with pytest.raises(BadResponse, match=r"not HTTP/1\.1"):
        await client.request("GET", "/")


async def test_informational_responses_are_passed_over() -> None:
    client, server = make_pair()
    await server.send_all(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (await client.request("POST", "/", body=b"x")).status == 200
