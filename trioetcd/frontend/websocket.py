"""RPCs over WebSocket: each frame one request, each answer one text frame without its newline.

This is how browsers watch: `GET` with an upgrade on any path of the API. The token comes as the second subprotocol
(`Sec-WebSocket-Protocol: Bearer, TOKEN`) or as the cookie `token`; of the other header fields none is looked at, as by
the proxy in front of etcd's gateway (grpc-websocket-proxy), whose ways these are:

- A stream that ends is not said goodbye to: the connection is closed.
- A unary RPC is called when the client closes, and nobody is there to be told its answer.
- A path that is not there is told so in a frame.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from http.cookies import CookieError, SimpleCookie
from typing import Final

import trio

from trioetcd.api.errors import ApiError
from trioetcd.api.json_codec import encode_stream_error, encode_unary_error
from trioetcd.frontend.heads import TEXT, Cors, Head
from trioetcd.frontend.websocket_frames import FrameError, FrameReader, Opcode, answer_close, encode_frame
from trioetcd.http11 import ClientGone, Headers, Request, ServerConnection
from trioetcd.node.service.context import CallContext

_RECEIVE_BYTES: Final = 65_536
_ACCEPT_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class WebSocketWire:
    """The frames of one WebSocket. One task reads, another may send meanwhile."""

    def __init__(self, stream: trio.abc.Stream, *, message_bytes_max: int) -> None:
        self._stream = stream
        self._reader = FrameReader(message_bytes_max=message_bytes_max)
        self.said_goodbye = False  # the client has closed as the protocol wants it
        self._sending = trio.Lock()  # the reader answers pings and closes while the writer sends

    async def read(self) -> bytes:
        """The next message, with the newline that makes it a line."""
        while True:
            try:
                arrival = self._reader.take()
                if arrival is None:
                    await self._receive()
                elif arrival.opcode is Opcode.TEXT:
                    return arrival.payload + b"\n"
                elif arrival.opcode is Opcode.PING:
                    await self._send(encode_frame(Opcode.PONG, arrival.payload))
                elif arrival.opcode is Opcode.CLOSE:
                    self.said_goodbye = True
                    await self._send(answer_close(arrival.payload))
                    raise ClientGone("the WebSocket was closed")
            except FrameError as error:
                await self._send(error.close)
                raise ClientGone(str(error)) from error

    async def wait_departure(self) -> None:
        """Read until the client closes; what it sends after a bad request is ignored."""
        while True:
            try:
                await self.read()
            except ClientGone:
                return

    async def send_line(self, line: bytes) -> None:
        """Send a line as one text frame."""
        await self._send(encode_frame(Opcode.TEXT, line.rstrip(b"\n")))

    async def refuse(self, error: ApiError) -> None:
        """Send the error as the gateway words it for unary calls."""
        await self.send_line(encode_unary_error(error))

    async def fail(self, error: ApiError) -> None:
        """Send the error as a last frame."""
        await self.send_line(encode_stream_error(error))

    async def finish(self) -> None:
        """Nothing: the end of the connection ends the stream."""

    async def _receive(self) -> None:
        data = await self._stream.receive_some(_RECEIVE_BYTES)
        if not data:
            raise ClientGone("the client closed the connection of a WebSocket")
        self._reader.feed(data)

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            await self._stream.send_all(frame)


Serve = Callable[[WebSocketWire, CallContext], Awaitable[object]]


class WebSocketHandler:
    """The handler of WebSocket handshakes on one path; `serve` then speaks over the wire."""

    is_stream = True

    def __init__(self, serve: Serve, *, cors: Cors, message_bytes_max: int) -> None:
        self._serve = serve
        self._bad_handshake = Head(cors, 400, ((b"Sec-Websocket-Version", b"13"), *TEXT))
        self._message_bytes_max = message_bytes_max

    async def handle(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> None:
        """Answer a handshake with a WebSocket that lives until it is closed."""
        if not _is_handshake(request.headers):
            await connection.respond_prepared(self._bad_handshake.prepared(request.headers), b"Bad Request\n")
            return
        stream, early = connection.hijack()
        if early:  # a client that does not wait for the handshake's answer is no client of the protocol
            return
        await stream.send_all(_accept(request.headers))
        wire = WebSocketWire(stream, message_bytes_max=self._message_bytes_max)
        token = _token(request.headers)
        context = anonymous if token is None else CallContext(token=token, remote=anonymous.remote)
        await self._serve(wire, context)


def serve_unary(call: Callable[[bytes, CallContext], Awaitable[None]], *, bytes_max: int) -> Serve:
    """A unary RPC: its request is whatever was sent when the client closes."""

    async def serve(wire: WebSocketWire, context: CallContext) -> None:
        body = bytearray()
        try:
            while len(body) <= bytes_max:
                body += await wire.read()
        except ClientGone:
            if wire.said_goodbye:
                await call(bytes(body), context)

    return serve


async def serve_not_found(wire: WebSocketWire, _: CallContext) -> None:
    """A path that is not there."""
    await wire.send_line(b"Not Found\n")


def _is_handshake(headers: Headers) -> bool:
    versions = headers.get(b"sec-websocket-version", b"").split(b",")
    return b"13" in (version.strip() for version in versions) and bool(headers.get(b"sec-websocket-key"))


def _accept(headers: Headers) -> bytes:
    """The answer to a handshake."""
    digest = hashlib.sha1(headers[b"sec-websocket-key"] + _ACCEPT_SUFFIX, usedforsecurity=False).digest()
    protocol = b""
    if headers.get(b"sec-websocket-protocol", b"").startswith(b"Bearer"):
        protocol = b"Sec-WebSocket-Protocol: Bearer\r\n"
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (base64.b64encode(digest), protocol)
    )


def _token(headers: Headers) -> str | None:
    """The token of the handshake; it is empty, and so invalid, when there are subprotocols without one."""
    token = None
    if protocols := headers.get(b"sec-websocket-protocol"):
        token = protocols.partition(b"Bearer,")[2].strip(b" ").decode("latin-1")
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return token
    return cookies["token"].value if "token" in cookies else token
