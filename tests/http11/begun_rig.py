"""A connection whose requests are begun, a client that talks to it, and what becomes of each as a test says."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress

import trio
from trio.testing import wait_all_tasks_blocked

from trioetcd.http11 import (
    BadRequest,
    DateField,
    KnownHeads,
    LeanSocketStream,
    Limits,
    Readiness,
    Reaper,
    Request,
    ServerConnection,
    prepare_head,
)

DATE = DateField(lambda: 784111777.0)
HEAD = prepare_head(200, [])


def post(body: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST /x HTTP/%b\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (version, lines, len(body), body)


def ok(body: bytes, extra: bytes = b"") -> bytes:
    date = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    return b"HTTP/1.1 200 OK\r\n%b%bContent-Length: %d\r\n\r\n%b" % (extra, date, len(body), body)


class Call:
    """A request that was begun, and how often it was given up."""

    def __init__(self, connection: ServerConnection, request: Request) -> None:
        self.connection = connection
        self.body = request.body or b""
        self.abandoned = 0

    def answer(self, body: bytes | None = None) -> None:
        """Answer it, with what it sent unless that is told."""
        self.connection.answer_begun(HEAD, self.body if body is None else body)

    def abandon(self) -> None:
        self.abandoned += 1


class Rig:
    """A client, and the connection that serves it: `begins` tells what becomes of a request, by its body.

    What is not begun is answered by the connection's task with `long:` before its body.
    """

    def __init__(self, readiness: Readiness, *, limits: Limits | None = None) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.readiness = readiness
        self.stream = LeanSocketStream(ours, readiness=readiness)
        self.connection = ServerConnection(self.stream, date=DATE, limits=limits, known_heads=KnownHeads())
        self.reaper = Reaper()
        self.calls: list[Call] = []
        self.begun_bodies: list[bytes] = []
        self.now_body: bytes | None = None  # of what is answered at once
        self.handling = trio.Event()  # a handler of the connection's task answers once this is set
        self.handling.set()
        self.scope = trio.CancelScope()
        self.served = trio.Event()  # no request comes any more
        self.ended = trio.Event()
        self.on_begin: Callable[[], object] = bool
        self.error: Exception | None = None

    def begin(self, request: Request) -> Call | None:
        body = request.body or b""
        if body.startswith(b"long"):
            return None
        if body.startswith(b"broken"):
            raise ValueError("a defect")
        call = Call(self.connection, request)
        self.begun_bodies.append(body)
        self.on_begin()
        if body.startswith(b"now"):
            call.answer(self.now_body)
        else:
            self.calls.append(call)
        return call

    async def serve(self) -> None:
        try:
            with self.scope, self.reaper.guard(self.connection):
                while await self.connection.next_request(self.begin) is not None:
                    body = await self.connection.read_body(1 << 20)
                    await self.handling.wait()
                    await self.connection.respond_prepared(HEAD, b"long:" + body)
        except BadRequest as error:
            await self.connection.refuse(error)
        except (trio.BrokenResourceError, ValueError) as error:
            self.error = error
        finally:
            self.served.set()
            with trio.move_on_after(1, shield=True):
                await self.connection.aclose()
            self.ended.set()

    def send(self, data: bytes) -> None:
        self.peer.sendall(data)

    async def received(self) -> bytes:
        """What the client has got once everybody waits."""
        await wait_all_tasks_blocked()
        data = b""
        with suppress(BlockingIOError):
            while more := self.peer.recv(1 << 20):
                data += more
        return data

    async def exchange(self, data: bytes) -> bytes:
        self.send(data)
        return await self.received()

    async def begin_one(self, body: bytes = b"slow") -> Call:
        """A request that is begun and waits."""
        self.send(post(body))
        await wait_all_tasks_blocked()
        return self.calls[-1]

    async def read_until(self, size: int) -> bytes:
        """Read as a client does that is awake."""
        data = b""
        while len(data) < size:
            with suppress(BlockingIOError):
                more = self.peer.recv(1 << 20)
                assert more, f"the connection ended after {len(data)} of {size} bytes"
                data += more
            await trio.lowlevel.checkpoint()
        return data

    def fill(self) -> int:
        """Send until the socket is full, beside what the connection sends; the number of bytes."""
        filled = 0
        while sent := self.stream.send_nowait(b"f" * 4096):
            filled += sent
        return filled


async def start(readiness: Readiness, nursery: trio.Nursery, limits: Limits | None = None) -> Rig:
    """A connection whose usual heads, of bodies of three and four bytes, are known."""
    rig = Rig(readiness, limits=limits)
    await nursery.start(rig.reaper.run)
    nursery.start_soon(rig.serve)
    for body in (b"1st", b"four"):
        assert await rig.exchange(post(body)) == ok(b"long:" + body)
    return rig


async def ends(rig: Rig) -> bool:
    """Whether the connection was closed by now, without a request that is still counted."""
    await wait_all_tasks_blocked()
    if not rig.ended.is_set():
        return False
    assert rig.readiness.begun == 0
    return True


@asynccontextmanager
async def serving() -> AsyncIterator[Rig]:
    """One connection, and what it needs."""
    readiness = Readiness.create()
    assert readiness is not None
    with closing(readiness):
        async with trio.open_nursery() as nursery:
            await nursery.start(readiness.run)
            rig = await start(readiness, nursery)
            try:
                yield rig
            finally:
                rig.peer.close()
                nursery.cancel_scope.cancel()
