"""The heads of responses, encoded once, with the CORS fields that etcd puts on every response."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from trioetcd.http11 import HeaderList, Headers, prepare_head

TEXT: Final[HeaderList] = ((b"Content-Type", b"text/plain; charset=utf-8"), (b"X-Content-Type-Options", b"nosniff"))
JSON: Final[HeaderList] = ((b"Content-Type", b"application/json"),)
GRPC_JSON: Final[HeaderList] = (*JSON, (b"Grpc-Metadata-Content-Type", b"application/grpc"))


class Cors:
    """Which origins' pages may call: all of them, or those listed (`--cors`)."""

    def __init__(self, origins: Collection[str] = ("*",)) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)
        self.allows_all = b"*" in self._origins

    def fields(self, request_headers: Headers) -> HeaderList:
        """The CORS fields of an answer; none for an origin that is not listed."""
        origin = b"*" if self.allows_all else request_headers.get(b"origin", b"")
        if origin not in self._origins:
            return ()
        return (
            (b"Access-Control-Allow-Headers", b"accept, content-type, authorization"),
            (b"Access-Control-Allow-Methods", b"POST, GET, OPTIONS, PUT, DELETE"),
            (b"Access-Control-Allow-Origin", origin),
        )


class Head:
    """The constant part of one kind of response: for the default of CORS it is the same bytes for every request."""

    __slots__ = ("_cors", "_fields", "_for_all", "_status")

    def __init__(self, cors: Cors, status: int, fields: HeaderList) -> None:
        self._cors = cors
        self._status = status
        self._fields = fields
        self._for_all = prepare_head(status, (*cors.fields({}), *fields)) if cors.allows_all else None

    def prepared(self, request_headers: Headers) -> bytes:
        """What `ServerConnection.respond_prepared` takes."""
        if self._for_all is not None:
            return self._for_all
        return prepare_head(self._status, self.fields(request_headers))

    def fields(self, request_headers: Headers) -> HeaderList:
        """All fields of the response."""
        return (*self._cors.fields(request_headers), *self._fields)
