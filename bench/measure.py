"""What one measurement is, and the CPU time that both sides of it used."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class BenchError(RuntimeError):
    """A measurement that does not count: a server answered with errors, or a generator failed."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One run of one workload against one server. Latencies in microseconds, CPU as cores in use."""

    operations: int
    seconds: float
    p50: float
    p90: float
    p99: float
    worst: float
    generator_cores: float = 0.0
    server_cores: float = 0.0

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    @property
    def server_cpu(self) -> float:
        """CPU time of all members that one operation cost, in microseconds. It hardly depends on what else runs."""
        return self.server_cores / self.rate * 1e6


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the sorted values lies; 0 of none."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_cpu_seconds() -> float:
    """User and system time of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system
