"""WebSocket streams of frames; the only place that knows trio-websocket.

The library does the handshakes, and no more. Its way of reading (a task of its own, a parser of events, a channel)
takes two steps of the scheduler and about 40 microseconds a message, and a write on three members waits for two of
these one after the other. Members send each other nothing but whole binary messages, unmasked from the server to the
client, so these few bytes are written and read here (RFC 6455 section 5.2). Whatever else comes ends the stream.

A stream ends with its connection being closed at once: a closing handshake would only be one more thing to wait for.
What the library raises on a peer's bytes, and what it does not say at all (a connection that ends in the middle of its
handshake), is turned into `PeerFailure` here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio
from trio_websocket import ConnectionRejected, WebSocketConnection
from trio_websocket import wrap_client_stream as _wrap_client_stream
from trio_websocket import wrap_server_stream as _wrap_server_stream

from trioetcd.http11 import HeaderList, Headers
from trioetcd.peer.errors import PeerFailure, PeerRefused
from trioetcd.peer.framing import FRAME_BYTES_MAX
from trioetcd.peer.guarded import GuardedStream

HANDSHAKE_SECONDS: Final = 7.0
"""Above what a stream bears of silence, which gives the better reason; this is for those who send byte by byte."""
_RECEIVE_BYTES: Final = 64 * 1024
_REASON_BYTES_MAX: Final = 200

_LOST = (trio.BrokenResourceError, trio.ClosedResourceError)
_HEAD_END: Final = b"\r\n\r\n"
_HANDSHAKE_BYTES_MAX: Final = 64 * 1024
"""What a handshake may take, with the body of a refusal; h11 takes a quarter of it for a head."""
_OPENING: Final = re.compile(rb"GET |HTTP/1\.\d 101\b")
_WHOLE_BINARY: Final = 0x82
_SIZE_OF_16_BITS: Final = 126
_SIZE_OF_64_BITS: Final = 127  # and above it a mask

_T = TypeVar("_T")


class FrameStream:
    """An open WebSocket that carries frames. Both methods raise `PeerFailure` once the connection is lost.

    Args:
        response_headers: the fields of the server's handshake, by name in lower case; empty on the server's side.
        received: what came behind the handshake.
    """

    def __init__(self, stream: GuardedStream, *, response_headers: Headers, received: bytes) -> None:
        self.response_headers = response_headers
        self._stream = stream
        self._received = bytearray(received)

    async def send(self, frame: bytes) -> None:
        """Send one frame, as the server of this connection."""
        await self.send_rest(_head(len(frame)) + frame)

    def send_nowait(self, frame: bytes) -> bytes | memoryview:
        """Send as much of a frame as the socket takes; what is left is for `send_rest`, before any other frame."""
        data = _head(len(frame)) + frame
        try:
            sent = self._stream.send_nowait(data)
        except _LOST as error:
            raise _failure(error, self._stream) from error
        return b"" if sent == len(data) else memoryview(data)[sent:]

    async def send_rest(self, rest: bytes | memoryview) -> None:
        """Send what `send_nowait` left."""
        try:
            await self._stream.send_all(rest)
        except _LOST as error:
            raise _failure(error, self._stream) from error

    async def receive(self) -> bytes:
        """Wait for a frame. A checkpoint only when none has come."""
        while (frame := self._take()) is None:
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except _LOST as error:
                raise _failure(error, self._stream) from error
            if not data:
                raise PeerFailure("the other side closed the connection")
            self._received += data
        return frame

    def _take(self) -> bytes | None:
        """The next frame of what was received, if it is there."""
        received = self._received
        if len(received) < 2:
            return None
        kind, size, start = received[0], received[1], 2
        if kind != _WHOLE_BINARY or size > _SIZE_OF_64_BITS:
            raise PeerFailure(
                f"a WebSocket message began with {bytes(received[:2]).hex()}: only whole binary ones without a mask "
                "(82, and a length up to 7f) are sent between members"
            )
        if size >= _SIZE_OF_16_BITS:
            start = 4 if size == _SIZE_OF_16_BITS else 10
            if len(received) < start:
                return None
            size = int.from_bytes(received[2:start], "big")
        if size > FRAME_BYTES_MAX:
            raise PeerFailure(f"a frame of {size} bytes came: at most {FRAME_BYTES_MAX} are taken")
        end = start + size
        if len(received) < end:
            return None
        frame = bytes(received[start:end])
        del received[:end]
        return frame

    async def watch_silence(self, seconds: float) -> None:
        """Take over the deadline for what is received, for all of it at once; raises once it has passed."""
        stream = self._stream
        stream.receive_seconds = math.inf
        # A deadline, not a difference: a rest that is too small to move a float of the clock would never have passed.
        while (deadline := stream.received_at + seconds) > trio.current_time():  # noqa: ASYNC110 # an event a frame costs more
            await trio.sleep_until(deadline)
        raise PeerFailure(f"nothing came for {seconds:g} s")


Use = Callable[[FrameStream], Awaitable[None]]
Open = Callable[[trio.Nursery, trio.abc.HalfCloseableStream], Awaitable[WebSocketConnection]]


async def run_client_stream(stream: GuardedStream, *, host: str, target: str, headers: HeaderList, use: Use) -> None:
    """Ask for an upgrade, and `use` the frames until that returns or the connection is lost.

    Raises `PeerRefused` when the server answers with a status, `PeerFailure` for whatever else the other side did.
    The stream is closed on every way out.
    """

    async def open_client(nursery: trio.Nursery, lent: trio.abc.HalfCloseableStream) -> WebSocketConnection:
        connection: WebSocketConnection = await _wrap_client_stream(
            nursery,
            lent,  # type: ignore[arg-type] # any stream will do; the library's annotation names two kinds
            host,
            target,
            extra_headers=list(headers),
            receive_buffer_size=_RECEIVE_BYTES,
        )
        return connection

    await _run(stream, open_client, use)


async def run_server_stream(stream: GuardedStream, *, headers: HeaderList, use: Use) -> None:
    """Accept the upgrade whose request `stream` replays, and `use` it as `run_client_stream` does."""

    async def open_server(nursery: trio.Nursery, lent: trio.abc.HalfCloseableStream) -> WebSocketConnection:
        request = await _wrap_server_stream(nursery, lent, receive_buffer_size=_RECEIVE_BYTES)
        connection: WebSocketConnection = await request.accept(extra_headers=list(headers))
        return connection

    await _run(stream, open_server, use)


async def _run(stream: GuardedStream, open_connection: Open, use: Use) -> None:
    failure: PeerFailure | None = None
    try:
        frames = await _shake_hands(stream, open_connection)
        await use(frames)
    except* PeerFailure as group:
        failure = _first(group, PeerFailure)
    finally:
        await trio.aclose_forcefully(stream)
    if failure is not None:
        raise failure


async def _shake_hands(stream: GuardedStream, open_connection: Open) -> FrameStream:
    """Let the library do the handshake, and take the connection back from it."""
    lent = _Lent(stream)
    failure: PeerFailure | None = None
    fields: Headers = {}
    try:
        async with trio.open_nursery() as library:
            connection = await _within_handshake(stream, open_connection(library, lent))
            fields = {bytes(name).lower(): bytes(value) for name, value in connection.handshake_headers}
            library.cancel_scope.cancel()
    except* ConnectionRejected as group:
        failure = _refusal(_first(group, ConnectionRejected))
    except* PeerFailure as group:
        failure = _first(group, PeerFailure)
    except* Exception as group:  # noqa: BLE001 # the library alone runs here, and only on the peer's bytes; it lets through what h11 and wsproto raise
        failure = _failure(_first(group, Exception), stream)
    if failure is None and not lent.is_over:
        failure = PeerFailure(
            "the WebSocket handshake did not succeed: its head does not end as HTTP has it (CR LF CR LF)"
        )
    if failure is not None:
        raise failure
    return FrameStream(stream, response_headers=fields, received=lent.beyond)


class _Lent(trio.abc.HalfCloseableStream):
    """A stream that the library has for the length of a handshake: what follows that is kept in `beyond`.

    `is_over` says that its end was seen here, as it has to be before frames are read. The library bears with more than
    that (bare line feeds), and would then have taken the first frames for itself.
    """

    def __init__(self, stream: GuardedStream) -> None:
        self._stream = stream
        self._head = b""  # as far as it has come; then also the body of a refusal
        self.is_over = False
        self.beyond = b""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What belongs to the handshake; then nothing ever, until the library is done with."""
        if self.is_over:
            await trio.sleep_forever()
        data = await self._stream.receive_some(max_bytes)
        before = len(self._head)
        self._head += data
        end = self._head.find(_HEAD_END) + len(_HEAD_END)
        if end < len(_HEAD_END) or not _OPENING.match(self._head):
            self._check_size()
            return data  # a refusal is the library's to read, up to the end of its body
        self.is_over = True
        self.beyond = self._head[end:]
        return self._head[before:end]

    def _check_size(self) -> None:
        if len(self._head) > _HANDSHAKE_BYTES_MAX:
            raise PeerFailure(f"more than {_HANDSHAKE_BYTES_MAX} bytes of a WebSocket handshake came, and not its end")

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """The library's part of the handshake."""
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """As of any stream."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """The library's, when a handshake fails."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """The library's, when a handshake fails."""
        await self._stream.aclose()


async def _within_handshake(stream: GuardedStream, handshake: Awaitable[_T]) -> _T:
    """Wait for a handshake, no longer than the deadline and the connection last."""
    with trio.move_on_after(HANDSHAKE_SECONDS) as scope:
        stream.on_end = scope.cancel
        opened = await handshake
        stream.on_end = None
        return opened
    reason = stream.failure or "the connection ended or was silent"
    raise PeerFailure(f"the WebSocket handshake did not succeed: {reason}")


def _head(size: int) -> bytes:
    """The head of an unmasked binary message in one frame (RFC 6455 section 5.2)."""
    if size < 126:
        return bytes((0x82, size))
    if size < 1 << 16:
        return b"\x82\x7e" + size.to_bytes(2, "big")
    return b"\x82\x7f" + size.to_bytes(8, "big")


def _refusal(rejected: ConnectionRejected) -> PeerRefused:
    body = bytes(rejected.body or b"")[:_REASON_BYTES_MAX]
    return PeerRefused(rejected.status_code, body.decode("utf-8", "replace").strip())


def _failure(error: BaseException, stream: GuardedStream) -> PeerFailure:
    reason = stream.failure or f"the connection was lost ({type(error).__name__}: {error})"
    return PeerFailure(reason)


def _first(error: BaseException, kind: type[_T]) -> _T:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, kind)
    return error
