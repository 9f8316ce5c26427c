"""What travels: requests, responses, their limits, and what may be wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

HeaderList = Sequence[tuple[bytes, bytes]]
Headers = dict[bytes, bytes]
"""Names in lower case; several fields of one name are joined by `, ` as RFC 9110 section 5.3 allows."""

RECEIVE_BYTES: Final = 65_536
"""Asked of the stream at a time: the most that waits unparsed."""

REASONS: Final[dict[int, bytes]] = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}


class Limits(NamedTuple):
    """What one connection may cost. Times are seconds, sizes bytes."""

    head_bytes_max: int = 1_052_672  # request line and fields; Go's
    head_seconds: float = 10.0  # from the first byte (for the first request: from the connection) to a whole head
    idle_seconds: float = 300.0  # between requests
    body_bytes_per_second_min: int = 1_024  # slower bodies are given up
    unread_bytes_max: int = 262_144  # of a body its handler did not want: beyond this the connection is closed


class HttpError(Exception):
    """The other side did not keep to HTTP/1.1, or went away in the middle of a message."""


class BadRequest(HttpError):
    """A client broke the protocol: it is answered with `status` and `reason` as text, and the connection is closed.

    `body` is what the answer holds where that is not the same text.
    """

    def __init__(self, status: int, reason: str = "", *, body: str | None = None) -> None:
        self.status = status
        self.reason = reason
        phrase = REASONS[status].decode()
        self.text = f"{status} {phrase}: {reason}" if reason else f"{status} {phrase}"
        self.body = self.text if body is None else body
        super().__init__(self.text)


class NotHttp(HttpError):
    """What a client sends is no HTTP/1: the connection is closed without an answer."""


class BadBody(HttpError):
    """The body of a request is broken, or ended too soon; the text says how. Nothing can follow on the connection."""


class BodyTooLarge(HttpError):
    """A body is longer than its reader takes. `size` is what the client announced, or what had arrived."""

    def __init__(self, *, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(f"a body of {size} bytes was refused: at most {limit} bytes are taken here")


class ClientGone(HttpError):
    """The client closed its side in the middle of a request."""


class BadResponse(HttpError):
    """A server broke the protocol, or its response is larger than was asked for."""


class ServerGone(HttpError):
    """A server closed the connection before its response was whole."""


class Request:
    """One request: its head, and its body as far as it has arrived.

    `body` is the whole body when it came together with the head, which is the usual case and costs no further
    read; otherwise None, and `ServerConnection.read_body` or `read_chunk` fetch it.
    """

    __slots__ = (
        "body",
        "complete",
        "headers",
        "keep_alive",
        "memo",
        "method",
        "parts",
        "target",
        "upgrade",
        "version_1_0",
    )

    def __init__(
        self,
        *,
        method: str,
        target: str,
        headers: Headers,
        keep_alive: bool,
        version_1_0: bool = False,
        upgrade: bool = False,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.keep_alive = keep_alive
        self.version_1_0 = version_1_0
        self.upgrade = upgrade  # a GET that asks for the WebSocket protocol; nothing follows it on the connection
        self.body: bytes | None = None
        self.parts: list[bytes] = []  # arrived and not yet read; at most one receive's worth
        self.complete = False  # the last byte of the body has arrived
        self.memo: list[Any] = []  # whatever follows from the head alone, for its owner; see `again`

    def again(self, body: bytes) -> Request:
        """The same head with another body, which is whole. Fields, which nobody changes, and memo are shared."""
        request = Request.__new__(Request)
        request.method = self.method
        request.target = self.target
        request.headers = self.headers
        request.keep_alive = self.keep_alive
        request.version_1_0 = self.version_1_0
        request.upgrade = self.upgrade
        request.body = body
        request.parts = []
        request.complete = True
        request.memo = self.memo
        return request

    def take_parts(self) -> bytes:
        """What has arrived of the body and was not read yet."""
        data = b"".join(self.parts)
        self.parts.clear()
        return data

    @property
    def path(self) -> str:
        """The target without its query, still percent-encoded; of an absolute target the part after the host."""
        path = self.target.partition("?")[0]
        if path.startswith("/"):
            return path
        _, scheme, rest = path.partition("://")
        return "/" + rest.partition("/")[2] if scheme else path

    @property
    def query(self) -> str:
        """What follows the question mark; empty without one."""
        return self.target.partition("?")[2]

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for `100 Continue` before it sends its body."""
        expected = self.headers.get(b"expect", b"").lower()
        has_body = self.headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.headers
        return b"100-continue" in expected and has_body and not self.version_1_0

    def head_bytes(self) -> bytes:
        """The head written out again, for who wants to parse it himself (the WebSocket handshake)."""
        fields = b"".join(b"%b: %b\r\n" % item for item in self.headers.items())
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (self.method.encode(), self.target.encode("latin-1"), fields)

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target}>"


class Response(NamedTuple):
    """A whole response, as a client receives it."""

    status: int
    headers: Headers
    body: bytes


def join_headers(pairs: HeaderList) -> Headers:
    """Header fields by name, in lower case."""
    headers: Headers = {}
    for name, value in pairs:
        name = name.lower()
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers
