"""What a member asks the others before its first start: whether its cluster is there, fits, and has seen it running.

A new cluster is refused to a member that the others have seen running, since it has lost its data; a member that joins
takes the cluster's ID, its own and the members from whoever answers (`node.joining` says what has to fit).
"""

from __future__ import annotations

from trioetcd.config import MemberConfig, StartRefused
from trioetcd.node.bootstrap import Recovered, has_log, initial_members, own_member
from trioetcd.node.environment import Environment
from trioetcd.node.joining import ClusterMismatch, Joining, match_cluster, peer_urls_to_ask
from trioetcd.peer.remote import BOOTSTRAP_SECONDS, JOIN_SECONDS, fetch_cluster


async def look_at_cluster(config: MemberConfig, environment: Environment) -> Joining | None:
    """Before a first start: the cluster to join, if one is there to be joined. Raises `StartRefused`."""
    if has_log(config, environment):
        return None
    if config.initial_cluster_state == "new":
        await _refuse_second_bootstrap(config, environment)
        return None
    return await _find_cluster(config, environment)


async def _find_cluster(config: MemberConfig, environment: Environment) -> Joining:
    """The cluster to join, from the first of its members whose answer fits.

    One that is behind does not stand in the way: it may hear of this member only when that has started.
    """
    urls = peer_urls_to_ask(config)
    refusal = StartRefused(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs "
        f"({', '.join(urls) or 'none but its own'}); see that --initial-cluster names a member that runs"
    )
    for url in urls:
        cluster = await fetch_cluster(environment.dialer, [url], each_seconds=JOIN_SECONDS)
        if cluster is None:
            continue
        if cluster.version is None:
            raise StartRefused(f"{url} is a member of an etcd cluster, which trioetcd cannot join: start a new one")
        try:
            return match_cluster(config, cluster_id=cluster.cluster_id, members=cluster.members)
        except ClusterMismatch as mismatch:
            refusal = mismatch
    raise refusal


async def ask_for_members(config: MemberConfig, environment: Environment, recovered: Recovered) -> Recovered:
    """Find whom to talk to; if nobody tells, the member waits until it is called.

    It could wait for ever, if it was removed meanwhile: nobody calls it then, but whoever it calls says so.
    """
    cluster = await fetch_cluster(environment.dialer, peer_urls_to_ask(config), each_seconds=BOOTSTRAP_SECONDS)
    if cluster is None or cluster.cluster_id != recovered.cluster_id:
        return recovered
    return recovered.told_members(cluster.members)


async def _refuse_second_bootstrap(config: MemberConfig, environment: Environment) -> None:
    """A member without a log that its cluster has seen running has lost its data, and must not vote as if new."""
    members = initial_members(config)
    own = own_member(config, members)
    urls = [url for member in members if member.id != own.id for url in member.peer_urls]
    cluster = await fetch_cluster(environment.dialer, urls, each_seconds=BOOTSTRAP_SECONDS)
    if cluster is not None and any(one.id == own.id and one.client_urls for one in cluster.members):
        raise StartRefused(
            f"member {own.id:x} ({config.name}) has already been bootstrapped, but there is no write-ahead log in "
            f"{config.wal_directory}: restore its data directory, or remove the member and add it anew"
        )
