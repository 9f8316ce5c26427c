"""One command: real etcd and trioetcd, in turn, on fresh directories, under the same load.

    python -m bench --seconds 5 --rounds 3 --connections 64 --workloads put,range,watch

A server that answers anything but 200, or loses an event, fails the run: there are no figures for wrong answers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench import generator, watch, wrk
from bench.measure import BenchError, Measurement, cpu_seconds
from bench.report import Line, machine, table, write_json, write_results
from bench.workloads import (
    DEFAULT_WORKLOADS,
    KEYS_PRESENT,
    VALUE_BYTES,
    WORKLOADS,
    RequestWorkload,
    Workload,
    present_key,
    put,
    workload_of,
)
from tests.conformance.servers import Server, ServerError, cluster_of, running
from tests.conformance.wire import Connection

KINDS = ("etcd", "trioetcd")
WARM_SECONDS = 1.0


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (after a warm-up of one)")
    parser.add_argument("--rounds", type=int, default=3, help="how often both servers take their turn")
    parser.add_argument("--connections", default="64", help="numbers of connections, comma separated")
    parser.add_argument(
        "--workloads", default=",".join(DEFAULT_WORKLOADS), help="of " + ", ".join(w.name for w in WORKLOADS)
    )
    parser.add_argument("--servers", default=",".join(KINDS), help="leave one out to look at the other alone")
    parser.add_argument("--members", type=int, default=1, help="members of each cluster; the load goes to the leader")
    parser.add_argument("--http-engine", help="of trioetcd: auto, httptools or h11")
    parser.add_argument("--generator", choices=("auto", "wrk", "bundled"), default="auto", help="what sends requests")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement")
    parser.add_argument("--results", action="store_true", help="write bench/RESULTS.md")
    options = parser.parse_args(arguments)
    known = {workload.name for workload in WORKLOADS}
    if unknown := set(options.workloads.split(",")) - known:
        parser.error(f"unknown workloads {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return options


def leader_of(servers: Sequence[Server]) -> Server:
    """The member that leads, as the members themselves say."""
    for server in servers:
        with Connection(server.address) as connection:
            status = json.loads(connection.request("POST", "/v3/maintenance/status", b"{}").body)
        if status["leader"] == status["header"]["member_id"]:
            return server
    raise BenchError("no member says that it leads")


@contextlib.contextmanager
def cluster(kind: str, options: argparse.Namespace) -> Iterator[tuple[Server, list[Server]]]:
    """A fresh cluster of one kind, the leader first; its keys are there."""
    extra = [f"--http-engine={options.http_engine}"] if kind == "trioetcd" and options.http_engine else []
    with tempfile.TemporaryDirectory(prefix=f"bench-{kind}-") as directory:
        servers = cluster_of(kind, Path(directory), count=options.members, extra=extra)
        with running(*servers):
            leader = leader_of(servers)
            fill = [put(present_key(number), bytes(VALUE_BYTES)) for number in range(KEYS_PRESENT)]
            generator.send_all(leader.address, fill)
            yield leader, servers


class Runner:
    """Measures every line on both servers, round by round."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._requests: dict[str, list[bytes]] = {}
        use_wrk = wrk.available() if options.generator == "auto" else options.generator == "wrk"
        self._send = wrk.run if use_wrk else generator.run
        self.generator_name = "wrk" if use_wrk else "bundled"
        self.lines = list(self._make_lines())

    def _make_lines(self) -> Iterator[Line]:
        for name in self._options.workloads.split(","):
            workload = workload_of(name)
            if isinstance(workload, RequestWorkload):
                for connections in self._options.connections.split(","):
                    yield Line(name, workload.what, int(connections))
            else:
                yield Line(name, workload.what, None)

    def run(self) -> None:
        """All rounds. The order of the two servers alternates, so that neither is always the one that comes after."""
        kinds = [kind for kind in KINDS if kind in self._options.servers.split(",")]
        for number in range(self._options.rounds):
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                with cluster(kind, self._options) as (leader, servers):
                    for line in self.lines:
                        sample = self._measure(line, leader, servers)
                        line.samples[kind].append(sample)
                        self._say(number, kind, line, sample)

    def _measure(self, line: Line, leader: Server, servers: Sequence[Server]) -> Measurement:
        workload = workload_of(line.workload)
        self._once(workload, line, leader, WARM_SECONDS)
        before = sum(cpu_seconds(server.pid) for server in servers)
        sample = self._once(workload, line, leader, self._options.seconds)
        used = sum(cpu_seconds(server.pid) for server in servers) - before
        return replace(sample, server_cores=used / sample.seconds)

    def _once(self, workload: Workload, line: Line, leader: Server, seconds: float) -> Measurement:
        if not isinstance(workload, RequestWorkload):
            return watch.run(leader.address, workload, seconds=seconds)
        requests = self._requests.setdefault(workload.name, workload.requests())
        return self._send(leader.address, requests, connections=line.connections or 1, seconds=seconds)

    def _say(self, number: int, kind: str, line: Line, sample: Measurement) -> None:
        connections = "" if line.connections is None else f" at {line.connections}"
        print(
            f"round {number + 1}  {kind:8}  {line.workload}{connections}: {sample.rate:,.0f}/s, "
            f"p50 {sample.p50 / 1e3:.2f} ms, p99 {sample.p99 / 1e3:.2f} ms, "
            f"cores: server {sample.server_cores:.2f}, generator {sample.generator_cores:.2f}",
            flush=True,
        )


def main() -> int:
    """Run, print, write."""
    options = parse_arguments()
    runner = Runner(options)
    settings = {
        "members": options.members,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "generator": runner.generator_name,
        "http-engine": options.http_engine or "auto",
    }
    print(f"{machine()}; {', '.join(f'{name} {value}' for name, value in settings.items())}", flush=True)
    try:
        runner.run()
    except (BenchError, ServerError) as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        return 1
    print(f"\n{table(runner.lines)}")
    if options.json:
        write_json(options.json, runner.lines, settings)
    if options.results:
        write_results(Path(__file__).parent / "RESULTS.md", runner.lines, settings)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
