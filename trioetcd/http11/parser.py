"""What a parser of requests is to the connection, whichever engine parses."""

from __future__ import annotations

from typing import Literal, Protocol

from trioetcd.http11.messages import HttpError, Request

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

    @property
    def error(self) -> HttpError | None:
        """What is wrong with the request that comes next, or with the body that is being read."""
        ...

    @property
    def in_body(self) -> bool:
        """Whether a head is complete whose body is not."""
        ...

    def feed(self, data: bytes) -> None:
        """Take what was received: complete heads become ready, body data goes to its request's `parts`."""
        ...

    def take(self) -> Request | None:
        """The next request whose head is complete; None until more is fed. Raises HttpError in its turn."""
        ...
