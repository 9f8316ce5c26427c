"""JSON as etcd's gateway reads and writes it: the one import of front ends and of the client."""

from __future__ import annotations

from typing import TypeVar

from trioetcd.api.go_scanner import JsonError
from trioetcd.api.json_decode import decode, decode_single
from trioetcd.api.json_encode import encode, encode_event, encode_header, encode_stream_result, encode_watch_response
from trioetcd.api.json_errors import encode_stream_error, encode_unary_error
from trioetcd.api.json_stream import StreamDecoder

T = TypeVar("T")

__all__ = [
    "JsonError",
    "StreamDecoder",
    "decode",
    "decode_single",
    "decode_stream",
    "encode",
    "encode_event",
    "encode_header",
    "encode_stream_error",
    "encode_stream_result",
    "encode_unary_error",
    "encode_watch_response",
]


def decode_stream(cls: type[T]) -> StreamDecoder[T]:
    """A decoder of a sequence of messages that arrives in pieces."""
    return StreamDecoder(cls)
