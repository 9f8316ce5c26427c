"""How the JSON gateway of etcd 3.5 words an error: one body for unary calls, another at the end of a stream."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from trioetcd.api.errors import HTTP_STATUS, ApiError, Code
from trioetcd.api.json_encode import quote

_STATUS_TEXT: Final = {code: HTTPStatus(status).phrase for code, status in HTTP_STATUS.items()}


def encode_unary_error(error: ApiError) -> bytes:
    """The body of an answer whose HTTP status is `HTTP_STATUS[error.code]`."""
    if not error.message:
        return b'{"code":%d}' % error.code
    message = quote(error.message)
    return f'{{"error":{message},"code":{error.code:d},"message":{message}}}'.encode()


def encode_stream_error(error: ApiError) -> bytes:
    """The last object of a stream (without the newline), or its whole body when nothing was sent before."""
    message = f'"message":{quote(error.message)},' if error.message else ""
    code = Code(error.code)
    return (
        f'{{"error":{{"grpc_code":{code:d},"http_code":{HTTP_STATUS[code]},{message}'
        f'"http_status":"{_STATUS_TEXT[code]}"}}}}'
    ).encode()
