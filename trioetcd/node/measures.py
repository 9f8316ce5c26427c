"""What metrics read of the member, and what is counted for them alone. Implements `trioetcd.metrics.MetricsSource`."""

from __future__ import annotations

from collections.abc import Callable

from trioetcd.metrics import NetworkMetrics, PeerMetrics, ProcessMetrics, ServerMetrics, StoreMetrics
from trioetcd.node.bootstrap import Recovered
from trioetcd.node.parts import Parts
from trioetcd.node.upkeep.file_descriptors import DescriptorMonitor


class MemberMeasures:
    """Reads the parts at the moment of a scrape."""

    def __init__(
        self,
        *,
        recovered: Recovered,
        parts: Parts,
        peers: Callable[[], tuple[PeerMetrics, ...]],
        descriptors: DescriptorMonitor,
    ) -> None:
        self._recovered = recovered
        self._parts = parts
        self._peers = peers
        self._descriptors = descriptors
        self._health_successes = self._health_failures = 0
        self._heartbeat_send_failures = 0

    def count_health(self, *, ok: bool) -> None:
        """Somebody asked how healthy the member is, and was told."""
        self._health_successes += ok
        self._health_failures += not ok

    def count_late_tick(self) -> None:
        """A tick came so late that the heartbeats of a leader, one to each peer, were not sent in time."""
        if self._parts.leadership.is_leader:
            self._heartbeat_send_failures += len(self._peers())

    def server_metrics(self) -> ServerMetrics:
        """The member's own."""
        parts = self._parts
        proposals, reads = parts.proposals.status(), parts.reads.status()
        return ServerMetrics(
            member_id=self._recovered.member_id,
            cluster_version=parts.machine.members.cluster_version,
            has_leader=parts.leadership.has_leader,
            is_leader=parts.leadership.is_leader,
            is_learner=parts.membership.is_learner,
            leader_changes_seen=parts.leadership.changes_seen,
            commit_index=parts.driver.status().commit,
            applied_index=parts.applier.applied_index,
            proposals_pending=proposals.waiting + proposals.in_flight,
            proposals_failed=proposals.failed,
            read_indexes_failed=reads.failed,
            slow_read_indexes=reads.late_answers,
            slow_applies=parts.applier.status().slow,
            heartbeat_send_failures=self._heartbeat_send_failures,
            learners_promoted=parts.promotion.succeeded,
            health_successes=self._health_successes,
            health_failures=self._health_failures,
            quota_bytes=parts.quota.limit_bytes or 0,
        )

    def store_metrics(self) -> StoreMetrics:
        """The store's."""
        store, counts = self._parts.machine.store, self._parts.machine.counts
        size_bytes = self._parts.machine.size_bytes()
        leases = self._parts.lessor.status()
        watches = self._parts.machine.watch_hub.status()
        return StoreMetrics(
            current_revision=store.revision,
            compact_revision=store.compact_revision,
            keys=store.index.live_count,
            puts=counts.puts,
            deletes=counts.deletes,
            ranges=counts.ranges,
            txns=counts.txns,
            put_bytes=counts.put_bytes,
            compacted_keys=counts.compacted_keys,
            events=watches.events_sent,
            pending_events=watches.events_pending,
            auth_revision=self._parts.machine.auth.revision,
            watch_streams=watches.streams,
            watchers=watches.watchers,
            slow_watchers=watches.unsynced,
            leases_granted=leases.granted,
            leases_renewed=leases.renewed,
            leases_revoked=leases.revoked,
            leases_expired=leases.expired,
            size_bytes=size_bytes,
            size_in_use_bytes=size_bytes,
            defragmentations=min(self._parts.defragmenter.running, 1),
        )

    def network_metrics(self) -> NetworkMetrics:
        """The network's."""
        return NetworkMetrics(peers=self._peers())

    def process_metrics(self) -> ProcessMetrics:
        """The process's."""
        descriptors = self._descriptors.status()
        return ProcessMetrics(
            descriptors_used=descriptors.used,
            descriptors_limit=descriptors.limit,
            wal_written_bytes=self._recovered.wal.status().written_bytes,
        )
