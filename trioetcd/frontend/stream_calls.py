"""What a stream does, whichever wire it runs over: requests in, lines out. There are three shapes, by what the RPC is.

Watch              `watch.open(context)` gives a session; requests go to it, its deliveries become lines
LeaseKeepAlive     every request is answered by one line; the end of the requests ends the stream
Snapshot, Observe  one request; an async iterator of responses becomes lines
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, asynccontextmanager
from typing import Any, Final, Protocol

import trio

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.api.json_codec import encode, encode_stream_result
from trioetcd.api.services import Rpc
from trioetcd.frontend.member import Services
from trioetcd.frontend.watch_lines import watch_line
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.watch import WatchSession

_REQUESTS_AHEAD_MAX: Final = 16
"""Requests of a keep-alive stream that wait for their answer before the reading of more waits too."""


class Call(Protocol):
    """One stream under way."""

    async def handle(self, request: Any) -> None:
        """Take a request."""
        ...

    def finish_requests(self) -> None:
        """No more requests come."""
        ...

    async def next_line(self) -> bytes | None:
        """Wait for the next answer, newline included; None at the end. Raises ApiError."""
        ...


OpenCall = Callable[[CallContext], AbstractAsyncContextManager[Call]]
_Following = Callable[[CallContext, Callable[[], None]], AbstractContextManager[None]]
AnswerMethod = Callable[[Any, CallContext], Awaitable[object]]
_ManyAnswersMethod = Callable[[Any, CallContext], AsyncGenerator[object, None]]


def find_call(rpc: Rpc, services: Services) -> OpenCall | None:
    """How calls of a streaming RPC are opened; None when no service serves it."""
    method = services.method(rpc)
    if method is None:
        return None
    if rpc.name == "Watch":
        return _watch_opener(method)
    opener = _answer_opener(method) if rpc.client_streaming else _many_answers_opener(method)
    return _following_opener(opener, services.lease.following)


def _following_opener(open_call: OpenCall, following: _Following) -> OpenCall:
    """Calls that end when they asked for a leader and their member has none for long (etcd's stream interceptor).

    A watch sees to that itself: what it was told before is delivered first.
    """

    @asynccontextmanager
    async def open_following(context: CallContext) -> AsyncIterator[Call]:
        async with open_call(context) as call:
            if not context.require_leader:
                yield call
                return
            guarded = _FollowingCall(call)
            with following(context, guarded.end_leaderless):
                yield guarded

    return open_following


class _FollowingCall:
    def __init__(self, call: Call) -> None:
        self.handle = call.handle
        self.finish_requests = call.finish_requests
        self._call = call
        self._waiting = trio.CancelScope()
        self._is_leaderless = False

    def end_leaderless(self) -> None:
        """The call asked for a leader, and there is none."""
        self._is_leaderless = True
        self._waiting.cancel()

    async def next_line(self) -> bytes | None:
        if not self._is_leaderless:
            with trio.CancelScope() as self._waiting:
                return await self._call.next_line()
        raise ApiError.of(ErrorKind.NO_LEADER)


def find_answer(rpc: Rpc, services: Services) -> AnswerMethod | None:
    """What answers each request of a streaming RPC as if it were unary; None when an RPC is none of that shape."""
    return services.method(rpc) if rpc.name == "LeaseKeepAlive" else None


def _watch_opener(open_session: Callable[[CallContext], AbstractAsyncContextManager[WatchSession]]) -> OpenCall:
    @asynccontextmanager
    async def open_call(context: CallContext) -> AsyncIterator[Call]:
        async with open_session(context) as session:
            yield _WatchCall(session)

    return open_call


class _WatchCall:
    def __init__(self, session: WatchSession) -> None:
        self._session = session
        self._received = trio.Event()

    async def handle(self, request: Any) -> None:
        # Answers are queued without bound, so a client that asks and does not read is read from no more.
        while not self._session.takes_more:
            self._received = trio.Event()
            await self._received.wait()
        self._session.handle(request)

    def finish_requests(self) -> None:
        """The end of the requests does not end a watch."""

    async def next_line(self) -> bytes | None:
        message = await self._session.receive()
        self._received.set()
        return watch_line(message)


def _answer_opener(method: AnswerMethod) -> OpenCall:
    @asynccontextmanager
    async def open_call(context: CallContext) -> AsyncIterator[Call]:
        yield _AnswerCall(method, context)

    return open_call


class _AnswerCall:
    def __init__(self, method: AnswerMethod, context: CallContext) -> None:
        self._method = method
        self._context = context
        self._sender, self._receiver = trio.open_memory_channel[Any](_REQUESTS_AHEAD_MAX)

    async def handle(self, request: Any) -> None:
        await self._sender.send(request)

    def finish_requests(self) -> None:
        self._sender.close()

    async def next_line(self) -> bytes | None:
        try:
            request = await self._receiver.receive()
        except trio.EndOfChannel:
            return None
        return encode_stream_result(encode(await self._method(request, self._context)))


def _many_answers_opener(method: _ManyAnswersMethod) -> OpenCall:
    @asynccontextmanager
    async def open_call(context: CallContext) -> AsyncIterator[Call]:
        call = _ManyAnswersCall(method, context)
        try:
            yield call
        finally:
            await call.aclose()

    return open_call


class _ManyAnswersCall:
    def __init__(self, method: _ManyAnswersMethod, context: CallContext) -> None:
        self._method = method
        self._context = context
        self._asked = trio.Event()
        self._answers: AsyncGenerator[object, None] | None = None

    async def handle(self, request: Any) -> None:
        if self._answers is None:  # whatever follows the one request is ignored, as by the gateway
            self._answers = self._method(request, self._context)
            self._asked.set()

    def finish_requests(self) -> None:
        """The request has come before its end."""

    async def next_line(self) -> bytes | None:
        await self._asked.wait()
        assert self._answers is not None
        answer = await anext(self._answers, None)
        return None if answer is None else encode_stream_result(encode(answer))

    async def aclose(self) -> None:
        if self._answers is not None:
            async with aclosing(self._answers):
                return
