"""Accepting connections, whatever becomes of single ones."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

import trio

StreamT = TypeVar("StreamT", bound=trio.abc.Stream)

_PASSING: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ECONNABORTED, errno.EPROTO}
"""What `accept` may fail with although the listener is well: too little of something, or a client that left already."""
_PAUSE_SECONDS: Final = 0.1


async def accept(listener: trio.abc.Listener[StreamT], *, report: Callable[[OSError], object]) -> StreamT:
    """The next connection. What passes is reported and waited out; an error of the listener itself is raised.

    `trio.serve_listeners` waits out too little of something alone, and raises what a client that left leads to.
    """
    while True:
        try:
            return await listener.accept()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            report(error)
            await trio.sleep(_PAUSE_SECONDS)


_BURST: Final = 64


class BurstListener(trio.abc.Listener[trio.SocketStream]):
    """A listener that takes all connections that wait at once, up to 64, and hands them out one by one.

    `trio.SocketListener` runs the scheduler once for each. While a member is busy such a turn takes milliseconds: of
    256 clients that came at once the last waited for 700 of them.
    """

    def __init__(self, listener: trio.SocketListener) -> None:
        """Take over the socket of a listener."""
        self._socket = socket.socket(fileno=os.dup(listener.socket.fileno()))
        listener.socket.close()
        self._socket.setblocking(False)
        self._accepted: deque[socket.socket] = deque()

    async def accept(self) -> trio.SocketStream:
        """The next connection; a checkpoint only when none was accepted yet. Raises `OSError` as `accept(2)` does."""
        while not self._accepted:
            await self._wait()
            self._accept_waiting()
        return trio.SocketStream(trio.socket.from_stdlib_socket(self._accepted.popleft()))

    async def _wait(self) -> None:
        if self._socket.fileno() < 0:
            raise trio.ClosedResourceError("this listener was closed by this program")
        await trio.lowlevel.wait_readable(self._socket)

    def _accept_waiting(self) -> None:
        try:
            while len(self._accepted) < _BURST:
                self._accepted.append(self._socket.accept()[0])
        except BlockingIOError:
            return  # that was all
        except OSError:
            if not self._accepted:  # else they come first; it will be raised again if it lasts
                raise

    async def aclose(self) -> None:
        """Listen no more; what was not handed out is closed."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()
        while self._accepted:
            self._accepted.popleft().close()
        await trio.lowlevel.checkpoint()
