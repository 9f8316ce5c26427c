"""The life of one client's connection: request, route, handler, and again."""

from __future__ import annotations

from typing import Final

import trio

from trioetcd.frontend.hosts import Table
from trioetcd.frontend.limited import Beginner
from trioetcd.frontend.metadata import is_plain
from trioetcd.http11 import BadRequest, Begun, HttpError, Request, ServerConnection
from trioetcd.node.service.context import CallContext

_CLOSE_SECONDS: Final = 1.0
"""How long the end of a connection may take also when it is cancelled: an answer that is under way is to arrive."""


class ClientSession:
    """Serves one connection. `streams` tells whether the present request, or the last one, is a stream."""

    def __init__(self, *, connection: ServerConnection, routes: Table, remote: str) -> None:
        self.connection = connection
        self.remote = remote
        self._routes = routes
        self._anonymous = CallContext(remote=remote)
        self.streams = False

    async def run(self) -> None:
        """Serve until the client closes, breaks the protocol, or the connection is told to finish; close it then.

        A handler's exception that is none of the client's doing passes through and takes the member down.
        """
        try:
            await self._serve()
        except (HttpError, trio.BrokenResourceError):
            return  # the client is gone
        finally:
            with trio.move_on_after(_CLOSE_SECONDS, shield=True):
                await self._close()

    async def _serve(self) -> None:
        connection, routes, anonymous = self.connection, self._routes, self._anonymous
        try:
            while (request := await connection.next_request(self._begin)) is not None:
                handler = routes.find(request)
                self.streams = handler.is_stream
                await handler.handle(connection, request, anonymous)
        except BadRequest as error:
            await connection.refuse(error)

    def _begin(self, request: Request) -> Begun | None:
        memo = request.memo
        if not memo:
            memo.append(self._routes.find_beginner(request) if is_plain(request.headers) else None)
        handler: Beginner | None = memo[0]
        if handler is None:
            return None
        self.streams = False
        return handler.begin(self.connection, request, self._anonymous)

    async def _close(self) -> None:
        try:
            await self.connection.aclose()
        except trio.BrokenResourceError:
            return  # it was gone already
