"""Metrics, under etcd's names, in Prometheus' text format.

What the member knows anyway is read when somebody scrapes (`MetricsSource`): a counter costs what an integer costs.
Only durations are recorded as they happen, each by one `observe` of Prometheus' client: 1.0 to 1.3 microseconds a call,
measured. So they belong on work that is done once a batch (a sync, an engine write), not on each request.

A registry belongs to its member: several members in one process do not mix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from trioetcd.metrics.families import member_families
from trioetcd.metrics.rpcs import RpcCalls, RpcCounters
from trioetcd.metrics.source import (
    ROUND_TRIP_BOUNDS_SECONDS,
    MetricsSource,
    NetworkMetrics,
    PeerMetrics,
    ProcessMetrics,
    ServerMetrics,
    StoreMetrics,
)

__all__ = [
    "CONTENT_TYPE",
    "ROUND_TRIP_BOUNDS_SECONDS",
    "Durations",
    "Metrics",
    "MetricsSource",
    "NetworkMetrics",
    "PeerMetrics",
    "ProcessMetrics",
    "RpcCalls",
    "RpcCounters",
    "ServerMetrics",
    "StoreMetrics",
]

# Counters without `_total` in their names have no type in Prometheus' client; in etcd they are counters all the same.
_UNTYPED: Final = re.compile(rb"^(# TYPE etcd_\S+) untyped$", re.MULTILINE)

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


class Durations:
    """The histograms that are recorded as things happen. A part is handed the `observe` of the one it records into."""

    def __init__(self) -> None:
        self.wal_fsync = _histogram("etcd_disk_wal_fsync_duration_seconds", "Fsyncs called by the log.", 0.001, 14)
        self.backend_commit = _histogram(
            "etcd_disk_backend_commit_duration_seconds", "Commits called by the engine.", 0.001, 14
        )
        self.defragment = _histogram("etcd_disk_backend_defrag_duration_seconds", "Defragmentations.", 0.1, 13)

    def families(self) -> Iterator[Metric]:
        """Their families, without the time of creation that Prometheus' client adds and etcd does not have."""
        for histogram in vars(self).values():
            for family in histogram.collect():
                family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
                yield family


class Metrics:
    """Everything that `/metrics` shows of one member."""

    def __init__(self, *, source: MetricsSource, durations: Durations | None = None) -> None:
        self.durations = durations or Durations()
        self.rpcs = RpcCounters()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_MemberCollector(source, self.durations))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """The exposition, of content type `CONTENT_TYPE`: the values of now, two or three milliseconds of work."""
        return _UNTYPED.sub(rb"\1 counter", generate_latest(self._registry)) + self.rpcs.text()


class _MemberCollector(Collector):
    """Reads the member when it is asked to."""

    def __init__(self, source: MetricsSource, durations: Durations) -> None:
        self._source = source
        self._durations = durations

    def collect(self) -> Iterator[Metric]:
        """Every family of this member."""
        yield from member_families(self._source)
        yield from self._durations.families()

    def describe(self) -> list[Metric]:
        """Nothing: a registry would otherwise collect once to learn the names, before the member is there."""
        return []


def _histogram(name: str, documentation: str, first_bound: float, bounds: int) -> Histogram:
    """A histogram with buckets that double, as etcd's do."""
    return Histogram(name, documentation, registry=None, buckets=[first_bound * 2**power for power in range(bounds)])
