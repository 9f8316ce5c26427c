"""HTTP/1.1 on a Trio stream, both sides; the only place that knows h11 or httptools."""

from __future__ import annotations

from trioetcd.http11.client import ClientConnection, ClientExchange
from trioetcd.http11.messages import (
    BadRequest,
    BadResponse,
    BodyTooLarge,
    ClientGone,
    HeaderList,
    Headers,
    HttpError,
    Limits,
    Request,
    Response,
    ServerGone,
)

__all__ = [
    "BadRequest",
    "BadResponse",
    "BodyTooLarge",
    "ClientConnection",
    "ClientExchange",
    "ClientGone",
    "HeaderList",
    "Headers",
    "HttpError",
    "Limits",
    "Request",
    "Response",
    "ServerGone",
]
