"""The client's side of one HTTP/1.1 connection, on h11: whole exchanges, and exchanges that stream both ways."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import h11
import trio

from trioetcd.http11.messages import (
    RECEIVE_BYTES,
    BadResponse,
    HeaderList,
    Headers,
    Response,
    ServerGone,
    join_headers,
)

_HEAD_BYTES_MAX: Final = 65_536
_RESPONSE_BYTES_MAX: Final = 512 * 1024 * 1024
"""Default bound of one response body; etcd bounds its responses by 2 GiB."""


class ClientConnection:
    """One connection to a server, used by one task at a time (a streaming exchange: one sender, one receiver).

    `host` is the value of the Host header. After an exchange that did not end well (an exception, a cancellation, a
    response with `Connection: close`) `reusable` is False and the connection can only be closed.

    Every method raises `trio.BrokenResourceError` when the network breaks, `ServerGone` when the server closed in the
    middle, `BadResponse` when it broke the protocol.
    """

    def __init__(self, stream: trio.abc.Stream, *, host: str) -> None:
        self._stream = stream
        self._host = host.encode("ascii")
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES_MAX)
        self._reusable = True

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection: not when the server closed it meanwhile.

        That is seen of sockets, also below TLS; of another stream only the next exchange tells.
        """
        return self._reusable and not _has_input(self._stream)

    async def request(
        self,
        method: str,
        target: str,
        headers: HeaderList = (),
        body: bytes = b"",
        *,
        response_bytes_max: int = _RESPONSE_BYTES_MAX,
    ) -> Response:
        """Send one request and read its whole response. A cancellation leaves the connection not reusable."""
        async with self.stream(method, target, headers, body, response_bytes_max=response_bytes_max) as exchange:
            status, response_headers = await exchange.receive_head()
            return Response(status, response_headers, await exchange.receive_body())

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        target: str,
        headers: HeaderList = (),
        body: bytes | None = None,
        *,
        response_bytes_max: int = _RESPONSE_BYTES_MAX,
    ) -> AsyncIterator[ClientExchange]:
        """Send a request whose response is read piece by piece; leaving the block early gives the connection up.

        With `body=None` the request's body is chunked and open: `exchange.send` and `exchange.end` write it, also
        while the response streams. `response_bytes_max` bounds a body that is read whole.
        """
        assert self._reusable, "this connection cannot carry another request: open a new one"
        self._reusable = False
        exchange = ClientExchange(self._stream, self._h11, response_bytes_max=response_bytes_max)
        await exchange.send_head(method, target, [(b"Host", self._host), *headers], body)
        yield exchange
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            self._reusable = True

    async def aclose(self) -> None:
        """Close the connection."""
        self._reusable = False
        await self._stream.aclose()


def _has_input(stream: trio.abc.Stream) -> bool:
    """Whether something waits to be received on a socket: nothing was asked, so it can only be the end."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream) or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(stream.socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class ClientExchange:
    """One request and its response, under way. Made by `ClientConnection.stream`."""

    def __init__(self, stream: trio.abc.Stream, connection: h11.Connection, *, response_bytes_max: int) -> None:
        self._stream = stream
        self._h11 = connection
        self._bytes_max = response_bytes_max

    async def send_head(self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes | None) -> None:
        """Send the request line, the header fields and, when it is given, the body, all in one piece."""
        framing = (b"Transfer-Encoding", b"chunked") if body is None else (b"Content-Length", b"%d" % len(body))
        if body != b"" or method not in {"GET", "HEAD"}:
            headers.append(framing)
        event = h11.Request(method=method, target=target, headers=headers)
        data = self._h11.send(event) or b""
        if body is not None:
            data += self._h11.send(h11.Data(data=body)) or b""
            data += self._h11.send(h11.EndOfMessage()) or b""
        await self._stream.send_all(data)

    async def send(self, data: bytes) -> None:
        """Send a piece of the request's body, as one chunk."""
        await self._stream.send_all(self._h11.send(h11.Data(data=data)) or b"")

    async def end(self) -> None:
        """End the request's body."""
        await self._stream.send_all(self._h11.send(h11.EndOfMessage()) or b"")

    async def receive_head(self) -> tuple[int, Headers]:
        """Wait for status and header fields. A watch's come with its first message only."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event.status_code, join_headers(list(event.headers))
            if not isinstance(event, h11.InformationalResponse):
                raise BadResponse(f"the server sent {type(event).__name__} where the head of a response was expected")

    async def receive_some(self) -> bytes:
        """Wait for what comes next of the response, whatever its chunks; empty at its end.

        A cancellation loses nothing here: the next call goes on where this one was.
        """
        event = await self._next_data()
        return b"" if event is None else bytes(event.data)

    async def receive_body(self) -> bytes:
        """Wait for the rest of the response."""
        parts: list[bytes] = []
        size = 0
        while (event := await self._next_data()) is not None:
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > self._bytes_max:
                raise BadResponse(f"a response has more than the {self._bytes_max} bytes that are taken here")
        return b"".join(parts)

    async def _next_data(self) -> h11.Data | None:
        event = await self._next_event()
        assert isinstance(event, h11.Data | h11.EndOfMessage), f"read the head of the response first, not {event}"
        return event if isinstance(event, h11.Data) else None

    async def _next_event(self) -> h11.Event:
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError as error:
                raise self._translated(error) from error
            if event is h11.NEED_DATA:
                self._h11.receive_data(bytes(await self._stream.receive_some(RECEIVE_BYTES)))
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                raise ServerGone("the server closed the connection before it answered")
            else:
                return event  # type: ignore[return-value] # the two sentinels are handled above

    def _translated(self, error: h11.RemoteProtocolError) -> BadResponse | ServerGone:
        """h11 tells a closed connection and a broken message by the same class; its buffer tells them apart."""
        if self._h11.trailing_data[1]:
            return ServerGone(f"the server closed the connection in the middle of its response: {error}")
        return BadResponse(f"the server's response is not HTTP/1.1: {error}")
