"""At most so many calls at once: what comes beyond waits for its turn.

`--max-concurrent-streams` is about the streams of one HTTP/2 connection, one call each. etcd's JSON gateway reaches its
server over a single such connection, so there it bounds the gateway's calls altogether; and so it does here. Pages
beside the API (health, metrics) are not calls.
"""

from __future__ import annotations

from typing import Protocol

import trio

from trioetcd.http11 import Begun, Request, ServerConnection
from trioetcd.node.service.context import CallContext


class Handler(Protocol):
    """What answers a request."""

    @property
    def is_stream(self) -> bool:
        """Whether it ends when the client wants, not by itself."""
        ...

    async def handle(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> None:
        """Answer it whole."""
        ...


class Beginner(Protocol):
    """What begins a request in the turn in which it came, for whoever has the result to answer it."""

    def begin(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> Begun | None:
        """Take the request, whose fields are plain, upon itself; or None, and nothing has happened."""
        ...


class LimitedHandler:
    """A handler that waits for its turn. The call's own deadline begins when it has come."""

    def __init__(self, handler: Handler, *, running: trio.Semaphore) -> None:
        self.is_stream = handler.is_stream
        self._handler = handler
        self._running = running

    async def handle(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> None:
        """Answer when fewer run than may; in the order in which requests came."""
        async with self._running:
            await self._handler.handle(connection, request, anonymous)
