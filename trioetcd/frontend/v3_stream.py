"""Streaming RPCs: requests are read as they arrive while answers leave, each answer one line in one message.

Theory of operation. A `Call` (stream_calls) is what the stream does; a `Wire` is how it reaches its client: chunks of
one HTTP response, or frames of a WebSocket. `Pump` joins the two with one task that reads and one that writes. A stream
ends by what the writer meets (the end of the answers, an ApiError), by the deadline, or by what the reader meets (the
client is gone, the first request is none).

etcd's gateway (grpc-gateway 1.16) sends status and fields together with the first line: an error before it has a
status of its own, and one after it is a last line. A bad first request is told as a unary error would be; a later one
only ends the requests. A client that does not read makes the writer wait, and with it whatever the call buffers.

The gateway's clients keep a lease alive by a stream of one request, which arrives whole. That needs no second task and
no channel, so it is served as a unary call is, and answered as a stream (measured, of CPU: 315 us a call with the
pump, 53 without).
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import trio

from trioetcd.api.errors import ApiError, Code
from trioetcd.api.json_codec import (
    JsonError,
    StreamDecoder,
    decode_single,
    encode,
    encode_stream_error,
    encode_stream_result,
    encode_unary_error,
)
from trioetcd.api.services import Rpc
from trioetcd.frontend.heads import GRPC_JSON, Cors, Head
from trioetcd.frontend.member import Services
from trioetcd.frontend.metadata import call_context, checked_timeout
from trioetcd.frontend.stream_calls import AnswerMethod, Call, OpenCall, find_answer, find_call
from trioetcd.frontend.v3_http import ErrorHeads, counted_call, deadline_exceeded, message_bytes_max, unimplemented
from trioetcd.http11 import BadBody, ClientGone, HttpError, Request, ServerConnection
from trioetcd.metrics import RpcCalls
from trioetcd.node.service.context import CallContext

_GONE: Final = (HttpError, trio.BrokenResourceError)


class Wire(Protocol):
    """How one stream reaches its client. All methods raise HttpError or BrokenResourceError when it is gone."""

    async def read(self) -> bytes:
        """The next bytes of the requests; empty at their end."""
        ...

    async def wait_departure(self) -> None:
        """Return when the client is gone."""
        ...

    async def send_line(self, line: bytes) -> None:
        """Send one answer as one message."""
        ...

    async def refuse(self, error: ApiError) -> None:
        """End the stream before its first answer: its first request is none, or its time is over."""
        ...

    async def fail(self, error: ApiError) -> None:
        """End the stream with an error."""
        ...

    async def finish(self) -> None:
        """End the stream in order."""
        ...


class HttpWire:
    """The chunks of one HTTP response."""

    def __init__(self, connection: ServerConnection, request: Request, *, head: Head, errors: ErrorHeads) -> None:
        self._connection = connection
        self._headers = request.headers
        self._head = head
        self._errors = errors
        self._started = False
        self.read = connection.read_chunk
        self.wait_departure = connection.wait_departure

    async def send_line(self, line: bytes) -> None:
        """Send a line as one chunk; the first takes the head along."""
        if not self._started:
            await self._start(self._head)
        await self._connection.send_chunk(line)

    async def refuse(self, error: ApiError) -> None:
        """Answer as if the call were unary."""
        head = self._errors.of(error).prepared(self._headers)
        await self._connection.respond_prepared(head, encode_unary_error(error))

    async def fail(self, error: ApiError) -> None:
        """Send the error, with its status when nothing was sent before."""
        if not self._started:
            await self._start(self._errors.of(error))
        await self._connection.send_chunk(encode_stream_error(error))
        await self._connection.end_stream()

    async def finish(self) -> None:
        """Send the last chunk."""
        if not self._started:
            await self._start(self._errors.ok)
        await self._connection.end_stream()

    async def _start(self, head: Head) -> None:
        self._started = True
        await self._connection.start_stream_prepared(head.prepared(self._headers))


class Pump:
    """Runs one call over one wire to its end.

    Metrics count it as etcd's gRPC server does, which sees a stream of requests when it is opened, and one request when
    it is one.
    """

    def __init__(self, *, rpc: Rpc, call: Call, wire: Wire, calls: RpcCalls, value_bytes_max: int) -> None:
        self._rpc = rpc
        self._calls = calls
        self._is_counted = False
        self._call = call
        self._wire = wire
        self._decoder: StreamDecoder[Any] = StreamDecoder(rpc.request, value_size_max=value_bytes_max)
        self._requests = 0
        self._error: ApiError | None = None
        self._refused: ApiError | None = None
        self._answered = False
        self._gone = False
        self._sending = False

    async def run(self, timeout_seconds: float | None) -> bool:
        """Carry requests and answers until the stream has ended; False when the client is gone. Raises nothing."""
        if self._rpc.client_streaming:
            self._count_started()
        code = Code.CANCELED
        try:
            await self._carry(timeout_seconds)
            if self._error is not None:
                code = self._error.code
            elif not self._gone and self._refused is None:
                code = Code.OK
        finally:
            if self._is_counted:
                self._calls.handled(code)
        if self._gone or self._sending:  # what was cut off in the middle of a message cannot be ended in order
            return False
        try:
            await self._end()
        except _GONE:
            return False
        return True

    def _count_started(self) -> None:
        if not self._is_counted:
            self._is_counted = True
            self._calls.started()

    async def _carry(self, timeout_seconds: float | None) -> None:
        with trio.move_on_after(float("inf") if timeout_seconds is None else max(timeout_seconds, 0)) as deadline:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, nursery.cancel_scope)
                nursery.start_soon(self._write, nursery.cancel_scope)
        if deadline.cancelled_caught:
            self._error = deadline_exceeded()
            if not self._answered and self._refused is None:
                self._refused = self._error

    async def _end(self) -> None:
        if self._refused is not None:
            await self._wire.refuse(self._refused)
        elif self._error is not None:
            await self._wire.fail(self._error)
        else:
            await self._wire.finish()

    async def _read(self, scope: trio.CancelScope) -> None:
        try:
            if self._rpc.client_streaming:  # a single request is read before the call is opened, and its time counts
                await trio.lowlevel.checkpoint_if_cancelled()
            await self._read_requests()
            await self._wire.wait_departure()
            self._gone = True
        except _GONE:
            self._gone = True
        except JsonError as error:
            # The gateway gives the code of its decoder only where there is one request (its generated handlers).
            code = Code.UNKNOWN if self._rpc.client_streaming else Code.INVALID_ARGUMENT
            self._refused = ApiError(code, str(error))
        scope.cancel()

    async def _read_requests(self) -> None:
        try:
            while data := await self._read_piece():
                self._calls.received_bytes += len(data)
                await self._hand_over(self._decoder.feed(data))
                if self._decoder.error is not None:  # in the same piece, after what was handed over
                    raise self._decoder.error
            await self._hand_over(self._decoder.finish())
        except JsonError:
            if not self._requests:
                raise
            self._call.finish_requests()
            return
        if not self._requests and not self._rpc.client_streaming:
            self._count_started()
            await self._call.handle(self._rpc.request())
        self._call.finish_requests()

    async def _read_piece(self) -> bytes:
        try:
            return await self._wire.read()
        except BadBody as error:
            raise JsonError(str(error)) from error

    async def _hand_over(self, requests: list[Any]) -> None:
        for request in requests:
            self._requests += 1
            self._count_started()
            await self._call.handle(request)

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            await trio.lowlevel.checkpoint_if_cancelled()  # no answer after a deadline that was over from the start
            while (line := await self._call.next_line()) is not None:
                self._answered = self._sending = True
                self._calls.sent_bytes += len(line)
                await self._wire.send_line(line)
                self._sending = False
        except ApiError as error:
            self._error = error
        except _GONE:
            self._gone = True
        scope.cancel()


class StreamHandler:
    """The handler of one streaming RPC, over HTTP and over WebSocket."""

    is_stream = True

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
        self._open_call: OpenCall | None = find_call(rpc, services)
        self._answer: AnswerMethod | None = find_answer(rpc, services)
        self._head = Head(cors, 200, GRPC_JSON)
        self._errors = errors
        self._value_bytes_max = 2 * message_bytes_max(max_request_bytes)

    async def handle(self, connection: ServerConnection, request: Request, anonymous: CallContext) -> None:
        """Serve the stream to its end. Raises ClientGone when that is the client's going."""
        context = call_context(request.headers, anonymous)
        wire = HttpWire(connection, request, head=self._head, errors=self._errors)
        try:
            timeout = checked_timeout(request.headers)
        except ApiError as error:
            await wire.refuse(error)
            return
        if self._answer is not None and (message := self._only_request(request)) is not None:
            self._calls.received_bytes += len(request.body or b"")
            await self._answer_only(self._answer, message, context, connection, request)
        elif not await self.serve(wire, context, timeout):
            raise ClientGone(f"the client of {self._rpc.name} closed the connection")

    def _only_request(self, request: Request) -> object | None:
        """The one request of a stream; None when there may be more, or when it asks for a deadline or a leader."""
        headers = request.headers
        if request.body is None or b"grpc-timeout" in headers or b"grpc-metadata-hasleader" in headers:
            return None
        return decode_single(self._rpc.request, request.body)

    async def _answer_only(
        self,
        answer: AnswerMethod,
        message: object,
        context: CallContext,
        connection: ServerConnection,
        request: Request,
    ) -> None:
        try:
            response = await counted_call(self._calls, answer, message, context)
        except ApiError as error:
            head, line = self._errors.of(error), encode_stream_error(error)
        else:
            head, line = self._head, encode_stream_result(encode(response))
            self._calls.sent_bytes += len(line)
        await connection.respond_as_stream(head.prepared(request.headers), line)

    async def serve(self, wire: Wire, context: CallContext, timeout: float | None = None) -> bool:
        """Run one call over a wire; False when the client is gone."""
        if self._open_call is None:
            await wire.fail(unimplemented(self._rpc))
            return True
        try:
            async with self._open_call(context) as call:
                pump = Pump(
                    rpc=self._rpc, call=call, wire=wire, calls=self._calls, value_bytes_max=self._value_bytes_max
                )
                return await pump.run(timeout)
        except ApiError as error:  # of the opening: a running call's errors end with its pump
            self._calls.started()
            self._calls.handled(error.code)
            await wire.fail(error)
        return True
