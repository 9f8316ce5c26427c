"""Requests parsed by httptools (llhttp): the engine of the client listener, about 2 microseconds a request."""

from __future__ import annotations

from collections import deque
from functools import cache

import httptools

from trioetcd.http11.go_rules import asks_for_websocket, check_head, keeps_alive
from trioetcd.http11.messages import BadRequest, Headers, Request
from trioetcd.http11.parser import whole_body


class HttptoolsParser:
    """A `RequestParser`. The methods `on_*` are called by llhttp from within `feed`."""

    def __init__(self, *, head_bytes_max: int) -> None:
        self._head_bytes_max = head_bytes_max
        self._parser = httptools.HttpRequestParser(self)
        self._ready: deque[Request] = deque()
        self._open: Request | None = None  # its head is complete, its body is not
        self._error: BadRequest | None = None
        self._target = b""
        self._headers: Headers = {}
        self._head_bytes = 0  # of receives that ended within the head that is being read
        self._in_head = False
        self._upgraded = False
        self._leftover = b""

    @property
    def in_head(self) -> bool:
        """Whether a part of a head has arrived, and not the whole of it."""
        return self._in_head

    @property
    def is_between(self) -> bool:
        """Whether nothing of a request is there that was not taken."""
        return (
            not (self._in_head or self._ready or self._upgraded)
            and (self._open is None or self._open.complete)
            and self._error is None
        )

    @property
    def leftover(self) -> bytes:
        """What came after the head of a request that upgrades."""
        return self._leftover

    @property
    def error(self) -> BadRequest | None:
        """What is wrong with the request that comes next, or with the body that is being read."""
        return self._error

    @property
    def in_body(self) -> bool:
        """Whether a head is complete whose body is not."""
        return self._open is not None and not self._open.complete

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        if self._upgraded or self._error is not None:
            self._leftover += data
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._error = cause if isinstance(cause, BadRequest) else BadRequest(400)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes >= self._head_bytes_max:
                self._error = BadRequest(431)

    def take(self) -> Request | None:
        """The next request whose head is complete."""
        if not self._ready and self._upgraded:
            self._pass_over()
        if self._ready:
            request = self._ready.popleft()
            request.body = whole_body(request)
            return request
        if self._error is not None:
            raise self._error
        return None

    def on_message_begin(self) -> None:
        """Start a head."""
        self._in_head = True
        self._head_bytes = 0
        self._target = b""
        self._headers = {}

    def on_url(self, url: bytes) -> None:
        """Take the target, or a piece of it."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one field; after the body of a chunked message these are trailers, which nobody reads."""
        if self._in_head:
            name = name.lower()
            headers = self._headers
            headers[name] = headers[name] + b", " + value if name in headers else value

    def on_headers_complete(self) -> None:
        """Make the request ready."""
        parser = self._parser
        headers = self._headers
        method = parser.get_method().decode("ascii")
        if method == "CONNECT":  # llhttp takes what follows for a tunnel, Go's server for a request
            raise BadRequest(400)
        version = _version(parser.get_http_version())
        self._in_head = False
        check_head(method=method, target=self._target, headers=headers, version=version)
        version_1_0 = version < (1, 1)
        upgrade = b"upgrade" in headers and asks_for_websocket(method, headers)
        self._open = Request(
            method=method,
            target=self._target.decode("latin-1"),
            headers=headers,
            keep_alive=keeps_alive(headers, version_1_0=version_1_0),
            version_1_0=version_1_0,
            upgrade=upgrade,
        )
        self._ready.append(self._open)

    def on_body(self, data: bytes) -> None:
        """Add to the body of the request that is being read."""
        assert self._open is not None
        self._open.parts.append(data)

    def on_message_complete(self) -> None:
        """End the body."""
        assert self._open is not None
        self._open.complete = True

    def _upgrade(self, rest: bytes) -> None:
        """Go on behind an upgrade that is not ours: llhttp stops at a head that offers one, whatever it is.

        The Java HTTP client offers h2c with every request, bodies included; a server that does not speak it
        answers as if it had not been offered (RFC 9110 section 7.8).
        """
        request = self._ready[-1]
        if request.upgrade:
            self._upgraded = True
            self._leftover = rest
            return
        self._ready.pop()
        request.headers = {n: v for n, v in request.headers.items() if n not in (b"upgrade", b"connection")}
        if not request.keep_alive:
            request.headers[b"connection"] = b"close"
        self._parser = httptools.HttpRequestParser(self)
        self.feed(request.head_bytes() + rest)

    def _pass_over(self) -> None:
        """The upgrade was answered as any request, so what follows it is a request too."""
        self._upgraded = False
        rest, self._leftover = self._leftover, b""
        self._parser = httptools.HttpRequestParser(self)
        if rest:
            self.feed(rest)


@cache  # llhttp takes five of them
def _version(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor)
