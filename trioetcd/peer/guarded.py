"""A stream that neither blocks for ever nor ends unnoticed."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

SEND_SLICE_BYTES = 256 * 1024
"""A deadline is for a slice, so that a large frame on a slow line is late only when the line stands still."""


class GuardedStream(trio.abc.HalfCloseableStream):
    """A stream on which silence is a failure: `receive_seconds` without a byte, or `send_seconds` without a slice sent.

    It then raises `trio.BrokenResourceError`, as if the network had said so, and `failure` tells why. `on_end`, when
    it is set, is called once no more can be received: at the end, at a failure, or when the stream is closed.
    """

    def __init__(self, stream: trio.abc.Stream, *, receive_seconds: float, send_seconds: float) -> None:
        self._stream = stream
        self.receive_seconds = receive_seconds
        self._send_seconds = send_seconds
        self.failure: str | None = None
        self.on_end: Callable[[], object] | None = None

    def release(self) -> None:
        """Keep no deadlines from now on: another guard around this stream does."""
        self.receive_seconds = self._send_seconds = math.inf

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As of any stream, within the deadline."""
        data = b""
        try:
            data = await self._receive(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(f"the connection broke ({str(error) or type(error).__name__})")
            raise
        finally:
            if not data:
                self._ended()
        return data

    async def _receive(self, max_bytes: int | None) -> bytes:
        if self.receive_seconds == math.inf:
            return bytes(await self._stream.receive_some(max_bytes))
        with trio.move_on_after(self.receive_seconds) as scope:
            data = bytes(await self._stream.receive_some(max_bytes))
            if not data:
                self._fail("the other side closed the connection")
            return data
        assert scope.cancelled_caught
        self._fail(f"nothing came for {self.receive_seconds:g} s")
        raise trio.BrokenResourceError(self.failure)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As of any stream, within the deadline for each slice."""
        if len(data) <= SEND_SLICE_BYTES:
            await self._send(data)
            return
        view = memoryview(data)
        for start in range(0, len(view), SEND_SLICE_BYTES):
            await self._send(view[start : start + SEND_SLICE_BYTES])

    async def _send(self, data: bytes | bytearray | memoryview) -> None:
        if self._send_seconds == math.inf:
            await self._stream.send_all(data)
            return
        with trio.move_on_after(self._send_seconds) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            self._fail(f"nothing could be sent for {self._send_seconds:g} s")
            raise trio.BrokenResourceError(self.failure)

    async def wait_send_all_might_not_block(self) -> None:
        """As of any stream."""
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Tell the other side that nothing more comes, where the stream below can."""
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()
        else:
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close at once: no handshake is waited for, so that a dead peer cannot hold up a shutdown."""
        self._ended()
        await trio.aclose_forcefully(self._stream)

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason

    def _ended(self) -> None:
        if self.on_end is not None:
            self.on_end()
