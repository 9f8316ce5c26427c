"""HTTP/1.1 on a Trio stream, both sides; the only place that knows h11 or httptools.

`ServerConnection` and `ClientConnection` each drive one connection. A server guards its connections by a `Reaper`
and may run them over `LeanSocketStream`, which is what the client listener's speed rests on.
"""

from __future__ import annotations

from trioetcd.http11.accepting import BurstListener, accept
from trioetcd.http11.client import ClientConnection, ClientExchange
from trioetcd.http11.known_heads import KnownHeads
from trioetcd.http11.messages import (
    BadBody,
    BadRequest,
    BadResponse,
    BodyTooLarge,
    ClientGone,
    HeaderList,
    Headers,
    HttpError,
    Limits,
    NotHttp,
    Request,
    Response,
    ServerGone,
)
from trioetcd.http11.parser import Engine
from trioetcd.http11.readiness import Readiness
from trioetcd.http11.reaper import Reaper
from trioetcd.http11.responses import DateField, prepare_head
from trioetcd.http11.server import Begun, Phase, ServerConnection
from trioetcd.http11.streams import LeanSocketStream

__all__ = [
    "BadBody",
    "BadRequest",
    "BadResponse",
    "Begun",
    "BodyTooLarge",
    "BurstListener",
    "ClientConnection",
    "ClientExchange",
    "ClientGone",
    "DateField",
    "Engine",
    "HeaderList",
    "Headers",
    "HttpError",
    "KnownHeads",
    "LeanSocketStream",
    "Limits",
    "NotHttp",
    "Phase",
    "Readiness",
    "Reaper",
    "Request",
    "Response",
    "ServerConnection",
    "ServerGone",
    "accept",
    "prepare_head",
]
