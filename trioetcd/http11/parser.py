"""What a parser of requests is to the connection, and the rules that hold for whichever engine parses."""

from __future__ import annotations

from typing import Literal, Protocol

from trioetcd.http11.messages import BadRequest, Headers, Request

Engine = Literal["httptools", "h11"]


def whole_body(request: Request) -> bytes | None:
    """The body of a request that is handed out, if it is there; None makes its reader ask for it.

    A client that expects `100 Continue` is told so also when it did not wait for it, as Go's server does.
    """
    return b"".join(request.parts) if request.complete and b"expect" not in request.headers else None


class RequestParser(Protocol):
    """Bytes in, requests out; synchronous, no I/O. After an error or an upgrade further bytes are only kept."""

    @property
    def in_head(self) -> bool:
        """Whether a part of a head has arrived, and not the whole of it."""
        ...

    @property
    def is_between(self) -> bool:
        """Whether nothing of a request is there that was not taken: what comes next begins a message."""
        ...

    @property
    def leftover(self) -> bytes:
        """What came after the head of a request that upgrades."""
        ...

    def feed(self, data: bytes) -> None:
        """Take what was received: complete heads become ready, body data goes to its request's `parts`."""
        ...

    def take(self) -> Request | None:
        """The next request whose head is complete; None until more is fed. Raises `BadRequest` in its turn."""
        ...

    def raise_error(self) -> None:
        """Raise what is wrong with the body that is being read, if something is."""
        ...


def make_parser(engine: Engine, *, head_bytes_max: int) -> RequestParser:
    """The parser of an engine, which is imported only when it is used."""
    if engine == "httptools":
        from trioetcd.http11.httptools_engine import HttptoolsParser  # noqa: PLC0415 # the other engine stays unloaded

        return HttptoolsParser(head_bytes_max=head_bytes_max)
    from trioetcd.http11.h11_engine import H11Parser  # noqa: PLC0415 # the other engine stays unloaded

    return H11Parser(head_bytes_max=head_bytes_max)


def check_head(*, method: str, headers: Headers, version_1_0: bool) -> None:
    """Raise BadRequest for what both engines let pass and Go's server does not."""
    host = headers.get(b"host")
    if host is None and not version_1_0:
        raise BadRequest(400, "missing required Host header")
    if host is not None and b"," in host:
        raise BadRequest(400, "too many Host headers")
    if method == "CONNECT":
        raise BadRequest(400, "this is no proxy: CONNECT is not served")
    if method == "HEAD" and headers.get(b"content-length", b"0") != b"0":
        raise BadRequest(400)
    if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise BadRequest(501, body="Unsupported transfer encoding")
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise BadRequest(417, body="")


def asks_for_websocket(method: str, headers: Headers) -> bool:
    """Whether the request is a WebSocket handshake; other upgrades (h2c) are offers that may be passed over."""
    return (
        method == "GET"
        and headers.get(b"upgrade", b"").lower() == b"websocket"
        and b"upgrade" in headers.get(b"connection", b"").lower()
    )
