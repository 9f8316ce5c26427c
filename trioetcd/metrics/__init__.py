"""Metrics, under etcd's names, in Prometheus' text format.

What the member knows anyway is read when somebody scrapes (`MetricsSource`): a counter costs what an integer costs.
Only durations are recorded as they happen (`Durations`): of work that is done once a batch (a sync, an engine write),
not of each request.

A registry belongs to its member: several members in one process do not mix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from trioetcd.metrics.durations import Durations
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
