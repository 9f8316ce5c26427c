"""One workload at one number of connections, measured on both servers, and many of those as a table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

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

    def to_json(self) -> dict[str, Any]:
        """Every round, and the ratio."""
        return asdict(self) | {"ratio": self.ratio}

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Self:
        """The reverse."""
        samples = {kind: [Measurement(**each) for each in rounds] for kind, rounds in told["samples"].items()}
        return cls(told["workload"], told["what"], told["connections"], samples)


def lines_table(lines: Iterable[Line]) -> str:
    """The lines as a table."""
    return table(COLUMNS, [line.cells() for line in lines])


def meanings(lines: Iterable[Line]) -> str:
    """What each workload is."""
    return "\n".join(
        f"- `{name}`: {what}" for name, what in dict.fromkeys((line.workload, line.what) for line in lines)
    )


def table(columns: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """A table that reads well as text and is Markdown."""
    rows = [columns, *cells]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    texts = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *texts[1:]])
