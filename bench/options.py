"""The command line: which pieces, how long, on which servers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.clusters import KINDS
from bench.workloads import WORKLOADS

EXAMPLES = """
    python -m bench                                   every piece, one after the other
    python -m bench --results                         the same, into bench/RESULTS.md
    python -m bench keys scale --keys 100000          two pieces, with fewer keys
    python -m bench load --workloads put,range --connections 1,64 --members 3

A server that answers anything but 200, or loses an event, fails the run: there are no figures for wrong answers.
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for. `kinds` in the order of the table."""

    pieces: tuple[str, ...]
    kinds: tuple[str, ...]
    seconds: float
    rounds: int
    connections: tuple[int, ...]
    workloads: tuple[str, ...]
    members: int
    http_engine: str | None
    generator: str
    keys: int
    scale: float
    out: Path
    results: bool
    json: Path | None

    def flags(self, kind: str) -> list[str]:
        """The flags that only this kind of server is given."""
        return [f"--http-engine={self.http_engine}"] if kind == "trioetcd" and self.http_engine else []


def parse_arguments(pieces: Sequence[tuple[str, str]], arguments: Sequence[str] | None = None) -> Options:
    """The options; `pieces` are names and what they measure."""
    names = [name for name, _ in pieces]
    meanings = "\n".join(f"    {name:12}{what}" for name, what in pieces)
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"etcd and trioetcd, in turn, under the same load.\n\npieces:\n{meanings}",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("pieces", nargs="*", metavar="PIECE", help="what to measure; all, when none is named")
    add("--seconds", type=float, default=2.0, help="of each measurement under load, after a warm-up of one (default 2)")
    add(
        "--rounds",
        type=int,
        default=4,
        help="how often both take their turn; an even number is fair (default 4)",
    )
    add("--connections", type=_numbers, default=(), help="numbers of connections, instead of each workload's own")
    add("--workloads", type=_names, default=(), help="of `load`: " + ", ".join(w.name for w in WORKLOADS))
    add("--members", type=int, default=1, help="of `load`: members of each cluster; the load goes to the leader")
    add("--servers", type=_names, default=KINDS, help="leave one out to look at the other alone")
    add("--http-engine", help="of trioetcd: auto, httptools or h11")
    add("--generator", choices=("auto", "wrk", "bundled"), default="auto", help="what sends requests")
    add("--keys", type=int, default=1_000_000, help="of `keys` (default 1,000,000)")
    add("--scale", type=float, default=1.0, help="of `scale` and `catch-up`: a share of the leases, watchers and keys")
    add("--out", type=Path, metavar="DIR", help="where figures are written as JSON (default bench/out)")
    add("--results", action="store_true", help="write to bench/results, then bench/RESULTS.md from all that is there")
    add("--json", type=Path, metavar="FILE", help="write every measurement of this run to one file")
    given = vars(parser.parse_args(arguments))
    known = {"pieces": names, "workloads": [workload.name for workload in WORKLOADS], "servers": KINDS}
    for what, choices in known.items():
        if unknown := set(given[what]) - set(choices):
            parser.error(f"unknown {what}: {', '.join(sorted(unknown))}; there are {', '.join(choices)}")
    if given["results"] and (given["workloads"] or given["connections"]):
        parser.error("--results is for whole pieces: leave out --workloads and --connections")
    asked = given.pop("servers")
    given["kinds"] = tuple(kind for kind in KINDS if kind in asked)
    here = Path(__file__).parent
    given["out"] = given["out"] or here / ("results" if given["results"] else "out")
    given["pieces"] = tuple(given["pieces"]) or (("load",) if given["workloads"] else tuple(names))
    return Options(**given)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))
