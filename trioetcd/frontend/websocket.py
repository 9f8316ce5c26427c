"""Streaming RPCs over WebSocket: each frame one request, each answer one text frame without its newline.

This is how browsers watch: `GET` with an upgrade on any streaming path. The token comes as the second subprotocol
(`Sec-WebSocket-Protocol: Bearer, TOKEN`) or as the cookie `token`; of the other header fields none is looked at, as by
the proxy in front of etcd's gateway (grpc-websocket-proxy).
"""

from __future__ import annotations

import base64
import binascii
from http.cookies import CookieError, SimpleCookie
from typing import Final

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from trioetcd.api.errors import ApiError
from trioetcd.api.json_codec import encode_stream_error, encode_unary_error
from trioetcd.frontend.heads import TEXT, Cors, Head
from trioetcd.frontend.v3_stream import StreamHandler
from trioetcd.http11 import ClientGone, Headers, Request, ServerConnection
from trioetcd.node.service.context import CallContext

_HANDSHAKE_SECONDS: Final = 10.0
_CLOSE_SECONDS: Final = 2.0
"""How long the closing handshake may take."""

_LOST: Final = (ConnectionClosed, LocalProtocolError, trio.BrokenResourceError, trio.ClosedResourceError)
"""A send that finds the connection closing is told so by the library, or by the protocol below it."""

_READ_AS_TEXT: Final = (b"connection", b"upgrade", b"sec-websocket-protocol", b"sec-websocket-extensions")
"""Fields that the library decodes, and does not expect to be anything but ASCII."""


class WebSocketWire:
    """The frames of one WebSocket."""

    def __init__(self, websocket: WebSocketConnection) -> None:
        self._websocket = websocket

    async def read(self) -> bytes:
        """The next message, with the newline that makes it a line."""
        try:
            message = await self._websocket.get_message()
        except ConnectionClosed as error:
            raise ClientGone("the WebSocket was closed") from error
        return (message.encode() if isinstance(message, str) else message) + b"\n"

    async def wait_departure(self) -> None:
        """Read until the client closes; what it sends after a bad request is ignored."""
        while True:
            try:
                await self.read()
            except ClientGone:
                return

    async def send_line(self, line: bytes) -> None:
        """Send a line as one text frame."""
        await self._send(line.rstrip(b"\n"))

    async def refuse(self, error: ApiError) -> None:
        """Send the error as the gateway words it for unary calls."""
        await self._send(encode_unary_error(error))

    async def fail(self, error: ApiError) -> None:
        """Send the error as a last frame."""
        await self._send(encode_stream_error(error))

    async def finish(self) -> None:
        """Nothing: closing the WebSocket ends the stream."""

    async def _send(self, text: bytes) -> None:
        try:
            await self._websocket.send_message(text.decode())
        except _LOST as error:
            raise ClientGone("the WebSocket was closed") from error


class WebSocketHandler:
    """A streaming RPC whose path also takes WebSocket handshakes."""

    is_stream = True

    def __init__(self, stream: StreamHandler, *, cors: Cors, message_bytes_max: int) -> None:
        self._stream = stream
        self._bad_handshake = Head(cors, 400, ((b"Sec-Websocket-Version", b"13"), *TEXT))
        self._message_bytes_max = message_bytes_max

    async def handle(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> None:
        """Answer a POST as a stream of chunks, and a handshake with a WebSocket that lives until it is closed."""
        if not request.upgrade:
            await self._stream.handle(connection, request, anonymous)
        elif not _is_handshake(request.headers):
            await connection.respond_prepared(self._bad_handshake.prepared(request.headers), b"Bad Request\n")
        else:
            await self._serve(connection, request, anonymous)

    async def _serve(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> None:
        context = CallContext(token=_token(request.headers), remote=anonymous.remote)
        stream = connection.detach()
        try:
            async with trio.open_nursery() as nursery:
                await self._serve_stream(nursery, stream, context)
                nursery.cancel_scope.cancel()
        except* (*_LOST, HandshakeError, trio.TooSlowError):
            await trio.lowlevel.checkpoint()  # the client is gone, or never spoke WebSocket

    async def _serve_stream(self, nursery: trio.Nursery, stream: trio.abc.Stream, context: CallContext) -> None:
        with trio.fail_after(_HANDSHAKE_SECONDS):
            proposal = await wrap_server_stream(nursery, stream, max_message_size=self._message_bytes_max)
            bearer = "Bearer" if "Bearer" in proposal.proposed_subprotocols else None
            websocket = await proposal.accept(subprotocol=bearer)
        await self._stream.serve(WebSocketWire(websocket), context, None)
        with trio.move_on_after(_CLOSE_SECONDS):
            await websocket.aclose()


def _is_handshake(headers: Headers) -> bool:
    key = headers.get(b"sec-websocket-key", b"")
    try:
        nonce = base64.b64decode(key, validate=True)
    except binascii.Error:
        return False
    if len(nonce) != 16 or headers.get(b"sec-websocket-version") != b"13":
        return False
    try:
        headers.get(b"host", b"").decode("idna")
    except UnicodeError:
        return False
    return all(headers.get(name, b"").isascii() for name in _READ_AS_TEXT)


def _token(headers: Headers) -> str | None:
    protocols = [one.strip() for one in headers.get(b"sec-websocket-protocol", b"").decode("latin-1").split(",")]
    if len(protocols) == 2 and protocols[0] == "Bearer":
        return protocols[1]
    try:
        cookies = SimpleCookie(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return None
    return cookies["token"].value if "token" in cookies else None
