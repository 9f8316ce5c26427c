"""A cluster of scripts: members behind in-memory streams, each call answered by a function of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import TypeVar

import trio
from trio.testing import memory_stream_pair

from trioetcd.api import json_codec
from trioetcd.api import messages as m
from trioetcd.api.errors import HTTP_STATUS, ApiError
from trioetcd.client import Client, Endpoint, connect
from trioetcd.http11 import ClientGone, Request, ServerConnection

T = TypeVar("T")
JSON = [(b"Content-Type", b"application/json")]
ENDPOINTS = ["http://one:2379", "http://two:2379", "three:2379"]


class Call:
    """One request at one member."""

    def __init__(self, member: str, connection: ServerConnection, request: Request) -> None:
        self.member = member
        self.path = request.path
        self.headers = request.headers
        self._connection = connection

    async def read(self, cls: type[T]) -> T:
        return json_codec.decode(cls, await self._connection.read_body(1 << 20))

    async def answer(self, message: object) -> None:
        await self._connection.respond(200, JSON, json_codec.encode(message))

    async def refuse(self, error: ApiError) -> None:
        await self._connection.respond(HTTP_STATUS[error.code], JSON, json_codec.encode_unary_error(error))

    async def begin(self) -> m.WatchCreateRequest:
        """Read what a watch asks for, and begin the answer."""
        request = await self.read(m.WatchRequest)
        await self._connection.start_stream(200, JSON)
        assert request.create_request is not None
        return request.create_request

    async def tell(self, response: m.WatchResponse) -> None:
        await self.send(json_codec.encode_stream_result(json_codec.encode(response)))

    async def send(self, data: bytes) -> None:
        await self._connection.send_chunk(data)

    async def end(self) -> None:
        await self._connection.end_stream()

    async def wait_departure(self) -> None:
        await self._connection.wait_departure()
        raise trio.ClosedResourceError

    async def hang_up(self) -> None:
        await self._connection.aclose()
        raise trio.ClosedResourceError  # nothing of this request is left to handle


Handler = Callable[[Call], Awaitable[None]]


class FakeCluster:
    """Serves every connection with one handler; members in `down` refuse connections, those in `mute` never answer."""

    def __init__(self, handler: Handler, nursery: trio.Nursery) -> None:
        self._handler = handler
        self._nursery = nursery
        self.down: set[str] = set()
        self.mute: set[str] = set()
        self.make_streams: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = memory_stream_pair
        self.dials: list[str] = []
        self.closed = 0

    async def open_stream(self, endpoint: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dials.append(endpoint.host)
        if endpoint.host in self.mute:
            await trio.sleep_forever()
        if endpoint.host in self.down:
            raise ConnectionRefusedError(111, "connection refused")
        ours, theirs = self.make_streams()
        self._nursery.start_soon(self._serve, endpoint.host, theirs)
        return ours

    async def _serve(self, member: str, stream: trio.abc.Stream) -> None:
        connection = ServerConnection(stream)
        try:
            while (request := await connection.next_request()) is not None:
                await self._handler(Call(member, connection, request))
        except (trio.BrokenResourceError, trio.ClosedResourceError, ClientGone):
            pass  # the client went away, or the test hung up
        self.closed += 1


@asynccontextmanager
async def cluster_of(handler: Handler, **options: object) -> AsyncIterator[tuple[Client, FakeCluster]]:
    """A client of three members that answer by `handler`."""
    async with trio.open_nursery() as nursery:
        cluster = FakeCluster(handler, nursery)
        async with connect(ENDPOINTS, open_stream=cluster.open_stream, random=Random(1), **options) as client:  # type: ignore[arg-type] # what tests pass on
            yield client, cluster
        nursery.cancel_scope.cancel()
