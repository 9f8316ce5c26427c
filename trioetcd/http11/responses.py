"""Responses as bytes. What is the same for every response of a kind is encoded once."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

from trioetcd.http11.messages import REASONS, BadRequest, HeaderList

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def prepare_head(status: int, headers: HeaderList) -> bytes:
    """The constant part of a response: status line and fields, to which Date and the framing are added."""
    fields = b"".join(b"%b: %b\r\n" % item for item in headers)
    return b"HTTP/1.1 %d %b\r\n%b" % (status, REASONS.get(status, b"status"), fields)


def bad_request(error: BadRequest, *, date: bytes) -> bytes:
    """The answer to what is not HTTP, in the shape of Go's server: no length, the end of the connection ends it.

    One without a body (an expectation that nobody meets) is an answer like others there, and has both date and length.
    """
    line, body = error.text.encode("latin-1", "replace"), error.body.encode("latin-1", "replace")
    if not body:
        return b"HTTP/1.1 %b\r\nConnection: close\r\nDate: %b\r\nContent-Length: 0\r\n\r\n" % (line, date)
    return b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n%b" % (line, body)


class DateField:
    """The value of the Date field, formatted once a second."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._second = -1
        self._value = b""

    def value(self) -> bytes:
        """The present time as RFC 9110 section 5.6.7 writes it."""
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._value = formatdate(second, usegmt=True).encode("ascii")
        return self._value
