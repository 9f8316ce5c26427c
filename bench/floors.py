"""What trioetcd is meant to reach beside etcd in one run, and what it did reach."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.lines import Line, table

Told = dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Floor:
    """A least ratio of a line of some piece; `p99` is at most etcd's instead."""

    piece: str
    workload: str
    connections: int | None
    least: float
    p99: bool = False

    @property
    def what(self) -> str:
        """As it stands in the table."""
        members = ", three members" if self.piece == "three" else ""
        engine = ", --http-engine h11" if self.piece == "h11" else ""
        load = "" if self.connections is None else f", {self.connections} connections"
        return f"{self.workload}{members}{engine}{load}{': p99' if self.p99 else ''}"

    def row(self, told: Told) -> tuple[str, str, str, str] | None:
        """What, floor, measured, and whether it holds; None when it was not measured."""
        lines = [Line.from_json(line) for line in told.get(self.piece, {}).get("lines", [])]
        for line in lines:
            if (line.workload, line.connections) == (self.workload, self.connections) and all(line.samples.values()):
                if not self.p99:
                    return _row(self.what, line.ratio, self.least, at_most=False)
                return _row(self.what, line.median("trioetcd", "p99") / line.median("etcd", "p99"), 1.0, at_most=True)
        return None


def _floors(piece: str, workload: str, least: dict[int, float]) -> Iterator[Floor]:
    for connections, ratio in least.items():
        yield Floor(piece=piece, workload=workload, connections=connections, least=ratio)


FLOORS = (
    *_floors("load", "put", {1: 1.5, 64: 2, 256: 1.75}),
    *_floors("load", "range", {1: 2.5, 64: 2.5, 256: 2}),
    *_floors("three", "put", {1: 1, 64: 1.5, 256: 1.5}),
    *_floors("three", "range", {64: 2, 256: 2}),
    *_floors("load", "txn", {64: 2}),
    Floor(piece="watch", workload="watch", connections=None, least=1.5),
    *_floors("h11", "put", {64: 1}),
    *_floors("h11", "range", {64: 1.25}),
    *(Floor(piece="load", workload=name, connections=64, least=1, p99=True) for name in ("put", "range", "txn")),
    *(Floor(piece="three", workload=name, connections=64, least=1, p99=True) for name in ("put", "range")),
)
KEYS = (("start with many keys, s", "start_seconds"), ("memory with many keys, after a start", "started_mb"))


def floors_table(told: Told) -> str:
    """A row for each floor that was measured."""
    rows = [row for floor in FLOORS if (row := floor.row(told))]
    rows += _failover(told) + _keys(told)
    return table(("trioetcd / etcd", "floor", "measured", ""), rows) if rows else "Nothing of it was measured."


def _failover(told: Told) -> list[tuple[str, str, str, str]]:
    kills = told.get("failover", {}).get("kills", {})
    if len(kills) < 2:
        return []
    medians = {kind: statistics.median(kill["leader"] for kill in each) for kind, each in kills.items()}
    return [_row("time without a leader after kill -9", medians["trioetcd"] / medians["etcd"], 1.0, at_most=True)]


def _keys(told: Told) -> list[tuple[str, str, str, str]]:
    members = told.get("keys", {}).get("members", {})
    if len(members) < 2:
        return []
    return [_row(what, members["trioetcd"][name] / members["etcd"][name], 2.0, at_most=True) for what, name in KEYS]


def _row(what: str, measured: float, floor: float, *, at_most: bool) -> tuple[str, str, str, str]:
    holds = measured <= floor if at_most else measured >= floor
    return (what, f"{'at most' if at_most else 'at least'} {floor:g}", f"{measured:.2f}", "" if holds else "missed")
