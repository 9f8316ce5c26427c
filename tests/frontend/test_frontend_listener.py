"""The listener: how many it serves, and how it stops."""

from __future__ import annotations

import errno
import os

import pytest
import trio
from frontend_fakes import FakeMember

from trioetcd.frontend import ClientListener, build_routes
from trioetcd.http11 import ClientConnection, ServerGone
from trioetcd.log import null_logger

RANGE = b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"


async def read_all(stream: trio.abc.Stream) -> bytes:
    data = b""
    while more := await stream.receive_some():
        data += more
    return data


async def test_more_than_the_most_wait_their_turn(serve) -> None:
    async with serve(connections_max=2) as server:
        clients = [server.client() for _ in range(3)]
        for client in clients[:2]:
            await client.request("GET", "/version")
        with trio.move_on_after(0.02) as scope:
            await clients[2].request("GET", "/version")
        assert scope.cancelled_caught
        assert server.client_listener.status().connections == 2
        await clients[2].aclose()
        await clients[0].aclose()
        assert (await server.client().request("GET", "/version")).status == 200


async def test_a_stop_lets_requests_end_and_idle_connections_go(
    serve, member: FakeMember, autojump_clock: trio.testing.MockClock
) -> None:
    async def slow() -> None:
        await trio.sleep(3)

    member.services.kv.ranging = slow
    async with serve() as server:
        idle, busy, watching = server.client(), server.stream(), server.client()
        assert (await idle.request("GET", "/version")).status == 200
        await busy.send_all(RANGE)
        async with watching.stream("POST", "/v3/watch", body=b'{"create_request":{}}') as exchange:
            await exchange.receive_head()
            await exchange.receive_some()
            start = trio.current_time()
            server.client_listener.stop(grace_seconds=5)
            with pytest.raises(ServerGone):
                await exchange.receive_some()
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BrokenResourceError):
                await idle.request("GET", "/version")
            assert trio.current_time() == start
            assert server.client_listener.status().stopping
            answer = await read_all(busy)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"Connection: close\r\n" in answer
            assert trio.current_time() == start + 3
    assert server.listener.closed


async def test_a_stop_cancels_what_outlasts_its_grace(
    serve, member: FakeMember, autojump_clock: trio.testing.MockClock
) -> None:
    member.services.kv.ranging = trio.sleep_forever
    async with serve() as server:
        busy = server.stream()
        await busy.send_all(RANGE)
        await trio.sleep(1)
        server.client_listener.stop(grace_seconds=5)
        assert await read_all(busy) == b""
        assert trio.current_time() == pytest.approx(6, abs=1e-6)


async def test_real_sockets(member: FakeMember) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listeners[0].socket.getsockname()
    listener = ClientListener(
        listeners=listeners, routes=build_routes(member=member, max_request_bytes=1000), log=null_logger()
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        client = ClientConnection(await trio.open_tcp_stream(host, port), host=host)
        for _ in range(3):
            assert (await client.request("POST", "/v3/kv/put", body=b'{"key":"YQ=="}')).status == 200
        large = await client.request("POST", "/v3/kv/range", body=b'{"key":"YQ=="}')
        assert len(large.body) > 5000
        _, context = member.services.kv.calls[0]
        assert context.remote.startswith("127.0.0.1:")
        await client.aclose()
        listener.stop(grace_seconds=1)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ECONNABORTED])
async def test_what_passes_does_not_end_the_listener(
    member: FakeMember, autojump_clock: trio.testing.MockClock, number: int
) -> None:
    class Poor(trio.abc.Listener[trio.abc.Stream]):
        failures = 3

        async def accept(self) -> trio.abc.Stream:
            if self.failures:
                self.failures -= 1
                raise OSError(number, "not now")
            return await trio.sleep_forever()

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    poor = Poor()
    listener = ClientListener(
        listeners=[poor], routes=build_routes(member=member, max_request_bytes=1000), log=null_logger()
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        await trio.sleep(1)
        assert poor.failures == 0
        nursery.cancel_scope.cancel()


async def test_a_client_whose_connection_broke_before_it_is_served_ends_nothing(member: FakeMember) -> None:
    class Listener(trio.abc.Listener[trio.abc.Stream]):
        coming: list[trio.SocketStream]

        async def accept(self) -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return self.coming.pop() if self.coming else await trio.sleep_forever()

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    ours, theirs = trio.socket.socketpair()
    theirs.close()
    reader, writer = os.pipe()
    os.dup2(reader, ours.fileno())  # no call on the socket succeeds any more
    coming = Listener()
    coming.coming = [trio.SocketStream(ours)]
    listener = ClientListener(
        listeners=[coming], routes=build_routes(member=member, max_request_bytes=1000), log=null_logger()
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(listener.run)
        await trio.testing.wait_all_tasks_blocked()
        assert not coming.coming
        assert listener.status().connections == 0
        assert not nursery.cancel_scope.cancel_called
        nursery.cancel_scope.cancel()
    os.close(reader)
    os.close(writer)
