"""Durations, recorded as things happen.

Every sync of the log and every write of the engine is one, and a client that writes alone waits for the first: there
an `observe` of Prometheus' client is 3 of its 270 microseconds. So what is recorded is a count in a list, which becomes
one of Prometheus' families when somebody scrapes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric


class Histogram:
    """Counts durations in buckets that double, as etcd's do. Recorded into by one thread at a time."""

    def __init__(self, name: str, documentation: str, *, first_bound_seconds: float, bounds: int) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds_seconds: Final = [first_bound_seconds * 2**power for power in range(bounds)]
        self._counts = [0] * (bounds + 1)
        self._sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Record one."""
        self._counts[bisect_left(self._bounds_seconds, seconds)] += 1
        self._sum_seconds += seconds

    def family(self) -> Metric:
        """What was recorded so far."""
        bounds = [*(f"{bound:.9g}" for bound in self._bounds_seconds), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
        return HistogramMetricFamily(self._name, self._documentation, buckets=buckets, sum_value=self._sum_seconds)


class Durations:
    """The histograms. A part is handed the `observe` of the one it records into."""

    def __init__(self) -> None:
        self.wal_fsync = Histogram(
            "etcd_disk_wal_fsync_duration_seconds", "Fsyncs called by the log.", first_bound_seconds=0.001, bounds=14
        )
        self.backend_commit = Histogram(
            "etcd_disk_backend_commit_duration_seconds",
            "Commits called by the engine.",
            first_bound_seconds=0.001,
            bounds=14,
        )
        self.defragment = Histogram(
            "etcd_disk_backend_defrag_duration_seconds", "Defragmentations.", first_bound_seconds=0.1, bounds=13
        )

    def families(self) -> Iterator[Metric]:
        """Their families."""
        for histogram in (self.wal_fsync, self.backend_commit, self.defragment):
            yield histogram.family()
