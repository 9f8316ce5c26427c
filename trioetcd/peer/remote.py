"""What other members say of the cluster before this one has joined it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import trio

from trioetcd.http11 import ClientConnection
from trioetcd.peer.errors import NETWORK_ERRORS
from trioetcd.peer.headers import BadHeader, read_id
from trioetcd.peer.members import BadMembers, decode_members
from trioetcd.peer.protocols import Dialer
from trioetcd.storage.members import Member

BOOTSTRAP_SECONDS: Final = 1.0
"""etcd's time for each remote at the start of a new cluster."""

JOIN_SECONDS: Final = 10.0
"""etcd's time for each remote when a member joins."""


class RemoteCluster(NamedTuple):
    """A cluster as one of its members tells. `version` is that member's own; etcd's members do not tell it here."""

    cluster_id: int
    members: tuple[Member, ...]
    version: str | None


async def fetch_cluster(dialer: Dialer, urls: Sequence[str], *, each_seconds: float) -> RemoteCluster | None:
    """The cluster, as the first of the peer `urls` tells that knows its members; None if none does.

    One that has joined and has nothing of the log yet knows none. It may get nothing until the asker has started.
    """
    for url in urls:
        with trio.move_on_after(each_seconds):
            try:
                cluster = await _fetch(dialer, url)
            except (*NETWORK_ERRORS, BadMembers, BadHeader):
                continue
            if cluster is not None:
                return cluster
    return None


async def _fetch(dialer: Dialer, url: str) -> RemoteCluster | None:
    """What a server tells; None when it tells no members."""
    connection = ClientConnection(await dialer.dial(url), host=urlsplit(url).netloc)
    try:
        response = await connection.request("GET", "/members")
    finally:
        await connection.aclose()
    if response.status != HTTPStatus.OK:
        return None
    cluster_id = read_id(response.headers.get(b"x-etcd-cluster-id", b"0"), "X-Etcd-Cluster-ID")
    version = response.headers.get(b"x-server-version")
    text = None if version is None else version.decode("latin-1")
    members = decode_members(response.body)
    return RemoteCluster(cluster_id, members, text) if members else None
