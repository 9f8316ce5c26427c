"""What surrounds etcd's messages on the JSON gateway: error bodies and the lines of streams."""

from __future__ import annotations

from trioetcd.api import json_codec
from trioetcd.api import messages as m
from trioetcd.api.errors import Code
from trioetcd.api.schema import message, nested, string, uint32
from trioetcd.client.errors import EtcdError, ProtocolError, error_of


@message("trioetcd.client.ErrorBody")
class ErrorBody:
    """The body of an answer that is not 200."""

    error: str = string(1)
    code: int = uint32(2)
    message: str = string(3)


@message("trioetcd.client.StreamError")
class StreamError:
    """What ends a stream that had begun."""

    grpc_code: int = uint32(1)
    http_code: int = uint32(2)
    message: str = string(3)
    http_status: str = string(4)


@message("trioetcd.client.WatchLine")
class WatchLine:
    """One line of a watch: a response or the error that ends it."""

    result: m.WatchResponse | None = nested(1, lambda: m.WatchResponse)
    error: StreamError | None = nested(2, lambda: StreamError)


@message("trioetcd.client.KeepAliveLine")
class KeepAliveLine:
    """The answer to one keep-alive: a response or the error that ends the stream."""

    result: m.LeaseKeepAliveResponse | None = nested(1, lambda: m.LeaseKeepAliveResponse)
    error: StreamError | None = nested(2, lambda: StreamError)


def error_of_body(status: int, body: bytes) -> EtcdError:
    """The exception for an answer that is not 200."""
    try:
        answer = json_codec.decode(ErrorBody, body)
    except json_codec.JsonError:
        answer = ErrorBody()  # a stream's error in another shape, a proxy's page, a plain-text 404
    if answer.code:
        return error_of(answer.code, answer.message or answer.error)
    return _error_of_stream_body(body) or ProtocolError(
        Code.UNKNOWN, f"the server answered HTTP {status} with {body[:200]!r}, expected an etcd error as JSON"
    )


def _error_of_stream_body(body: bytes) -> EtcdError | None:
    try:
        line = json_codec.decode(WatchLine, body)
    except json_codec.JsonError:
        return None
    return None if line.error is None else error_of(line.error.grpc_code, line.error.message)
