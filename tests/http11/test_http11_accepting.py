"""A listener that takes connections in bursts hands out each one, and closes what nobody took."""

from __future__ import annotations

import pytest
import trio

from trioetcd.http11 import BurstListener


async def make_listener() -> tuple[BurstListener, tuple[str, int]]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    address = listener.socket.getsockname()
    return BurstListener(listener), address


async def test_connections_that_wait_are_handed_out_in_one_turn() -> None:
    listener, (host, port) = await make_listener()
    async with listener:
        clients = [await trio.open_tcp_stream(host, port) for _ in range(5)]
        first = await listener.accept()
        with trio.CancelScope() as scope:
            scope.cancel()  # a checkpoint would raise
            rest = [await listener.accept() for _ in range(4)]
        assert not scope.cancelled_caught
        for client, accepted in zip(clients, [first, *rest], strict=True):
            await accepted.send_all(b"hello")
            assert await client.receive_some() == b"hello"
            await client.aclose()
            await accepted.aclose()


async def test_the_next_connection_is_waited_for(nursery: trio.Nursery) -> None:
    listener, (host, port) = await make_listener()
    async with listener:
        accepted: list[trio.SocketStream] = []

        async def take() -> None:
            accepted.append(await listener.accept())

        nursery.start_soon(take)
        await trio.testing.wait_all_tasks_blocked()
        assert accepted == []
        client = await trio.open_tcp_stream(host, port)
        while not accepted:
            await trio.lowlevel.checkpoint()
        await client.aclose()
        await accepted[0].aclose()


async def test_closing_ends_the_wait_and_what_was_not_handed_out() -> None:
    listener, (host, port) = await make_listener()
    clients = [await trio.open_tcp_stream(host, port) for _ in range(3)]
    taken = await listener.accept()
    await listener.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()
    await taken.aclose()
    for client in clients:
        assert await client.receive_some() == b""
        await client.aclose()
    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream(host, port)
