from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trioetcd.testing.network import MemoryNetwork

URL = "http://b:1"


async def connect(network):
    listener = network.host("b").listen(URL)
    client = await network.host("a").dial(URL)
    return client, await listener.accept(), listener


async def test_bytes_arrive_in_order_and_the_end_too(autojump_clock) -> None:
    client, server, _ = await connect(MemoryNetwork())
    await client.send_all(b"one")
    await client.send_all(b"two")
    assert await server.receive_some(4) == b"onet"
    assert await server.receive_some() == b"wo"
    await client.send_eof()
    assert await server.receive_some() == b""
    await server.send_all(b"still")
    assert await client.receive_some() == b"still"
    await server.aclose()
    assert await client.receive_some() == b""
    with pytest.raises(trio.ClosedResourceError):
        await server.receive_some()


async def test_a_full_buffer_makes_its_sender_wait(autojump_clock) -> None:
    client, server, _ = await connect(MemoryNetwork())
    with trio.move_on_after(1) as scope:
        await client.send_all(bytes(10_000_000))
    assert scope.cancelled_caught
    assert len(await server.receive_some()) > 100_000
    with trio.fail_after(1):
        await client.wait_send_all_might_not_block()


async def test_a_closed_end_breaks_the_sender(autojump_clock) -> None:
    client, server, _ = await connect(MemoryNetwork())
    await server.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")


async def test_a_partition_holds_bytes_back_until_it_heals(autojump_clock, nursery) -> None:
    network = MemoryNetwork()
    client, server, _ = await connect(network)
    network.partition("a", "b", one_way=True)
    await client.send_all(b"held")
    await server.send_all(b"passes")
    assert await client.receive_some() == b"passes"
    with trio.move_on_after(60) as scope:
        await server.receive_some()
    assert scope.cancelled_caught
    with trio.move_on_after(60) as scope:
        await network.host("a").dial(URL)
    assert scope.cancelled_caught
    nursery.start_soon(network.host("a").dial, URL)
    await wait_all_tasks_blocked()
    network.heal()
    assert await server.receive_some() == b"held"


async def test_dropped_connections_are_broken_at_both_ends(autojump_clock) -> None:
    network = MemoryNetwork()
    client, server, _ = await connect(network)
    await client.send_all(b"lost")
    network.drop_connections("b", "a")
    for stream in (client, server):
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"x")


async def test_urls_are_taken_once_and_free_again(autojump_clock) -> None:
    network = MemoryNetwork()
    _, _, listener = await connect(network)
    with pytest.raises(OSError, match="already in use"):
        network.host("c").listen(URL)
    await listener.aclose()
    with pytest.raises(ConnectionRefusedError, match="nobody listens"):
        await network.host("a").dial(URL)
    network.host("c").listen(URL)
