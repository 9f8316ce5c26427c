"""A sequence of JSON values that arrives in pieces: the request side of watches and keep-alives."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from trioetcd.api import json_decode
from trioetcd.api.go_scanner import JsonError, Scanner

T = TypeVar("T")
_SPACE: Final = b" \t\r\n"

VALUE_SIZE_MAX: Final = 4 << 20
"""Bytes of one value by default: more than base64 makes of the largest request that etcd lets through by default."""


class StreamDecoder(Generic[T]):
    """Decodes messages of one class; between them there may be space or nothing.

    A bad value ends the sequence. What came before it in the same piece is still handed out: `feed` returns that,
    `error` is set, and the next call raises it.
    """

    def __init__(self, cls: type[T], *, value_size_max: int = VALUE_SIZE_MAX) -> None:
        self._cls = cls
        self._value_size_max = value_size_max
        self._buffer = bytearray()  # the unread part: at most one unfinished value between calls
        self._scanned = 0  # how much of it the scanner has seen
        self._scanner = Scanner()
        self.error: JsonError | None = None

    def feed(self, data: bytes) -> list[T]:
        """The messages that `data` completes; raises JsonError when the first that it would give is bad."""
        if self.error is not None:
            raise self.error
        self._buffer += data
        messages: list[T] = []
        try:
            self._decode_whole_values(messages)
        except JsonError as error:
            self.error = error
            self._buffer.clear()
            if not messages:
                raise
        return messages

    def finish(self) -> list[T]:
        """The input has ended: a number may be whole now; anything else unfinished raises JsonError."""
        if self.error is not None:
            raise self.error
        rest = bytes(self._buffer.strip(_SPACE))
        self._buffer.clear()
        return [json_decode.decode(self._cls, rest)] if rest else []

    def _decode_whole_values(self, messages: list[T]) -> None:
        while (end := self._scanner.scan(self._buffer, self._scanned)) is not None:
            value = bytes(self._buffer[:end])
            del self._buffer[:end]
            self._scanned = 0
            self._scanner = Scanner()
            messages.append(json_decode.decode(self._cls, value))
        self._scanned = len(self._buffer)
        if self._scanned > self._value_size_max:
            raise JsonError(f"a value is larger than {self._value_size_max} bytes; send smaller requests")
