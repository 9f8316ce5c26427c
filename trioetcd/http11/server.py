"""The server's side of one HTTP/1.1 connection: requests in order, each answered whole or as a stream of chunks.

The usual request, of some hundred bytes in one segment, costs one receive, one feed of the parser and one send; no
task and no cancel scope. Deadlines and departed clients are looked after by a `Reaper`, once for many connections.

A plain request need not even wake the connection's task: it is offered, in the turn in which it came, to the `begin` of
`next_request`, and what that takes upon itself is answered by whoever has the answer. The connection goes on being
read meanwhile, which shows a departure; what comes before the answer waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

import trio

from trioetcd.http11.engines import make_parser
from trioetcd.http11.known_heads import KnownHeads, RememberingParser
from trioetcd.http11.messages import (
    RECEIVE_BYTES,
    BadBody,
    BadRequest,
    BodyTooLarge,
    ClientGone,
    HeaderList,
    Limits,
    Request,
)
from trioetcd.http11.parser import Engine
from trioetcd.http11.responses import CONTINUE, LAST_CHUNK, DateField, bad_request, prepare_head
from trioetcd.http11.streams import LeanSocketStream, ReplayStream

_LINGER_SECONDS: Final = 0.5
"""Go's: how long a client that still sends is given to read its answer before the connection is reset."""

_LAST_ANSWER_SECONDS: Final = 0.25
"""How long an answer that is under way is waited for once the client has ended its side: it may have left."""


class Begun(Protocol):
    """A request that somebody took upon himself, who calls `answer_begun` once, unless it is abandoned before."""

    def abandon(self) -> None:
        """The client is gone, or the connection is to end: nobody is there for the answer."""
        ...


Begin = Callable[[Request], Begun | None]
"""Takes a request upon itself, or leaves it to the connection's task. It may answer before it returns."""


class Phase(Enum):
    """What a connection is doing."""

    IDLE = "idle"  # between requests, nothing has arrived
    HEAD = "head"  # a head is awaited, or has arrived in part
    BUSY = "busy"  # a request is with its handler


class ServerConnection:
    """One connection, used by one task; while a response streams, a second task may read the request's body.

    All methods raise `trio.BrokenResourceError` when the client is gone. `next_request` and the reads are
    checkpoints; the responding methods wait only when the network is slower than we are.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        engine: Engine = "httptools",
        limits: Limits | None = None,
        date: DateField | None = None,
        known_heads: KnownHeads | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.requests_served = 0
        self._stream = stream
        self._send_nowait = getattr(stream, "send_nowait", None)
        self._send_soon = getattr(stream, "send_soon", None)
        self._shared_stream = stream if isinstance(stream, LeanSocketStream) and stream.is_shared else None
        parser = make_parser(engine, head_bytes_max=self.limits.head_bytes_max)
        self._parser = RememberingParser(parser, KnownHeads() if known_heads is None else known_heads)
        self._date = date or DateField()
        self._request: Request | None = None  # the one that is with its handler
        self._begin: Begin | None = None
        self._begun: Begun | None = None  # who has taken `_request` upon himself
        self._answered: trio.Event | None = None  # while the connection's task waits for that answer
        self._unread: Request | None = None  # answered, but the rest of its body is still to come
        self._continue_sent = False
        self._last = False  # no request follows the present one
        self._received_eof = False
        self._pending_head = b""  # of a streamed response, sent together with its first chunk
        self._chunked = True
        self._watcher: _DepartureWatch | None = None
        self._receiving = False
        self._received_bytes = 0
        self._detached = False

    # -- requests

    async def next_request(self, begin: Begin | None = None) -> Request | None:
        """Wait for the next request; None when no more come: the client closed, or the connection was told to end.

        Plain requests are first offered to `begin`, where the stream is one that is read together with others. Raises
        BadRequest when what arrived is not HTTP: `refuse` it and close.
        """
        assert self._request is None, "answer a request before asking for the next"
        if self._unread is not None and not self._last and not await self._drain(self._unread):
            return None
        while not self._last:
            request = self._parser.take()
            if request is not None:
                self._request = request
                self._continue_sent = False
                self.requests_served += 1
                return request
            if self._watcher is not None:
                await self._unwatch(self._watcher)
                continue  # the last that it read may have made a request whole
            if begin is not None and self._shared_stream is not None:
                if not await self._receive_and_begin(self._shared_stream, begin):
                    return None
            elif not await self._receive_ahead():
                return None
        return None

    async def read_body(self, max_bytes: int) -> bytes:
        """The whole body of the present request. Raises BodyTooLarge, BadBody, BadRequest."""
        request = self._present()
        if request.body is not None:
            if len(request.body) > max_bytes:
                raise BodyTooLarge(size=len(request.body), limit=max_bytes)
            return request.body
        announced = request.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > max_bytes:
            raise BodyTooLarge(size=int(announced), limit=max_bytes)
        return await self._read_rest(max_bytes)

    async def read_chunk(self) -> bytes:
        """The next piece of the present request's body, as it arrives; empty at its end.

        Raises BadBody, ClientGone. May go on while a response streams, and must not while another task reads.
        """
        request = self._present()
        if request.body is not None:
            body, request.body = request.body, b""
            request.parts.clear()
            return body
        await self._promise(request)
        while not request.parts and not request.complete:
            if not await self._receive_body(request):
                raise ClientGone("the client closed the connection in the middle of a request's body")
        return request.take_parts()

    async def wait_departure(self) -> None:
        """Return when the client closes. Requests it sends meanwhile are kept, within bounds, and served later."""
        kept = 0
        while kept < RECEIVE_BYTES:
            before = self._received_bytes
            try:
                if not await self._receive_ahead():
                    return
            except trio.BrokenResourceError:
                return
            kept += self._received_bytes - before
        await trio.sleep_forever()  # a client that sends this much while it waits is noticed when it is answered

    # -- responses

    async def respond(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Answer the present request; Date and the framing are added. A HEAD request gets no body."""
        await self.respond_prepared(prepare_head(status, headers), body)

    async def respond_prepared(self, head: bytes, body: bytes) -> None:
        """Answer the present request with a head made by `prepare_head`, in one send."""
        await self._send_last(self._encode(head, body))

    def answer_begun(self, head: bytes, body: bytes) -> None:
        """Answer the request that `begin` took upon itself. What the socket does not take at once is sent later."""
        stream = self._shared_stream
        assert stream is not None, "requests are begun where there is an outbox for their answers"
        stream.send_whole(self._encode(head, body))
        if self._begun is not None:
            self._begun = None
            stream.count_begun(-1)
            if self._answered is not None:
                self._answered.set()
            elif self._last:
                stream.stop_receiving()

    def _encode(self, head: bytes, body: bytes) -> bytes:
        request = self._present()
        if not (request.keep_alive and request.complete) or self._last or request.version_1_0:
            head += self._connection_field(request)
        content = b"" if request.method == "HEAD" else body
        self._request = None
        return b"%bDate: %b\r\nContent-Length: %d\r\n\r\n%b" % (head, self._date.value(), len(body), content)

    async def start_stream(self, status: int, headers: HeaderList) -> None:
        """Begin a response of unknown length. Its head leaves together with the first chunk."""
        self._begin_stream(prepare_head(status, headers))

    async def start_stream_prepared(self, head: bytes) -> None:
        """As `start_stream`, with a head made by `prepare_head`."""
        self._begin_stream(head)

    async def respond_as_stream(self, head: bytes, data: bytes) -> None:
        """Answer the present request with a stream that is `data`, one chunk, and its end: in one send."""
        self._begin_stream(head)
        start = self._pending_head
        self._pending_head = b"%b%x\r\n%b\r\n" % (start, len(data), data) if self._chunked else start + data
        await self.end_stream()

    def _begin_stream(self, head: bytes) -> None:
        request = self._present()
        self._chunked = not request.version_1_0
        if self._chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
            if not request.keep_alive:
                framing += self._connection_field(request)
        else:
            request.keep_alive = False  # only its end can end the response
            framing = self._connection_field(request)
        self._pending_head = b"%bDate: %b\r\n%b\r\n" % (head, self._date.value(), framing)

    async def send_chunk(self, data: bytes) -> None:
        """Send `data`, which is not empty, as exactly one chunk and one send."""
        assert data, "an empty chunk would end the response: use end_stream"
        head, self._pending_head = self._pending_head, b""
        await self._send(b"%b%x\r\n%b\r\n" % (head, len(data), data) if self._chunked else head + data)

    async def end_stream(self) -> None:
        """End the streamed response."""
        request = self._present()
        if not (request.keep_alive and request.complete):
            self._connection_field(request)
            self._last = True
        head, self._pending_head = self._pending_head, b""
        self._request = None
        await self._send_last(head + LAST_CHUNK if self._chunked else head)

    async def refuse(self, error: BadRequest) -> None:
        """Answer what is not HTTP as Go's server does. Nothing can follow on this connection."""
        self._request = None
        self._last = True
        await self._send(bad_request(error, date=self._date.value()))

    # -- ends

    @property
    def phase(self) -> Phase:
        """What the connection is doing. A new one counts as awaiting its first head."""
        if self._request is not None or self._detached:
            return Phase.BUSY
        return Phase.HEAD if not self.requests_served or self._parser.in_head or self._unread else Phase.IDLE

    @property
    def waits_unwatched(self) -> bool:
        """Whether a request is with its handler while nobody would notice that the client closes."""
        request = self._request
        watched = self._receiving or self._watcher is not None or self._received_eof
        return request is not None and request.complete and not watched

    def watch_departure(self, nursery: trio.Nursery, scope: trio.CancelScope) -> None:
        """Start a task that cancels `scope` if the client closes; it ends when the connection is read from again."""
        assert self._watcher is None
        self._watcher = _DepartureWatch(self, on_departure=scope)
        nursery.start_soon(self._watcher.run)

    def finish(self) -> None:
        """Serve no request after the present one. An idle connection is ended by cancelling its task."""
        self._last = True

    def detach(self) -> trio.abc.Stream:
        """Give the stream away, as if the present request had not been read: for the WebSocket handshake."""
        request = self._present()
        self._request = None
        self._detached = True
        self._last = True
        return ReplayStream(self._stream, first=request.head_bytes() + self._parser.leftover)

    def hijack(self) -> tuple[trio.abc.Stream, bytes]:
        """Give the stream away behind the present request, with what has arrived already of what follows."""
        self._present()
        self._request = None
        self._detached = True
        self._last = True
        return self._stream, self._parser.leftover

    async def aclose(self) -> None:
        """Close the connection; a client that still sends is read from for a moment, so that it sees its answer."""
        if self._begun is not None:
            self._begun.abandon()
            self._begun = None
            if self._shared_stream is not None:
                self._shared_stream.count_begun(-1)
        try:
            if self._unread is not None and not self._received_eof:
                await self._linger()
        finally:
            await self._stream.aclose()

    # -- below

    def _present(self) -> Request:
        assert self._request is not None, "there is no request that waits for its answer"
        return self._request

    async def _receive(self) -> bool:
        """Receive once and parse; False at the end of what the client sends."""
        if self._watcher is not None:
            await self._unwatch(self._watcher)
        return await self._receive_ahead()

    async def _unwatch(self, watcher: _DepartureWatch) -> None:
        await watcher.stop()
        self._watcher = None

    async def _receive_ahead(self) -> bool:
        self._receiving = True
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        finally:
            self._receiving = False
        if not data:
            self._received_eof = True
            return False
        self._received_bytes += len(data)
        self._parser.feed(bytes(data))
        return True

    async def _receive_and_begin(self, stream: LeanSocketStream, begin: Begin) -> bool:
        """Receive until something comes that this task must see to; False at the end of what the client sends."""
        self._begin = begin
        self._receiving = True
        try:
            await stream.receive_into(self._parse_and_begin)
        finally:
            self._receiving = False
        if self._begun is not None:
            self._answered = trio.Event()
            with trio.move_on_after(_LAST_ANSWER_SECONDS if self._received_eof else math.inf):
                await self._answered.wait()
            self._answered = None
        if self._received_eof or self._last:
            await stream.finish_sending()  # for as long as the client reads; a connection is closed in less
        return not self._received_eof

    def _parse_and_begin(self, data: bytes) -> bool:
        """Parse what came, and begin the request that it is; True when the connection's task must see to it."""
        if not data:
            self._received_eof = True
            return True
        self._received_bytes += len(data)
        self._parser.feed(data)
        request = self._parser.recalled
        stream = self._shared_stream
        if request is None or self._request is not None or self._last or stream is None or stream.has_unsent:
            return True
        assert self._begin is not None
        self._request = request
        begun = self._begin(request)
        if begun is None:
            self._request = None
            return True
        self._parser.take()
        self.requests_served += 1
        if self._request is not None:
            self._begun = begun
            stream.count_begun(1)
        return False

    async def _promise(self, request: Request) -> None:
        if not self._continue_sent and request.expects_continue:
            self._continue_sent = True
            await self._send(CONTINUE)

    async def _receive_body(self, request: Request) -> bool:
        """Receive more of a body, unless it is known to be broken; False at the end of what the client sends."""
        self._raise_error()
        if not await self._receive():
            return False
        if not request.complete and not request.parts:
            self._raise_error()
        return True

    def _raise_error(self) -> None:
        if self._parser.error is not None:
            raise self._parser.error

    async def _read_rest(self, max_bytes: int) -> bytes:
        """Read a body that comes in pieces; give it up when it comes slower than the limit."""
        request = self._present()
        await self._promise(request)
        body = bytearray(request.take_parts())
        size = len(body)
        slack = self.limits.head_seconds
        start = trio.current_time()
        with trio.CancelScope() as scope:
            while not request.complete:
                scope.deadline = start + slack + size / self.limits.body_bytes_per_second_min
                before = self._received_bytes
                if not await self._receive_body(request):
                    raise BadBody("unexpected EOF")
                size += self._received_bytes - before
                body += request.take_parts()
                if len(body) > max_bytes:
                    raise BodyTooLarge(size=size, limit=max_bytes)
        if scope.cancelled_caught:
            raise BadRequest(408, f"the body came slower than {self.limits.body_bytes_per_second_min} bytes a second")
        if len(body) > max_bytes:
            raise BodyTooLarge(size=len(body), limit=max_bytes)
        return bytes(body)

    async def _drain(self, request: Request) -> bool:
        """Read what a handler left of a body; False when that is too much, or never came."""
        left = self.limits.unread_bytes_max
        while not request.complete:
            request.parts.clear()
            before = self._received_bytes
            if left < 0 or not await self._receive():
                return False
            self._raise_error()
            left -= self._received_bytes - before
        self._unread = None
        return True

    def _connection_field(self, request: Request) -> bytes:
        """Decide whether the connection survives an answer out of the ordinary, and say so."""
        if not request.complete:
            self._unread = request
            announced = request.headers.get(b"content-length", b"0")
            promised = request.expects_continue and not self._continue_sent
            if promised or not announced.isdigit() or int(announced) > self.limits.unread_bytes_max:
                self._last = True
            if self._parser.error is not None:
                self._last = True
        if not request.keep_alive:
            self._last = True
        if self._last:  # to HTTP/1.0 it goes without saying, and Go's server does not say it
            return b"" if request.version_1_0 else b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if request.version_1_0 else b""

    async def _send(self, data: bytes) -> None:
        if self._send_nowait is None:
            await self._stream.send_all(data)
            return
        sent = self._send_nowait(data)
        if sent < len(data):
            await self._stream.send_all(memoryview(data)[sent:])

    async def _send_last(self, data: bytes) -> None:
        """Send what ends an answer: it may leave together with those of others."""
        sent = 0 if self._send_soon is None else self._send_soon(data)
        if sent < len(data):
            await self._stream.send_all(memoryview(data)[sent:])

    async def _linger(self) -> None:
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with trio.move_on_after(_LINGER_SECONDS):
                try:
                    await self._stream.send_eof()
                    while await self._stream.receive_some(RECEIVE_BYTES):
                        continue
                except trio.BrokenResourceError:
                    return  # it is gone, so nothing is left to be read


class _DepartureWatch:
    """One task that reads ahead while a handler takes its time, to see whether the client is still there."""

    def __init__(self, connection: ServerConnection, *, on_departure: trio.CancelScope) -> None:
        self._connection = connection
        self._on_departure = on_departure
        self._scope = trio.CancelScope()
        self._done = trio.Event()

    async def run(self) -> None:
        try:
            with self._scope:
                await self._connection.wait_departure()
                self._on_departure.cancel()
        except trio.ClosedResourceError:
            return  # the connection was closed by its own task
        finally:
            self._done.set()

    async def stop(self) -> None:
        self._scope.cancel()
        await self._done.wait()
