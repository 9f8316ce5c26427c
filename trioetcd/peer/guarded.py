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

    `send_through` is where sent bytes go, when it is another stream than the one that is received from: the socket
    below a stream that replays. A socket that takes all at once is asked without a scope and without a checkpoint.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        receive_seconds: float,
        send_seconds: float,
        send_through: trio.abc.Stream | None = None,
    ) -> None:
        self.receive_seconds = receive_seconds
        self.received_at = trio.current_time()
        self.failure: str | None = None
        self.on_end: Callable[[], object] | None = None
        self.below = stream
        self._send_seconds = send_seconds
        self._send_stream = send_through or stream
        self._send_nowait: Callable[[bytes | memoryview], int] | None = getattr(self._send_stream, "send_nowait", None)
        self._sending = trio.Lock()  # held by who waits with the rest of what it sends

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As of any stream, within the deadline."""
        data = b""
        try:
            data = await self._receive(max_bytes)
            if not data:
                self._fail("the other side closed the connection")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._fail(f"the connection broke ({str(error) or type(error).__name__})")
            raise
        finally:
            if not data:
                self._ended()
        self.received_at = trio.current_time()
        return data

    async def _receive(self, max_bytes: int | None) -> bytes:
        if self.receive_seconds == math.inf:
            return bytes(await self.below.receive_some(max_bytes))
        with trio.move_on_after(self.receive_seconds) as scope:
            return bytes(await self.below.receive_some(max_bytes))
        assert scope.cancelled_caught
        self._fail(f"nothing came for {self.receive_seconds:g} s")
        raise trio.BrokenResourceError(self.failure)

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Hand over as much as fits, and return how much: nothing while another task sends, or if it must wait."""
        if self._send_nowait is None or self._sending.locked():
            return 0
        return self._send_nowait(data)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As of any stream, within the deadline for each slice; several tasks may send, each the whole of its own."""
        view = memoryview(data)
        view = view[self.send_nowait(view[:SEND_SLICE_BYTES]) :]
        if not view:
            return
        async with self._sending:
            for start in range(0, len(view), SEND_SLICE_BYTES):
                await self._send(view[start : start + SEND_SLICE_BYTES])

    async def _send(self, data: memoryview) -> None:
        with trio.move_on_after(self._send_seconds) as scope:
            await self._send_stream.send_all(data)
        if scope.cancelled_caught:
            self._fail(f"nothing could be sent for {self._send_seconds:g} s")
            raise trio.BrokenResourceError(self.failure)

    async def wait_send_all_might_not_block(self) -> None:
        """As of any stream."""
        await self.below.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Tell the other side that nothing more comes, where the stream below can."""
        if isinstance(self.below, trio.abc.HalfCloseableStream):
            await self.below.send_eof()
        else:
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close at once: no handshake is waited for, so that a dead peer cannot hold up a shutdown."""
        self._ended()
        await trio.aclose_forcefully(self.below)

    def _fail(self, reason: str) -> None:
        self.failure = self.failure or reason

    def _ended(self) -> None:
        if self.on_end is not None:
            self.on_end()
