from __future__ import annotations

import errno
import socket

import pytest
import trio

from trioetcd.config import parse_url, parse_urls
from trioetcd.node.network import TcpNetwork


async def test_what_is_listened_at_can_be_dialled() -> None:
    network = TcpNetwork()
    (listener,) = await network.listen(parse_urls("http://127.0.0.1:0"))
    assert isinstance(listener, trio.SocketListener)
    host, port = listener.socket.getsockname()
    async with listener, await trio.open_tcp_stream(host, port) as ours, await listener.accept() as theirs:
        await ours.send_all(b"hello")
        assert await theirs.receive_some() == b"hello"


async def test_a_taken_port_is_named_and_nothing_stays_open() -> None:
    network = TcpNetwork()
    (taken,) = await network.listen(parse_urls("http://127.0.0.1:0"))
    assert isinstance(taken, trio.SocketListener)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free_port = probe.getsockname()[1]
    free, port = parse_url(f"http://127.0.0.1:{free_port}"), taken.socket.getsockname()[1]
    async with taken:
        with pytest.raises(OSError, match=rf"listen http://127\.0\.0\.1:{port}: ") as refusal:
            await network.listen((free, parse_url(f"http://127.0.0.1:{port}")))
        assert refusal.value.errno == errno.EADDRINUSE
    (again,) = await network.listen((free,))
    await again.aclose()
