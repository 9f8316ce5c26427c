"""The header fields by which members know each other, written and read.

| field                 | value                                                                    |
|-----------------------|--------------------------------------------------------------------------|
| X-Server-From         | id of the sender, hexadecimal                                            |
| X-Raft-To             | id of the member that is meant, hexadecimal                              |
| X-Etcd-Cluster-ID     | id of the cluster, hexadecimal                                           |
| X-Server-Version      | version of the sender; missing: 2.0.0, as the oldest members wrote none  |
| X-Min-Cluster-Version | oldest version that the sender works with; missing: 2.0.0                |
| X-PeerURLs            | where the sender is reached, joined by commas                            |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import urlsplit

Version = tuple[int, int]
"""Major and minor: what compatibility depends on."""

_OLDEST: Final = b"2.0.0"
_PEER_URLS_MAX: Final = 16


class BadHeader(ValueError):
    """A field is not what it should be; the text names it and what was expected."""


class PeerIdentity(NamedTuple):
    """What a member says of itself."""

    member_id: int
    cluster_id: int
    version: str
    min_cluster_version: str
    peer_urls: tuple[str, ...] = ()


class PeerHeaders(NamedTuple):
    """What a request says of its sender; an id that is missing is 0, as no member has it."""

    from_: int
    to: int | None
    cluster_id: int
    version: Version
    version_text: str
    min_cluster_version: Version
    peer_urls: tuple[str, ...]


def write_headers(identity: PeerIdentity, *, to: int) -> list[tuple[bytes, bytes]]:
    """The fields of a request from `identity` to the member `to`."""
    return [
        (b"X-Server-From", b"%x" % identity.member_id),
        (b"X-Raft-To", b"%x" % to),
        (b"X-Etcd-Cluster-ID", b"%x" % identity.cluster_id),
        (b"X-Server-Version", identity.version.encode()),
        (b"X-Min-Cluster-Version", identity.min_cluster_version.encode()),
        (b"X-PeerURLs", ",".join(identity.peer_urls).encode()),
    ]


def read_headers(fields: Mapping[bytes, bytes]) -> PeerHeaders:
    """The fields of a request, by name in lower case; raises `BadHeader`."""
    version = fields.get(b"x-server-version", _OLDEST)
    return PeerHeaders(
        from_=read_id(fields.get(b"x-server-from", b"0"), "X-Server-From"),
        to=read_id(fields[b"x-raft-to"], "X-Raft-To") if b"x-raft-to" in fields else None,
        cluster_id=read_id(fields.get(b"x-etcd-cluster-id", b"0"), "X-Etcd-Cluster-ID"),
        version=read_version(version, "X-Server-Version"),
        version_text=version.decode("latin-1"),
        min_cluster_version=read_version(fields.get(b"x-min-cluster-version", _OLDEST), "X-Min-Cluster-Version"),
        peer_urls=_read_urls(fields.get(b"x-peerurls", b"")),
    )


def read_id(value: bytes | str, what: str) -> int:
    """An id as members write it: at most 16 hexadecimal digits."""
    text = value if isinstance(value, str) else value.decode("latin-1")
    if not 0 < len(text) <= 16 or not set(text) <= set("0123456789abcdefABCDEF"):
        raise BadHeader(f"{what}: up to 16 hexadecimal digits were expected, {text[:40]!r} came")
    return int(text, 16)


def read_version(value: bytes | str, what: str) -> Version:
    """Major and minor of `3.5.1` or `3.5.0-rc.1`."""
    text = value if isinstance(value, str) else value.decode("latin-1")
    parts = text.split(".", 2)
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) < 6 for part in parts[:2]):
        raise BadHeader(f"{what}: a version such as 3.5.1 was expected, {text[:40]!r} came")
    return int(parts[0]), int(parts[1])


def _read_urls(value: bytes) -> tuple[str, ...]:
    """The URLs that can be dialled; others are left out, as the field is a hint."""
    urls = [url.strip() for url in value.decode("latin-1").split(",")[:_PEER_URLS_MAX]]
    return tuple(url for url in urls if is_peer_url(url))


def is_peer_url(url: str) -> bool:
    """Whether this can be dialled, and its host stand in a request."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None and url.isascii()
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False
