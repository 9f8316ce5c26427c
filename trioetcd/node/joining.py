"""A member that joins a cluster that is there: what it takes from the others, and what has to fit (etcd's rules).

It was added before it is started, so the others know its peer URLs and have given it an ID. Its own
`--initial-cluster` must name the same members, by their peer URLs; then it takes the cluster's ID and its own from
them, and begins with an empty log. Who the members are, it learns from the log like everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trioetcd.config import ConfigError, MemberConfig, StartRefused, Url, parse_url, same_urls
from trioetcd.storage.members import Member


class ClusterMismatch(StartRefused):
    """What one member tells of the cluster is not what is configured; it may be behind, and another tell better."""


@dataclass(frozen=True, kw_only=True)
class Joining:
    """The cluster that a member joins, itself among the members."""

    cluster_id: int
    own: Member
    members: tuple[Member, ...]


def peer_urls_to_ask(config: MemberConfig) -> list[str]:
    """Where the other members of `--initial-cluster` are reached."""
    return [str(url) for one in config.initial_members if one.name != config.name for url in one.peer_urls]


def match_cluster(config: MemberConfig, *, cluster_id: int, members: Sequence[Member]) -> Joining:
    """The cluster that was found, if it is the one that `config` describes.

    Raises `ClusterMismatch` if not, and `StartRefused` for a member that its cluster has seen running.
    """
    configured = [one.peer_urls for one in config.initial_members]
    if len(members) != len(configured):
        raise _mismatch(members, f"member count is unequal: --initial-cluster names {len(configured)}")
    for member in members:
        if not any(_same(member, urls) for urls in configured):
            raise _mismatch(members, f"no match found for existing member {_describe(member)} in --initial-cluster")
    own = next((one for one in members if _same(one, config.initial_advertise_peer_urls)), None)
    if own is None:
        raise _mismatch(members, f"none of them is this member, {config.name}")
    if own.client_urls:
        raise StartRefused(
            f"member {own.id:x} ({config.name}) has run before, but there is no write-ahead log in "
            f"{config.wal_directory}: restore its data directory, or remove the member and add it anew"
        )
    return Joining(cluster_id=cluster_id, own=own, members=tuple(members))


def _same(member: Member, urls: Sequence[Url]) -> bool:
    """Whether a member has these peer URLs. What was added to a cluster need not be a URL that is served here."""
    try:
        return same_urls(tuple(parse_url(url) for url in member.peer_urls), tuple(urls))
    except ConfigError:
        return False


def _mismatch(members: Sequence[Member], reason: str) -> ClusterMismatch:
    found = ", ".join(map(_describe, members))
    return ClusterMismatch(
        f"error validating peerURLs of the cluster [{found}]: {reason}; add the member first, and give it an "
        "--initial-cluster that names every member of the cluster"
    )


def _describe(member: Member) -> str:
    return f"{member.id:x} {member.name or '(not started)'} {','.join(member.peer_urls)}"
