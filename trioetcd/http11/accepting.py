"""Accepting connections, whatever becomes of single ones."""

from __future__ import annotations

import errno
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
