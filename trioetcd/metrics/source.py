"""What metrics read of a member, at the moment of a scrape: plain frozen values, which the member fills in.

Units are in the names. "Since the start" means of the process: counters begin at 0 and only grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

ROUND_TRIP_BOUNDS_SECONDS: Final = tuple(0.0001 * 2**power for power in range(16))
"""The buckets of a peer's round trips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMetrics:
    """The member: who it is, whom it follows, how far its log has come."""

    member_id: int
    cluster_version: str | None = None
    has_leader: bool = False
    is_leader: bool = False
    is_learner: bool = False
    leader_changes_seen: int = 0
    commit_index: int = 0
    applied_index: int = 0
    proposals_pending: int = 0
    proposals_failed: int = 0
    read_indexes_failed: int = 0
    slow_read_indexes: int = 0
    slow_applies: int = 0
    heartbeat_send_failures: int = 0
    learners_promoted: int = 0
    health_successes: int = 0
    health_failures: int = 0
    quota_bytes: int = 0
    """0 where there is no quota."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMetrics:
    """The key space, its watchers, its leases and the engine below it."""

    current_revision: int = 1
    compact_revision: int = -1
    keys: int = 0
    puts: int = 0
    deletes: int = 0
    ranges: int = 0
    txns: int = 0
    events: int = 0
    put_bytes: int = 0
    compacted_keys: int = 0
    watch_streams: int = 0
    watchers: int = 0
    slow_watchers: int = 0
    pending_events: int = 0
    leases_granted: int = 0
    leases_renewed: int = 0
    leases_revoked: int = 0
    leases_expired: int = 0
    auth_revision: int = 1
    size_bytes: int = 0
    size_in_use_bytes: int = 0
    defragmentations: int = 0
    """1 while there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerMetrics:
    """What went to and came from one other member since the start."""

    peer_id: int
    is_active: bool = False
    sent_bytes: int = 0
    received_bytes: int = 0
    sent_failures: int = 0
    received_failures: int = 0
    disconnections: int = 0
    snapshots_sent: int = 0
    snapshots_send_failed: int = 0
    snapshots_received: int = 0
    snapshots_receive_failed: int = 0
    round_trip_counts: tuple[int, ...] = (0,) * (len(ROUND_TRIP_BOUNDS_SECONDS) + 1)
    """Round trips within each of `ROUND_TRIP_BOUNDS_SECONDS` and above the one below it; the last count is the rest."""
    round_trip_sum_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkMetrics:
    """The other members."""

    peers: tuple[PeerMetrics, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMetrics:
    """What of the process etcd counts under names of its own."""

    descriptors_used: int = 0
    descriptors_limit: int = 0
    wal_written_bytes: int = 0


class MetricsSource(Protocol):
    """The member, as metrics see it. Each is called once a scrape, in the loop, and must not take long."""

    def server_metrics(self) -> ServerMetrics:
        """The member's own."""
        ...

    def store_metrics(self) -> StoreMetrics:
        """The store's."""
        ...

    def network_metrics(self) -> NetworkMetrics:
        """The network's."""
        ...

    def process_metrics(self) -> ProcessMetrics:
        """The process's."""
        ...
