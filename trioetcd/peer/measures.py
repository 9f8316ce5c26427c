"""What metrics are told of the peers."""

from __future__ import annotations

from trioetcd.metrics import PeerMetrics
from trioetcd.peer.transport import Transport


def peer_metrics(transport: Transport) -> tuple[PeerMetrics, ...]:
    """What went over the connections since the start."""
    active = {peer.id for peer in transport.status().peers if peer.active}
    return tuple(
        PeerMetrics(
            peer_id=one.id,
            is_active=one.id in active,
            sent_bytes=one.sent_bytes,
            received_bytes=one.received_bytes,
            sent_failures=one.sent_failures,
            received_failures=one.received_failures,
            disconnections=one.disconnections,
            snapshots_sent=one.snapshots_sent,
            snapshots_send_failed=one.snapshots_failed,
            snapshots_received=one.snapshots_received,
            snapshots_receive_failed=one.snapshots_not_received,
            round_trip_counts=one.round_trips.counts,
            round_trip_sum_seconds=one.round_trips.sum_seconds,
        )
        for one in transport.counters()
    )
