"""A watch that goes on over broken connections, without a gap and without a repetition.

There is no task behind it: the stream is read by the one who iterates. A slow reader therefore slows the TCP stream,
and the server, not this process, decides what to do about that; what is held here is one response's events.

    next revision   the one that the server is asked to go on from. Set by the `created` answer (the store's revision
                    then, plus one, when no start was given), by each batch of events (the last one's revision plus
                    one; a revision's events are never split) and by progress notifications.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Final

import trio

from trioetcd.api import json_codec
from trioetcd.api import messages as m
from trioetcd.api.errors import Code, ErrorKind
from trioetcd.client.backoff import Backoff
from trioetcd.client.channel import STALE_TOKEN, Channel
from trioetcd.client.errors import Compacted, EtcdError, ProtocolError, Unavailable, error_of, error_of_reason
from trioetcd.client.wire import WatchLine, error_of_body
from trioetcd.http11 import ClientExchange, HttpError

_PATH: Final = "/v3/watch"
_LINE_BYTES_MAX: Final = 512 * 1024 * 1024
_BROKEN: Final = (trio.BrokenResourceError, HttpError, Unavailable)
"""What another try, there or elsewhere, can mend."""


class Watch:
    """The events of a key or a range: `async for event in watch`. For one task at a time.

    Iterating raises `Compacted` when the revision to go on from has been compacted away, and the error by which a
    server refuses the watch; broken connections and members that are away are met by going on elsewhere.
    A cancellation loses no event.
    """

    def __init__(self, *, channel: Channel, request: m.WatchCreateRequest, random: Random) -> None:
        self._channel = channel
        self._request = request
        self._backoff = Backoff(random)
        self._next_revision = request.start_revision  # 0 until the server has said where it begins
        self._events: deque[m.Event] = deque()
        self._failure: EtcdError | None = None
        self._connection = AsyncExitStack()
        self._exchange: ClientExchange | None = None
        self._buffer = bytearray()  # of the connection: the beginning of the next line

    @property
    def next_revision(self) -> int:
        """Every event before this revision has been received; a later watch can start here."""
        return self._next_revision

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> m.Event:
        if self._events:
            await trio.lowlevel.checkpoint()
        elif self._failure is not None:
            await trio.lowlevel.checkpoint()
            raise self._failure
        while not self._events:
            await self._receive()
        return self._events.popleft()

    async def start(self) -> None:
        """Wait until a server has created the watch: what is written from then on will be seen.

        Raises Unavailable when each endpoint was tried, and the error by which a server refuses the watch.
        """
        # Twice at least: a token that has expired is only known to have done so once it was tried.
        for _ in range(max(self._channel.endpoint_count, 2) - 1):
            try:
                return await self._connect()
            except _BROKEN:
                self._channel.prefer_next()
        try:
            await self._connect()
        except (trio.BrokenResourceError, HttpError) as error:
            raise Unavailable(Code.UNAVAILABLE, f"the watch could not be created: {error}") from error

    async def aclose(self) -> None:
        """Close the connection; the server then drops the watch."""
        await self._disconnect()

    async def _receive(self) -> None:
        """Take the next response, or lose a connection, or make one."""
        try:
            if self._exchange is None:
                await self._connect()
            else:
                response = await self._next_response(self._exchange)
                self._backoff.reset()
                self._take(response)
        except _BROKEN:
            await self._disconnect()
            self._channel.prefer_next()
            await trio.sleep(self._backoff.next_seconds())

    async def _connect(self) -> None:
        """Open a stream, create the watch on it and wait for the answer; on any failure nothing stays open."""
        async with AsyncExitStack() as connection:
            request = m.WatchRequest(create_request=self._create_request())
            exchange = await connection.enter_async_context(self._channel.stream(_PATH, request))
            status, _ = await exchange.receive_head()
            if status != 200:
                raise self._refused(error_of_body(status, await exchange.receive_body()))
            self._buffer.clear()
            self._take(await self._next_response(exchange))
            self._connection = connection.pop_all()
            self._exchange = exchange

    def _create_request(self) -> m.WatchCreateRequest:
        asked = self._request
        return m.WatchCreateRequest(
            key=asked.key,
            range_end=asked.range_end,
            start_revision=self._next_revision,
            progress_notify=asked.progress_notify,
            filters=asked.filters,
            prev_kv=asked.prev_kv,
        )

    async def _disconnect(self) -> None:
        self._exchange = None
        await self._connection.aclose()

    async def _next_response(self, exchange: ClientExchange) -> m.WatchResponse:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _LINE_BYTES_MAX:
                raise ProtocolError(Code.UNKNOWN, f"a line of the watch has more than {_LINE_BYTES_MAX} bytes")
            data = await exchange.receive_some()
            if not data:
                raise Unavailable(Code.UNAVAILABLE, "the server ended the watch's stream")
            self._buffer += data
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return _response_of(line)

    def _take(self, response: m.WatchResponse) -> None:
        """Note what a response says. Raises when it ends the watch."""
        revision = response.header.revision if response.header is not None else 0
        if response.canceled:
            raise self._refused(_cancellation(response))
        if response.created:
            self._next_revision = self._next_revision or revision + 1
        elif response.events:
            self._events.extend(_without_repetitions(response.events, self._next_revision))
            self._next_revision = max(self._next_revision, _revision_of(response.events[-1]) + 1)
        else:
            self._next_revision = max(self._next_revision, revision + 1)

    def _refused(self, error: EtcdError) -> EtcdError:
        """Remember why the watch is over, unless another try can help."""
        if error.message in STALE_TOKEN:
            self._channel.forget_token()
            return Unavailable(Code.UNAVAILABLE, error.message)
        if not isinstance(error, Unavailable):
            self._failure = error
        return error


def _response_of(line: bytes) -> m.WatchResponse:
    try:
        message = json_codec.decode(WatchLine, line)
    except json_codec.JsonError as error:
        raise ProtocolError(Code.UNKNOWN, f"a line of the watch is not a WatchResponse: {error}") from error
    if message.error is not None:
        raise error_of(message.error.grpc_code, message.error.message)
    return message.result or m.WatchResponse()


def _cancellation(response: m.WatchResponse) -> EtcdError:
    if response.compact_revision:
        code, message = ErrorKind.COMPACTED.value
        return Compacted(code, message, response.compact_revision)
    return error_of_reason(response.cancel_reason or "etcdserver: watch canceled")


def _revision_of(event: m.Event) -> int:
    return event.kv.mod_revision if event.kv is not None else 0


def _without_repetitions(events: list[m.Event], next_revision: int) -> Iterator[m.Event]:
    return (event for event in events if _revision_of(event) >= next_revision)


@asynccontextmanager
async def open_watch(*, channel: Channel, request: m.WatchCreateRequest, random: Random) -> AsyncIterator[Watch]:
    """A watch that the server has created, closed at the end of the block."""
    watch = Watch(channel=channel, request=request, random=random)
    try:
        await watch.start()
        yield watch
    finally:
        await watch.aclose()
