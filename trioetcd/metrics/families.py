"""From the values of a scrape to metric families: one row a family, with etcd's names, types and labels.

Dashboards and alerts hang on the names, and on the types where etcd chose odd ones: its `_total` gauges are gauges here
too, and its counters without `_total` keep their names (which Prometheus' client would otherwise change).

There is no family that nothing fills: what has no counterpart here (v2, the proxy, Go), and what no dashboard or alert
reads, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from trioetcd.config.version import SERVER_VERSION
from trioetcd.metrics.source import (
    ROUND_TRIP_BOUNDS_SECONDS,
    MetricsSource,
    NetworkMetrics,
    PeerMetrics,
    ProcessMetrics,
    ServerMetrics,
    StoreMetrics,
)

Value = Callable[[Any], float]


class Row(NamedTuple):
    """A family without labels: its name, its help, and where its value is."""

    name: str
    help: str
    value: Value


SERVER_GAUGES: Final = (
    Row("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.", lambda s: s.has_leader),
    Row(
        "etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.", lambda s: s.is_leader
    ),
    Row("etcd_server_is_learner", "Whether or not this member is a learner. 1 if is.", lambda s: s.is_learner),
    Row("etcd_server_proposals_committed_total", "Consensus proposals committed.", lambda s: s.commit_index),
    Row("etcd_server_proposals_applied_total", "Consensus proposals applied.", lambda s: s.applied_index),
    Row("etcd_server_proposals_pending", "Pending proposals to commit.", lambda s: s.proposals_pending),
    Row("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.", lambda s: s.quota_bytes),
)

SERVER_COUNTERS: Final = (
    Row("etcd_server_leader_changes_seen_total", "Leader changes seen.", lambda s: s.leader_changes_seen),
    Row("etcd_server_proposals_failed_total", "Failed proposals seen.", lambda s: s.proposals_failed),
    Row("etcd_server_read_indexes_failed_total", "Failed read indexes seen.", lambda s: s.read_indexes_failed),
    Row("etcd_server_slow_read_indexes_total", "Slow read indexes seen.", lambda s: s.slow_read_indexes),
    Row("etcd_server_slow_apply_total", "Slow apply requests.", lambda s: s.slow_applies),
    Row("etcd_server_heartbeat_send_failures_total", "Heartbeats late.", lambda s: s.heartbeat_send_failures),
    Row("etcd_server_learner_promote_successes", "Learners promoted.", lambda s: s.learners_promoted),
    Row("etcd_server_health_success", "Successful health checks.", lambda s: s.health_successes),
    Row("etcd_server_health_failures", "Failed health checks.", lambda s: s.health_failures),
)

STORE_GAUGES: Final = (
    Row("etcd_debugging_mvcc_current_revision", "The current revision of the store.", lambda s: s.current_revision),
    Row("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction.", lambda s: s.compact_revision),
    Row("etcd_debugging_mvcc_keys_total", "Keys.", lambda s: s.keys),
    Row("etcd_debugging_mvcc_total_put_size_in_bytes", "Size of puts seen by this member.", lambda s: s.put_bytes),
    Row("etcd_debugging_mvcc_watch_stream_total", "Watch streams.", lambda s: s.watch_streams),
    Row("etcd_debugging_mvcc_watcher_total", "Watchers.", lambda s: s.watchers),
    Row("etcd_debugging_mvcc_slow_watcher_total", "Unsynced slow watchers.", lambda s: s.slow_watchers),
    Row("etcd_debugging_mvcc_pending_events_total", "Pending events to be sent.", lambda s: s.pending_events),
    Row("etcd_debugging_auth_revision", "The current revision of the auth store.", lambda s: s.auth_revision),
    Row("etcd_mvcc_db_total_size_in_bytes", "Size of the database in bytes.", lambda s: s.size_bytes),
    Row("etcd_mvcc_db_total_size_in_use_in_bytes", "Of it, in use.", lambda s: s.size_in_use_bytes),
    Row(
        "etcd_disk_defrag_inflight", "1 if the database is being defragmented. 0 if not.", lambda s: s.defragmentations
    ),
)

STORE_COUNTERS: Final = (
    Row("etcd_mvcc_put_total", "Puts seen by this member.", lambda s: s.puts),
    Row("etcd_mvcc_delete_total", "Deletes seen by this member.", lambda s: s.deletes),
    Row("etcd_mvcc_range_total", "Ranges seen by this member.", lambda s: s.ranges),
    Row("etcd_mvcc_txn_total", "Transactions seen by this member.", lambda s: s.txns),
    Row("etcd_debugging_mvcc_range_total", "Ranges seen by this member.", lambda s: s.ranges),
    Row("etcd_debugging_mvcc_events_total", "Events sent by this member.", lambda s: s.events),
    Row("etcd_debugging_mvcc_db_compaction_keys_total", "Keys compacted.", lambda s: s.compacted_keys),
    Row("etcd_debugging_lease_granted_total", "Granted leases.", lambda s: s.leases_granted),
    Row("etcd_debugging_lease_renewed_total", "Renewed leases seen by the leader.", lambda s: s.leases_renewed),
    Row("etcd_debugging_lease_revoked_total", "Revoked leases.", lambda s: s.leases_revoked),
    Row("etcd_debugging_server_lease_expired_total", "Expired leases.", lambda s: s.leases_expired),
)

PROCESS_GAUGES: Final = (
    Row("os_fd_used", "Used file descriptors.", lambda p: p.descriptors_used),
    Row("os_fd_limit", "The file descriptor limit.", lambda p: p.descriptors_limit),
    Row("etcd_disk_wal_write_bytes_total", "Bytes written to the log.", lambda p: p.wal_written_bytes),
)

# Families with one label, the peer: the label's name and the rows.
PEER_COUNTERS: Final = (
    ("To", Row("etcd_network_peer_sent_bytes_total", "Bytes sent to a peer.", lambda p: p.sent_bytes)),
    ("From", Row("etcd_network_peer_received_bytes_total", "Bytes from a peer.", lambda p: p.received_bytes)),
    ("To", Row("etcd_network_peer_sent_failures_total", "Send failures to a peer.", lambda p: p.sent_failures)),
    ("From", Row("etcd_network_peer_received_failures_total", "Receive failures.", lambda p: p.received_failures)),
    ("To", Row("etcd_network_snapshot_send_success", "Snapshots sent.", lambda p: p.snapshots_sent)),
    ("To", Row("etcd_network_snapshot_send_failures", "Snapshots not sent.", lambda p: p.snapshots_send_failed)),
    ("From", Row("etcd_network_snapshot_receive_success", "Snapshots received.", lambda p: p.snapshots_received)),
    ("From", Row("etcd_network_snapshot_receive_failures", "Not received.", lambda p: p.snapshots_receive_failed)),
)


def member_families(source: MetricsSource) -> Iterator[Metric]:
    """Every family that is read from the member, with its values of now."""
    server, network = source.server_metrics(), source.network_metrics()
    yield from _server(server)
    yield from _store(source.store_metrics())
    yield from _network(network, server.member_id)
    yield from _process(source.process_metrics())


def counter(name: str, documentation: str, labels: tuple[str, ...] = ()) -> Metric:
    """An empty counter family. Prometheus' client ends every counter's name in `_total`; etcd's not all do."""
    if name.endswith("_total"):
        return CounterMetricFamily(name.removesuffix("_total"), documentation, labels=labels)
    return Metric(name, documentation, "unknown")


def _server(server: ServerMetrics) -> Iterator[Metric]:
    yield from _gauges(SERVER_GAUGES, server)
    yield from _counters(SERVER_COUNTERS, server)
    yield _info("etcd_server_id", "Server or member ID in hexadecimal format.", "server_id", f"{server.member_id:x}")
    yield _info("etcd_server_version", "Which version is running.", "server_version", SERVER_VERSION)
    if server.cluster_version is not None:
        major_minor = ".".join(server.cluster_version.split(".")[:2])
        yield _info("etcd_cluster_version", "Which version is running.", "cluster_version", major_minor)


def _store(store: StoreMetrics) -> Iterator[Metric]:
    yield from _gauges(STORE_GAUGES, store)
    yield from _counters(STORE_COUNTERS, store)


def _network(network: NetworkMetrics, member_id: int) -> Iterator[Metric]:
    if network.peers:
        yield from _peer_counters(network.peers)
        yield from _connections(network.peers, member_id)
        yield _round_trips(network.peers)


def _process(process: ProcessMetrics) -> Iterator[Metric]:
    yield from _gauges(PROCESS_GAUGES, process)


def _gauges(rows: Iterable[Row], values: object) -> Iterator[Metric]:
    for row in rows:
        yield GaugeMetricFamily(row.name, row.help, value=float(row.value(values)))


def _counters(rows: Iterable[Row], values: object) -> Iterator[Metric]:
    for row in rows:
        family = counter(row.name, row.help)
        family.add_sample(row.name, {}, float(row.value(values)))
        yield family


def _info(name: str, documentation: str, label: str, text: str) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=(label,))
    family.add_metric((text,), 1.0)
    return family


def _peer_counters(peers: tuple[PeerMetrics, ...]) -> Iterator[Metric]:
    for label, row in PEER_COUNTERS:
        family = counter(row.name, row.help, (label,))
        for peer in peers:
            family.add_sample(row.name, {label: f"{peer.peer_id:x}"}, float(row.value(peer)))
        yield family


def _connections(peers: tuple[PeerMetrics, ...], member_id: int) -> Iterator[Metric]:
    labels = ("Local", "Remote")
    active = GaugeMetricFamily("etcd_network_active_peers", "The current active peer connections.", labels=labels)
    name = "etcd_network_disconnected_peers_total"
    disconnected = counter(name, "Disconnected peers.", labels)
    for peer in peers:
        ids = (f"{member_id:x}", f"{peer.peer_id:x}")
        active.add_metric(ids, float(peer.is_active))
        disconnected.add_sample(name, dict(zip(labels, ids, strict=True)), float(peer.disconnections))
    yield active
    yield disconnected


def _round_trips(peers: tuple[PeerMetrics, ...]) -> Metric:
    name, help_text = "etcd_network_peer_round_trip_time_seconds", "Round-Trip-Time histogram between peers."
    family = HistogramMetricFamily(name, help_text, labels=("To",))
    bounds = [*(f"{bound:.9g}" for bound in ROUND_TRIP_BOUNDS_SECONDS), "+Inf"]
    for peer in peers:
        buckets = list(zip(bounds, map(float, accumulate(peer.round_trip_counts)), strict=True))
        family.add_metric((f"{peer.peer_id:x}",), buckets, peer.round_trip_sum_seconds)
    return family
