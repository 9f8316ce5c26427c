"""Unary RPCs over HTTP/JSON, as etcd's gateway answers them: decode, call one service method, encode."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import trio

from trioetcd.api.errors import HTTP_STATUS, ApiError, Code
from trioetcd.api.json_codec import JsonError, decode, encode, encode_unary_error
from trioetcd.api.proto_codec import encoded_size
from trioetcd.api.services import Rpc
from trioetcd.frontend.heads import GRPC_JSON, JSON, Cors, Head
from trioetcd.frontend.member import Services
from trioetcd.frontend.metadata import call_context, checked_timeout
from trioetcd.http11 import BadBody, Begun, BodyTooLarge, Headers, Request, ServerConnection
from trioetcd.metrics import RpcCalls
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.two_steps import TakesLonger

GRPC_OVERHEAD_BYTES: Final = 512 * 1024
"""etcd's: how much more than `--max-request-bytes` its gRPC server takes before it refuses a message unseen."""

UNFIT_BODY_BYTES_MAX: Final = 32 << 20
"""A body up to here is read though its message will be too large; etcd reads any."""

UnaryMethod = Callable[[Any, CallContext], Awaitable[object]]


def unimplemented(rpc: Rpc) -> ApiError:
    """The refusal of an RPC that no service serves."""
    return ApiError(Code.UNIMPLEMENTED, f"unknown method {rpc.name} for service {rpc.service}")


def deadline_exceeded() -> ApiError:
    """What etcd's gateway says when the time that a client gave is over."""
    return ApiError(Code.DEADLINE_EXCEEDED, "context deadline exceeded")


def message_bytes_max(max_request_bytes: int) -> int:
    """The largest message, in protobuf's size of it."""
    return max_request_bytes + GRPC_OVERHEAD_BYTES


def message_too_large(size: int, max_request_bytes: int) -> ApiError:
    """What etcd's gRPC server says to a message above its limit."""
    limit = message_bytes_max(max_request_bytes)
    return ApiError(Code.RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {limit})")


class ErrorHeads:
    """The heads of error responses, one a status."""

    def __init__(self, cors: Cors) -> None:
        self._heads = {status: Head(cors, status, JSON) for status in set(HTTP_STATUS.values())}

    @property
    def ok(self) -> Head:
        """The head of an answer that no service made: a stream that ended before its first line."""
        return self._heads[HTTPStatus.OK.value]

    def of(self, error: ApiError) -> Head:
        """The head of the response that tells an error."""
        return self._heads[HTTP_STATUS[error.code]]


class UnaryHandler:
    """The handler of one unary RPC; its method is looked up once, here."""

    is_stream = False

    def __init__(
        self,
        *,
        rpc: Rpc,
        services: Services,
        calls: RpcCalls,
        cors: Cors,
        errors: ErrorHeads,
        max_request_bytes: int,
    ) -> None:
        self._rpc = rpc
        self._calls = calls
        self._request_class = rpc.request
        self._method: UnaryMethod | None = services.method(rpc)
        self._steps = services.two_steps(rpc)
        self._head = Head(cors, 200, GRPC_JSON)
        self._errors = errors
        self._max_request_bytes = max_request_bytes
        self._message_bytes_max = message_bytes_max(max_request_bytes)
        # JSON holds bytes as base64, a third longer. What is too large is still read up to here, so that the refusal
        # tells the size of the message, as etcd's does, and the connection can stay.
        self._body_bytes_max = max(4 * self._message_bytes_max, UNFIT_BODY_BYTES_MAX)

    async def handle(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> None:
        """Answer one request. Raises what `ServerConnection` raises when the client is gone."""
        headers = request.headers
        try:
            timeout = checked_timeout(headers)
            body = request.body
            if body is None:
                body = await connection.read_body(self._body_bytes_max)
            message: object = decode(self._request_class, body)
            if len(body) > self._message_bytes_max:  # JSON is never shorter than the message in protobuf
                self._check_size(message)
            if self._method is None:
                raise unimplemented(self._rpc)
            context = call_context(headers, anonymous)
            calls = self._calls
            calls.received_bytes += len(body)
            response = await counted_call(calls, self._method, message, context, timeout)
        except (JsonError, BadBody) as error:
            await self._answer_error(connection, request, ApiError(Code.INVALID_ARGUMENT, str(error)))
        except ApiError as error:
            await self._answer_error(connection, request, error)
        except BodyTooLarge as error:
            await self._answer_error(connection, request, message_too_large(error.size, self._max_request_bytes))
        else:
            data = encode(response)
            calls.sent_bytes += len(data)
            await connection.respond_prepared(self._head.prepared(headers), data)

    @property
    def begins(self) -> bool:
        """Whether `begin` takes calls upon itself."""
        return self._steps is not None

    def begin(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> Begun | None:
        """Begin a usual call; whoever has the result answers. None, and nothing has happened: `handle` it.

        Its fields are plain. Whatever is to be refused takes the long way.
        """
        steps, body, headers = self._steps, request.body, request.headers
        if steps is None or body is None or len(body) > self._message_bytes_max:
            return None
        call = _BegunCall(connection, headers, self)
        try:
            message: object = decode(self._request_class, body)
            waits = steps.begin(message, anonymous, call)
        except (JsonError, ApiError, TakesLonger):
            return None
        calls = self._calls
        calls.received_bytes += len(body)
        calls.started()
        call.finish = partial(steps.finish, message, anonymous)
        if not waits:
            call.wake(None)
        return call

    def answer_begun(self, connection: ServerConnection, headers: Headers, response: object) -> None:
        """Send the response to a call that was begun, or the error."""
        calls = self._calls
        if isinstance(response, ApiError):
            calls.handled(response.code)
            connection.answer_begun(self._errors.of(response).prepared(headers), encode_unary_error(response))
            return
        data = encode(response)
        calls.handled(Code.OK)
        calls.sent_bytes += len(data)
        connection.answer_begun(self._head.prepared(headers), data)

    def note_abandoned(self) -> None:
        """A call that was begun has nobody any more who would hear its answer."""
        self._calls.handled(Code.CANCELED)

    async def call_unheard(self, body: bytes, context: CallContext) -> None:
        """Make a call whose client is not there to be told the outcome, whatever it is."""
        try:
            message: object = decode(self._request_class, body)
            if self._method is not None:
                self._calls.received_bytes += len(body)
                await counted_call(self._calls, self._method, message, context)
        except (JsonError, ApiError):
            return

    def _check_size(self, message: object) -> None:
        size = encoded_size(message)
        if size > self._message_bytes_max:
            raise message_too_large(size, self._max_request_bytes)

    async def _answer_error(self, connection: ServerConnection, request: Request, error: ApiError) -> None:
        head = self._errors.of(error).prepared(request.headers)
        await connection.respond_prepared(head, encode_unary_error(error))


class _BegunCall:
    """A call that waits for its result without a task: the service wakes or fails it, the connection abandons it."""

    __slots__ = ("_connection", "_handler", "_headers", "finish", "is_waiting")

    def __init__(self, connection: ServerConnection, headers: Headers, handler: UnaryHandler) -> None:
        self._connection = connection
        self._headers = headers
        self._handler = handler
        self.is_waiting = True
        self.finish: Callable[[object], object]

    def wake(self, value: object) -> None:
        """Answer with what the second step makes of the result."""
        if not self.is_waiting:
            return
        try:
            response = self.finish(value)
        except ApiError as error:
            response = error
        self._answer(response)

    def fail(self, error: Exception) -> None:
        """Answer with an error of the API; another is a defect, which ends the member."""
        if not self.is_waiting:
            return
        if not isinstance(error, ApiError):
            raise error
        self._answer(error)

    def _answer(self, response: object) -> None:
        self.is_waiting = False
        self._handler.answer_begun(self._connection, self._headers, response)

    def abandon(self) -> None:
        """Give it up; a write may still be applied."""
        self.is_waiting = False
        self._handler.note_abandoned()


async def counted_call(
    calls: RpcCalls, method: UnaryMethod, message: object, context: CallContext, timeout: float | None = None
) -> object:
    """Call the service; metrics count what got so far, as etcd's gRPC server does."""
    calls.started()
    try:
        if timeout is None:
            response = await method(message, context)
        else:
            response = await _call_with_timeout(method, message, context, timeout)
    except ApiError as error:
        calls.handled(error.code)
        raise
    except trio.Cancelled:
        calls.handled(Code.CANCELED)
        raise
    calls.handled(Code.OK)
    return response


async def _call_with_timeout(method: UnaryMethod, message: object, context: CallContext, seconds: float) -> object:
    with trio.move_on_at(trio.current_time() + seconds):
        await trio.lowlevel.checkpoint()  # a deadline that has passed refuses also what would not have waited
        return await method(message, context)
    raise deadline_exceeded()
