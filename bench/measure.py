"""What one measurement is, and what the system says of a process: CPU time, memory, disk."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self


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
        return self.server_cores / self.rate * 1e6 if self.operations else 0.0


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What processes have used so far, together: CPU seconds, resident bytes, and those of them that no file backs."""

    cpu_seconds: float
    resident_bytes: int
    private_bytes: int

    @classmethod
    def of(cls, *pids: int) -> Self:
        """As it is now."""
        return cls(
            cpu_seconds=sum(cpu_seconds(pid) for pid in pids),
            resident_bytes=sum(_status_bytes(pid, "VmRSS") for pid in pids),
            private_bytes=sum(_status_bytes(pid, "RssAnon") for pid in pids),
        )


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the sorted values are not above."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def latency_fields(microseconds: Sequence[float]) -> dict[str, float]:
    """The fields of a `Measurement` that tell of latencies."""
    ordered = sorted(microseconds)
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "worst": 1.0}
    return {name: percentile(ordered, share) for name, share in shares.items()}


def cpu_seconds(pid: int) -> float:
    """User and system time that a process has used so far."""
    return sum(cpu_times(pid))


def cpu_times(pid: int) -> tuple[float, float]:
    """User time and system time that a process has used so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    per_second = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / per_second, int(fields[12]) / per_second


def children_cpu_seconds() -> float:
    """User and system time of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def disk_bytes(path: Path) -> int:
    """What the files below `path` take on the disk; room that is reserved counts, holes do not."""
    return sum(entry.stat().st_blocks * 512 for entry in path.rglob("*") if entry.is_file())


def _status_bytes(pid: int, name: str) -> int:
    match = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(match[1]) * 1024 if match else 0
