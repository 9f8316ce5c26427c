"""Calls over HTTP/1.1 to whichever endpoint answers: kept connections, failover, tokens.

What may be repeated is decided here and nowhere else:

    the connection could not be opened      every call goes on to the next endpoint: nothing was sent
    it broke after the request was sent     reads go on, at the same endpoint when the connection was a kept one, which
                                            the server may have closed; a write raises Unavailable: it may have happened
    the server said UNAVAILABLE             reads go on; a write raises what the server said
    the server said that the token is not   every call authenticates anew and is sent once more: it was not looked at
    valid, or from before a change of users
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

import trio

from trioetcd.api import json_codec
from trioetcd.api import messages as m
from trioetcd.api.errors import Code, ErrorKind
from trioetcd.api.services import RPCS
from trioetcd.client.endpoints import Endpoint, OpenStream
from trioetcd.client.errors import EtcdError, ProtocolError, Unavailable
from trioetcd.client.wire import error_of_body
from trioetcd.http11 import ClientConnection, ClientExchange, HttpError

T = TypeVar("T")

IDLE_SECONDS_MAX: Final = 60.0
"""Kept connections older than this are not used again: servers and proxies close idle ones, some after 60 s."""

_CANNOT_CONNECT: Final = (OSError, trio.BrokenResourceError, trio.TooSlowError)
_REQUIRE_LEADER: Final = (b"Grpc-Metadata-hasleader", b"true")
"""A stream is to end when its member loses the leader: it would be silent otherwise, for as long as that lasts."""

STALE_TOKEN: Final = (ErrorKind.INVALID_AUTH_TOKEN.value[1], ErrorKind.AUTH_OLD_REVISION.value[1])
"""What a server says to a token that another one would mend."""

_CONTENT: Final = (b"Content-Type", b"application/json")


class Credentials(NamedTuple):
    """Who asks."""

    user: str
    password: str


class _Kept(NamedTuple):
    """A connection that waits for its next call."""

    connection: ClientConnection
    since: float


class Channel:
    """The way to a cluster. `connections_max` calls are under way at most; further ones wait."""

    def __init__(
        self,
        *,
        endpoints: Sequence[Endpoint],
        open_stream: OpenStream,
        credentials: Credentials | None,
        connections_max: int,
        dial_seconds: float,
    ) -> None:
        self._endpoints = endpoints
        self._open_stream = open_stream
        self._credentials = credentials
        self._dial_seconds = dial_seconds
        self._token: str | None = None
        self._preferred = 0  # index of the endpoint that answered last
        self._kept: dict[Endpoint, list[_Kept]] = {endpoint: [] for endpoint in endpoints}
        self._calls = trio.CapacityLimiter(connections_max)
        self.closed = False

    async def call(self, request: object, response_type: type[T], path: str, *, repeatable: bool) -> T:
        """One unary call. A cancellation closes its connection; a cancelled write may or may not have happened."""
        async with self._calls:
            if self._credentials is not None and self._token is None:
                await self._authenticate(self._credentials)
            try:
                return await self._call(request, response_type, path, repeatable=repeatable)
            except EtcdError as error:
                if self._credentials is None or error.message not in STALE_TOKEN:
                    raise
            await self._authenticate(self._credentials)
            return await self._call(request, response_type, path, repeatable=repeatable)

    async def _authenticate(self, credentials: Credentials) -> None:
        request = m.AuthenticateRequest(name=credentials.user, password=credentials.password)
        self._token = None
        response = await self._call(request, m.AuthenticateResponse, "/v3/auth/authenticate", repeatable=True)
        self._token = response.token

    async def _call(self, request: object, response_type: type[T], path: str, *, repeatable: bool) -> T:
        body = json_codec.encode(request)
        failures: list[Exception] = []
        attempts = deque((endpoint, True) for endpoint in self._in_order())
        while attempts:
            endpoint, may_be_kept = attempts.popleft()
            kept = await self._take_kept(endpoint) if may_be_kept else None
            try:
                connection = kept or await self._dial(endpoint)
            except _CANNOT_CONNECT as error:
                failures.append(_at(endpoint, "cannot connect", error))
                continue
            try:
                return await self._exchange(connection, endpoint, path, body, response_type)
            except (trio.BrokenResourceError, HttpError) as error:
                failures.append(_at(endpoint, "the connection broke", error))
                if not repeatable:
                    raise _unavailable("the request may or may not have taken effect", failures) from error
                if kept is not None:
                    attempts.appendleft((endpoint, False))
            except Unavailable as error:
                self.prefer_next()
                failures.append(error)
                if not repeatable:
                    raise
        raise _unavailable("no endpoint could serve the request", failures) from failures[-1]

    async def _exchange(
        self, connection: ClientConnection, endpoint: Endpoint, path: str, body: bytes, response_type: type[T]
    ) -> T:
        try:
            response = await connection.request("POST", path, self._headers(), body)
        finally:
            await self._put_back(endpoint, connection)
        self._preferred = self._endpoints.index(endpoint)
        if response.status != 200:
            raise error_of_body(response.status, response.body)
        return _decoded(response_type, response.body)

    @asynccontextmanager
    async def stream(self, path: str, request: object) -> AsyncIterator[ClientExchange]:
        """A call whose answer is a stream, to the first endpoint that can be connected to.

        The request's body ends with `request`: Go's HTTP/1.1 server, which is etcd's, begins no answer before that.
        Raises Unavailable when there is none; what breaks later comes out as HttpError or BrokenResourceError.
        """
        if self._credentials is not None and self._token is None:
            async with self._calls:
                await self._authenticate(self._credentials)
        connection = await self._first_connection()
        headers = [*self._headers(), _REQUIRE_LEADER]
        try:
            async with connection.stream("POST", path, headers, json_codec.encode(request)) as exchange:
                yield exchange
        finally:
            await _discard(connection)

    @property
    def endpoint_count(self) -> int:
        """How many endpoints there are to try."""
        return len(self._endpoints)

    def forget_token(self) -> None:
        """The server refused the token: the next call authenticates anew."""
        self._token = None

    def prefer_next(self) -> None:
        """The preferred endpoint did not do: begin with the next one."""
        self._preferred = (self._preferred + 1) % len(self._endpoints)

    async def aclose(self) -> None:
        """Close the kept connections. Calls under way are their callers' to cancel."""
        self.closed = True
        for kept in self._kept.values():
            while kept:
                await _discard(kept.pop().connection)

    def _in_order(self) -> list[Endpoint]:
        return [*self._endpoints[self._preferred :], *self._endpoints[: self._preferred]]

    async def _first_connection(self) -> ClientConnection:
        failures: list[Exception] = []
        for endpoint in self._in_order():
            try:
                connection = await self._dial(endpoint)
            except _CANNOT_CONNECT as error:
                failures.append(_at(endpoint, "cannot connect", error))
                continue
            self._preferred = self._endpoints.index(endpoint)
            return connection
        raise _unavailable("no endpoint can be connected to", failures) from failures[-1]

    async def _take_kept(self, endpoint: Endpoint) -> ClientConnection | None:
        """A connection that can be used again; those that cannot are closed."""
        kept = self._kept[endpoint]
        while kept:
            connection, since = kept.pop()
            if trio.current_time() - since < IDLE_SECONDS_MAX and connection.reusable:
                return connection
            await _discard(connection)
        return None

    async def _dial(self, endpoint: Endpoint) -> ClientConnection:
        if self.closed:
            raise RuntimeError("this client is closed: its `async with` block has ended")
        with trio.fail_after(self._dial_seconds):
            stream = await self._open_stream(endpoint)
        return ClientConnection(stream, host=endpoint.authority)

    async def _put_back(self, endpoint: Endpoint, connection: ClientConnection) -> None:
        if connection.reusable and not self.closed:
            self._kept[endpoint].append(_Kept(connection, trio.current_time()))
        else:
            await _discard(connection)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        return [_CONTENT] if self._token is None else [_CONTENT, (b"Authorization", self._token.encode())]


async def _discard(connection: ClientConnection) -> None:
    """Close at once, also when cancelled: a closing handshake is not worth a wait."""
    with trio.CancelScope(shield=True) as scope:
        scope.cancel()
        await connection.aclose()


def _decoded(response_type: type[T], body: bytes) -> T:
    try:
        return json_codec.decode(response_type, body)
    except json_codec.JsonError as error:
        raise ProtocolError(Code.UNKNOWN, f"the answer is not a {response_type.__name__}: {error}") from error


def _at(endpoint: Endpoint, what: str, cause: Exception) -> Exception:
    error = OSError(f"{endpoint.url}: {what}: {cause or type(cause).__name__}")
    error.__cause__ = cause
    return error


def _unavailable(what: str, failures: Sequence[Exception]) -> Unavailable:
    return Unavailable(Code.UNAVAILABLE, "; ".join([what, *(str(failure) for failure in failures)]))


class Unary(NamedTuple):
    """How one request is called."""

    response: type[Any]
    path: str
    repeatable: bool


_READS: Final = (
    m.RangeRequest,
    m.LeaseTimeToLiveRequest,
    m.LeaseLeasesRequest,
    m.MemberListRequest,
    m.StatusRequest,
    m.HashRequest,
    m.HashKVRequest,
    m.AuthStatusRequest,
    m.AuthenticateRequest,
    m.AuthUserGetRequest,
    m.AuthUserListRequest,
    m.AuthRoleGetRequest,
    m.AuthRoleListRequest,
    m.LeaderRequest,
)

UNARY: Final = {
    rpc.request: Unary(rpc.response, rpc.http_paths[0], rpc.request in _READS)
    for rpc in RPCS
    if not rpc.client_streaming and not rpc.server_streaming
}
"""How each unary request is called, by its class."""
