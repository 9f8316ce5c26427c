"""What an engine refuses is looked at again, by the rules of Go's server, on which etcd's answers rest.

So both engines answer the same to odd requests, and as etcd does. A connection whose engine has refused something goes
on with the judge. What is no HTTP/1 at all is not answered: in front of Go's server etcd has a multiplexer (cmux),
which looks at the first line of a connection, and closes it without a word.
"""

from __future__ import annotations

import re
from typing import Final

from trioetcd.http11.go_parser import GoParser
from trioetcd.http11.messages import BadBody, BadRequest, HttpError, NotHttp, Request
from trioetcd.http11.parser import RequestParser

_LINE_BYTES_MAX: Final = 4096
_HTTP_1_LINE: Final = re.compile(rb"[^ \n]* [^ \n]* HTTP/\+?0*1\.\+?[0-9]+\r?\n")


class SecondLook:
    """A `RequestParser` that asks `GoParser` about what another one refuses."""

    def __init__(self, parser: RequestParser, *, head_bytes_max: int) -> None:
        self._parser: RequestParser = parser
        self._head_bytes_max = head_bytes_max
        self._judged = False
        self._line: bytes | None = b""  # the connection's first line, until it was looked at
        self._kept: bytes | None = b""  # received since the engine was between two requests; None: a body is under way
        self._taken = 0  # requests of what is kept that were handed out
        self._error: HttpError | None = None

    @property
    def in_head(self) -> bool:
        """Whether a part of a head has arrived, and not the whole of it."""
        return self._parser.in_head

    @property
    def is_between(self) -> bool:
        """Whether nothing of a request is there that was not taken."""
        return self._error is None and self._parser.is_between

    @property
    def leftover(self) -> bytes:
        """What came after the head of a request that upgrades."""
        return self._parser.leftover

    @property
    def error(self) -> HttpError | None:
        """What is wrong with the request that comes next, or with the body that is being read."""
        return self._error or self._parser.error

    @property
    def in_body(self) -> bool:
        """Whether a head is complete whose body is not."""
        return self._parser.in_body

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        if self._line is not None:
            self._look_at_line(data)
        if self._judged:
            self._parser.feed(data)
            return
        if self._parser.is_between:
            self._kept, self._taken = data, 0
        elif self._kept is not None:
            self._kept = self._kept + data if len(self._kept) < self._head_bytes_max else None
        self._parser.feed(data)
        if self._parser.error is not None:
            self._judge()
        elif self._parser.in_body:
            self._kept = None

    def take(self) -> Request | None:
        """The next request whose head is complete."""
        if self._error is not None:
            raise self._error
        request = self._parser.take()
        if request is not None:
            self._taken += 1
        return request

    def _look_at_line(self, data: bytes) -> None:
        assert self._line is not None
        self._line += data[:_LINE_BYTES_MAX]
        if b"\n" in self._line or len(self._line) >= _LINE_BYTES_MAX:
            if not _HTTP_1_LINE.match(self._line[:_LINE_BYTES_MAX]):
                self._error = NotHttp("the first line of a connection is not that of an HTTP/1 request")
            self._line = None

    def _judge(self) -> None:
        """Go on with the judge, which skips what was handed out."""
        if self._kept is None:
            if isinstance(self._parser.error, BadRequest) and self._parser.in_body:
                self._error = BadBody("malformed chunked encoding")
            return
        self._judged = True
        self._parser = GoParser(head_bytes_max=self._head_bytes_max)
        self._parser.feed(self._kept)
        self._kept = b""
        for _ in range(self._taken):
            self._parser.take()
