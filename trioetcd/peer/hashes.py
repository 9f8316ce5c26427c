"""What another member's keys hash to: `GET /members/hashkv` with the revision in a JSON body, as etcd's members ask."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import trio

from trioetcd.http11 import ClientConnection
from trioetcd.node.protocols import PeerHash
from trioetcd.peer.errors import NETWORK_ERRORS
from trioetcd.peer.protocols import Dialer

FETCH_SECONDS: Final = 10.0
"""For each URL; a hash of a million keys takes seconds."""


class HashFetcher:
    """Asks other members over connections of its own: also before the transport runs."""

    def __init__(self, *, dialer: Dialer) -> None:
        self._dialer = dialer

    async def fetch(self, urls: Sequence[str], revision: int) -> PeerHash | None:
        """The hash of the member behind these peer URLs as of a revision; None when it does not tell."""
        for url in urls:
            with trio.move_on_after(FETCH_SECONDS):
                try:
                    return await self._fetch(url, revision)
                except NETWORK_ERRORS:
                    continue
        return None

    async def _fetch(self, url: str, revision: int) -> PeerHash | None:
        connection = ClientConnection(await self._dialer.dial(url), host=urlsplit(url).netloc)
        fields = [(b"Content-Type", b"application/json"), (b"Connection", b"close")]
        try:
            body = orjson.dumps({"revision": revision})
            response = await connection.request("GET", "/members/hashkv", fields, body)
        finally:
            await connection.aclose()
        return decode_hash(response.body) if response.status == HTTPStatus.OK else None


def decode_hash(body: bytes) -> PeerHash | None:
    """What an answer says; None when it is none."""
    try:
        answer: Any = orjson.loads(body)
        fields = (answer["hash"], answer["header"]["revision"], answer["compact_revision"])
    except (ValueError, TypeError, KeyError):
        return None
    return PeerHash(*fields) if all(type(field) is int for field in fields) else None
