"""Figures as a table for people, as JSON for programs, and as `RESULTS.md` for the repository."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.measure import Measurement

COLUMNS = (
    "workload",
    "connections",
    "etcd /s",
    "trioetcd /s",
    "ratio",
    "etcd p50/p99 ms",
    "trioetcd p50/p99 ms",
    "CPU µs etcd/trioetcd",
    "generator",
)


@dataclass
class Line:
    """One workload at one number of connections: every round of both servers."""

    workload: str
    what: str
    connections: int | None
    samples: dict[str, list[Measurement]] = field(default_factory=lambda: {"etcd": [], "trioetcd": []})

    def median(self, kind: str, name: str) -> float:
        """The median over the rounds of one figure; 0 when there is none."""
        values = [float(getattr(sample, name)) for sample in self.samples[kind]]
        return statistics.median(values) if values else 0.0

    @property
    def ratio(self) -> float:
        """Trioetcd's rate over etcd's; for a paced workload, whose rate is given, etcd's median latency over ours."""
        name, over, under = ("p50", "etcd", "trioetcd") if self.paced else ("rate", "trioetcd", "etcd")
        divisor = self.median(under, name)
        return self.median(over, name) / divisor if divisor else 0.0

    @property
    def paced(self) -> bool:
        """Whether the rate is given, so that latency is the result."""
        return self.workload.endswith("-latency")

    @property
    def generator_cores(self) -> float:
        """The most that the generator used of a core in any round: near 1, it is what was measured."""
        return max((sample.generator_cores for samples in self.samples.values() for sample in samples), default=0.0)

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        latencies = (
            f"{self.median(kind, 'p50') / 1e3:.2f} / {self.median(kind, 'p99') / 1e3:.2f}" for kind in self.samples
        )
        return (
            self.workload,
            "-" if self.connections is None else str(self.connections),
            f"{self.median('etcd', 'rate'):,.0f}",
            f"{self.median('trioetcd', 'rate'):,.0f}",
            f"{self.ratio:.2f}",
            *latencies,
            " / ".join(f"{self.median(kind, 'server_cpu'):.0f}" for kind in self.samples),
            f"{self.generator_cores:.0%}",
        )


def table(lines: Iterable[Line]) -> str:
    """A table that reads well as text and is Markdown."""
    rows = [COLUMNS, *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])


def machine() -> str:
    """The machine and the programs, named."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    cores = os.cpu_count()
    name = cpu[1] if cpu else platform.machine()
    return f"{name}, {cores} cores, Linux {platform.release()}, Python {platform.python_version()}"


def write_json(path: Path, lines: Sequence[Line], settings: dict[str, object]) -> None:
    """Every round of every line."""
    document = {
        "machine": machine(),
        "settings": settings,
        "lines": [asdict(line) | {"ratio": line.ratio} for line in lines],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def write_results(path: Path, lines: Sequence[Line], settings: dict[str, object]) -> None:
    """The page of the repository."""
    meanings = "\n".join(
        f"- `{name}`: {what}" for name, what in dict.fromkeys((line.workload, line.what) for line in lines)
    )
    options = ", ".join(f"{name} {value}" for name, value in settings.items())
    path.write_text(
        f"""# Results

Made by `python -m bench --results`: {options}.
Machine: {machine()}; both servers, the generator and the disk share it.

{table(lines)}

{meanings}

Rates and latencies are medians over the rounds, in which both servers take turns on fresh directories. The ratio is
trioetcd's rate over etcd's; of a paced workload, etcd's median latency over trioetcd's. `CPU` is what all members
spend on one operation. `generator` is the most that the program which sends used of one core: as long as it is clearly
below 100 %, the servers are what was measured.
"""
    )
