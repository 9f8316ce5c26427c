"""WebSocket streams of frames; the only place that knows trio-websocket.

The library does the handshakes, and reads in a task of its own, in a nursery that it is given. What it raises there,
and what it does not say at all (a connection that ends in the middle of its handshake), is turned into `PeerFailure`
here. A stream ends with its connection being closed at once: a closing handshake would only be one more thing to wait
for. Only servers send frames, and they write them past the library: see `FrameStream.send`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection
from trio_websocket import wrap_client_stream as _wrap_client_stream
from trio_websocket import wrap_server_stream as _wrap_server_stream

from trioetcd.http11 import HeaderList
from trioetcd.peer.errors import PeerFailure, PeerRefused
from trioetcd.peer.framing import FRAME_BYTES_MAX
from trioetcd.peer.guarded import GuardedStream

HANDSHAKE_SECONDS: Final = 7.0
"""Above what a stream bears of silence, which gives the better reason; this is for those who send byte by byte."""
_RECEIVE_BYTES: Final = 64 * 1024
_REASON_BYTES_MAX: Final = 200

_LOST = (trio.BrokenResourceError, trio.ClosedResourceError)

_T = TypeVar("_T")


class FrameStream:
    """An open WebSocket that carries frames. Both methods raise `PeerFailure` once the connection is lost."""

    def __init__(self, connection: WebSocketConnection, stream: GuardedStream) -> None:
        self._connection = connection
        self._stream = stream

    @property
    def response_headers(self) -> dict[bytes, bytes]:
        """The fields of the server's handshake, by name in lower case; empty on the server's side."""
        return {bytes(name).lower(): bytes(value) for name, value in self._connection.handshake_headers}

    async def send(self, frame: bytes) -> None:
        """Send one frame, as the server of this connection.

        A server's binary message is its head and its bytes, unmasked (RFC 6455 section 5.2), and the stream keeps
        apart what several tasks send. So the library's lock is not taken, which is a round of the scheduler: a
        frame leaves in the turn in which it was made.
        """
        try:
            await self._stream.send_all(_head(len(frame)) + frame)
        except _LOST as error:
            raise _failure(error, self._stream) from error

    async def receive(self) -> bytes:
        """Wait for a frame."""
        try:
            frame = await self._connection.get_message()
        except ConnectionClosed as error:
            raise _failure(error, self._stream) from error
        if isinstance(frame, str):
            raise PeerFailure("a text message came, where frames are binary")
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
Open = Callable[[trio.Nursery], Awaitable[WebSocketConnection]]


async def run_client_stream(stream: GuardedStream, *, host: str, target: str, headers: HeaderList, use: Use) -> None:
    """Ask for an upgrade, and `use` the frames until that returns or the connection is lost.

    Raises `PeerRefused` when the server answers with a status, `PeerFailure` for whatever else the other side did.
    The stream is closed on every way out.
    """

    async def open_client(nursery: trio.Nursery) -> WebSocketConnection:
        connection: WebSocketConnection = await _wrap_client_stream(
            nursery,
            stream,  # type: ignore[arg-type] # any stream will do; the library's annotation names two kinds
            host,
            target,
            extra_headers=list(headers),
            max_message_size=FRAME_BYTES_MAX,
            receive_buffer_size=_RECEIVE_BYTES,
        )
        return connection

    await _Session(stream, use).run(open_client)


async def run_server_stream(stream: GuardedStream, *, headers: HeaderList, use: Use) -> None:
    """Accept the upgrade whose request `stream` replays, and `use` it as `run_client_stream` does."""

    async def open_server(nursery: trio.Nursery) -> WebSocketConnection:
        request = await _wrap_server_stream(
            nursery,
            stream,
            max_message_size=FRAME_BYTES_MAX,
            receive_buffer_size=_RECEIVE_BYTES,
        )
        connection: WebSocketConnection = await request.accept(extra_headers=list(headers))
        return connection

    await _Session(stream, use).run(open_server)


class _Session:
    """One connection: the library's reading task, and beside it what uses the frames.

    They are kept apart by a nursery each, so that the errors of the one are never taken for those of the other.
    """

    def __init__(self, stream: GuardedStream, use: Use) -> None:
        self._stream = stream
        self._use = use
        self._failure: PeerFailure | None = None

    async def run(self, open_connection: Open) -> None:
        """See `run_client_stream`."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, open_connection, nursery)
        except* PeerFailure as group:
            self._failed(_first(group, PeerFailure))
        finally:
            await trio.aclose_forcefully(self._stream)
        if self._failure is not None:
            raise self._failure

    async def _read(self, open_connection: Open, session: trio.Nursery) -> None:
        """Run the library. It ends by itself when the connection does, and `use` then reads what is left."""
        try:
            async with trio.open_nursery() as library:
                connection = await _within_handshake(self._stream, open_connection(library))
                session.start_soon(self._serve, connection, session)
        except* ConnectionRejected as group:
            self._failed(_refusal(_first(group, ConnectionRejected)))
        except* PeerFailure as group:
            self._failed(_first(group, PeerFailure))
        except* Exception as group:  # noqa: BLE001 # the library alone runs here, and only on the peer's bytes; it lets through what h11 and wsproto raise
            self._failed(_failure(_first(group, Exception), self._stream))
        if self._failure is not None:
            session.cancel_scope.cancel()

    async def _serve(self, connection: WebSocketConnection, session: trio.Nursery) -> None:
        await self._use(FrameStream(connection, self._stream))
        session.cancel_scope.cancel()

    def _failed(self, failure: PeerFailure) -> None:
        self._failure = self._failure or failure


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
