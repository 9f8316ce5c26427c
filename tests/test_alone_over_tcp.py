"""A lone member behind real sockets: a request's round runs in the turn of the task that found it readable."""

from __future__ import annotations

import select
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
import trio

from trioetcd.config import Url
from trioetcd.http11 import ClientConnection, ServerGone
from trioetcd.node.environment import Environment
from trioetcd.storage.filesystem import DiskFailure
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode
from trioetcd.testing.member import MemoryMember

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")

RUN_BY_THE_READER = "readiness.Readiness.run"


class AnyPort:
    """A `Network` of free ports on 127.0.0.1."""

    def __init__(self) -> None:
        self.last_port = 0

    async def listen(self, urls: Sequence[Url]) -> list[trio.SocketListener]:
        listeners = [one for _ in urls for one in await trio.open_tcp_listeners(0, host="127.0.0.1")]
        self.last_port = listeners[-1].socket.getsockname()[1]
        return listeners

    async def connect(self) -> ClientConnection:
        """To the listener that was opened last, which is that of clients."""
        return ClientConnection(await trio.open_tcp_stream("127.0.0.1", self.last_port), host="localhost")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> AnyPort:
    """The network of all members: their disks stay in memory."""
    network = AnyPort()
    in_memory = MemoryMember._environment

    def environment(member: MemoryMember) -> Environment:
        return replace(in_memory(member), network=network)

    monkeypatch.setattr(MemoryMember, "_environment", environment)
    return network


async def put(connection: ClientConnection, value: bytes) -> None:
    body = b'{"key":"aw==","value":"%b"}' % b64encode(value)
    response = await connection.request("POST", "/v3/kv/put", [], body)
    assert response.status == 200


async def get(connection: ClientConnection) -> bytes:
    return (await connection.request("POST", "/v3/kv/range", [], b'{"key":"aw=="}')).body


async def test_a_lone_request_is_done_and_lost_where_it_was_found_readable(network: AnyPort) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        member.may_fail = True
        connection = await network.connect()
        for _ in range(3):  # the first ones of a connection are not begun, but served by its task
            await put(connection, b"old")
        synced_by: list[str] = []

        def look(operation: str) -> None:
            if operation.startswith("sync "):
                synced_by.append(trio.lowlevel.current_task().name.rpartition("http11.")[2])

        member.before_operation = look
        await put(connection, b"old")
        assert synced_by == [RUN_BY_THE_READER]
        member.filesystem.fail_sync()
        with pytest.raises(ServerGone):
            await put(connection, b"new")
        await connection.aclose()
        await member.wait_ended()
        assert isinstance(member.failure, ExceptionGroup)
        _, others = member.failure.split(DiskFailure)
        assert others is None
        member.filesystem.crash(Random(0), CrashMode.DROP)
        member.engines.crash(CrashMode.DROP)
        await member.start()
        await cluster.wait_leader()
        connection = await network.connect()
        assert b64encode(b"old") in await get(connection)
        await connection.aclose()
