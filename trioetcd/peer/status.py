"""What is known of the connection with one peer, and what went over it: counters, kept where they change.

Metrics and tests read `PeerCounters`; the node reads `PeerStatus` (`node.protocols`).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import trio

from trioetcd.log import Logger

ROUND_TRIP_BOUNDS_SECONDS: Final = tuple(0.0001 * 2**i for i in range(16))
"""The buckets of `etcd_network_peer_round_trip_time_seconds`."""


class RoundTrips(NamedTuple):
    """A histogram of round trips: one count a bucket, the last one for all above the bounds."""

    counts: tuple[int, ...] = (0,) * (len(ROUND_TRIP_BOUNDS_SECONDS) + 1)
    sum_seconds: float = 0.0

    def with_one(self, seconds: float) -> RoundTrips:
        """This histogram with one more round trip."""
        bucket = bisect_left(ROUND_TRIP_BOUNDS_SECONDS, seconds)
        counts = (*self.counts[:bucket], self.counts[bucket] + 1, *self.counts[bucket + 1 :])
        return RoundTrips(counts, self.sum_seconds + seconds)


@dataclass(slots=True)
class PeerCounters:
    """What went to and came from one peer since the member started; read by `etcd_network_*`."""

    id: int
    sent_bytes: int = 0
    received_bytes: int = 0
    sent_failures: int = 0
    received_failures: int = 0
    disconnections: int = 0
    dropped_messages: int = 0
    snapshots_sent: int = 0
    snapshots_failed: int = 0
    snapshots_received: int = 0
    snapshots_not_received: int = 0
    round_trips: RoundTrips = field(default_factory=RoundTrips)

    def copy(self) -> PeerCounters:
        """The values as of now, which no longer change."""
        return replace(self)


class Activity:
    """Whether a peer is reached: while at least one stream from it is up. Each change is logged once, with its reason.

    The streams from a peer are read with a deadline, so they are what tells a silent peer from an idle one.
    """

    def __init__(self, *, peer_id: int, counters: PeerCounters, log: Logger) -> None:
        self._peer_id = peer_id
        self._counters = counters
        self._log = log
        self._live: set[str] = set()
        self._reason: str | None = None
        self.active_since: float | None = None

    @property
    def is_active(self) -> bool:
        """Whether the peer is reached now."""
        return self.active_since is not None

    def up(self, channel: str) -> None:
        """A stream stands."""
        self._live.add(channel)
        if self.active_since is None:
            self.active_since = trio.current_time()
            self._reason = None
            self._log.info(f"the connection with peer {self._peer_id:x} became active", peer_id=f"{self._peer_id:x}")

    def down(self, channel: str, reason: str) -> None:
        """A stream fell, or could not be set up; the first reason after a change is the one that is logged."""
        self._live.discard(channel)
        if self._live or self._reason is not None:
            return
        self._reason = reason
        if self.active_since is not None:
            self.active_since = None
            self._counters.disconnections += 1
            message = f"the connection with peer {self._peer_id:x} became inactive"
        else:
            message = f"the connection with peer {self._peer_id:x} could not be set up yet, it is tried again"
        self._log.warning(message, peer_id=f"{self._peer_id:x}", reason=reason)
