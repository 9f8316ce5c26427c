"""What other members say of the cluster before this one has joined it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import orjson
import trio

from trioetcd.http11 import ClientConnection
from trioetcd.peer.errors import NETWORK_ERRORS
from trioetcd.peer.protocols import Dialer

REQUEST_SECONDS: Final = 1.0
"""etcd's time for each remote at a start."""


async def bootstrapped_members(dialer: Dialer, urls: Sequence[str]) -> frozenset[int]:
    """The members that have published themselves, as the first of `urls` tells that can be asked; none if none can.

    A member publishes its client URLs when it first runs: so one of this list has run before, with a log and a
    database of its own, and must not start again without them.
    """
    for url in urls:
        with trio.move_on_after(REQUEST_SECONDS):
            try:
                members = await _fetch_members(dialer, url)
            except NETWORK_ERRORS:
                continue
            if members is not None:
                return members
    return frozenset()


async def _fetch_members(dialer: Dialer, url: str) -> frozenset[int] | None:
    """The published members that a server names; None when it answers something else than members."""
    connection = ClientConnection(await dialer.dial(url), host=urlsplit(url).netloc)
    try:
        response = await connection.request("GET", "/members")
    finally:
        await connection.aclose()
    if response.status != HTTPStatus.OK:
        return None
    try:
        members = orjson.loads(response.body)
        published = frozenset(int(member["id"]) for member in members if member.get("clientURLs"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return published if type(members) is list else None
