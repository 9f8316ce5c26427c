"""Workloads under load, on both servers in alternation: the pieces `load`, `three`, `large`, `watch` and `h11`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bench import generator, watch, wrk
from bench.clusters import cluster, wait_for, wait_leader
from bench.lines import Line, lines_table, meanings
from bench.measure import Measurement, Usage
from bench.options import Options
from bench.workloads import RequestWorkload, Workload, workload_of
from tests.conformance.servers import Server

Cluster = tuple[Server, list[Server]]

WARM_SECONDS = 1.0
REST_CORES = 0.1
REST_LOOK_SECONDS = 0.3
REST_SECONDS_MAX = 30.0
NOTE = """
Rates and latencies are medians over the rounds. In each, both servers begin with fresh directories and take turns line
by line, at one connection twice, in either order; the one whose turn it is not has come to rest, and is stopped. The
ratio is trioetcd's rate over etcd's; of a paced workload, etcd's median latency over trioetcd's. `CPU` is what all
members spend on one operation. `generator` is the most that the program which sends used of one core: as long as it is
clearly below 100 %, the servers are what was measured."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """Groups of workloads. Each has a cluster of its own, so that none fills the disk of another."""

    groups: tuple[tuple[str, ...], ...]
    members: int = 1
    connections: tuple[int, ...] = ()
    http_engine: str | None = None

    def measure(self, options: Options) -> dict[str, Any]:
        """Run all rounds."""
        runner = Runner(self, options)
        runner.run()
        settings = {
            "members": self.members,
            "seconds": options.seconds,
            "rounds": options.rounds,
            "generator": runner.generator_name,
            "http-engine": self.http_engine or options.http_engine or "auto",
        }
        return {"settings": settings, "lines": [line.to_json() for lines in runner.groups for line in lines]}

    def page(self, told: dict[str, Any]) -> str:
        """The table."""
        lines = [Line.from_json(line) for line in told["lines"]]
        return f"{lines_table(lines)}\n\n{meanings(lines)}\n{NOTE}"


ONE = ("put", "range", "range-serializable", "range-100", "mixed", "txn", "delete", "lease-grant", "lease-keep-alive")
LOADS = {
    "load": Load(groups=(ONE,)),
    "three": Load(groups=(("put", "range", "mixed"),), members=3, connections=(1, 64, 256)),
    "large": Load(groups=(("put-64k", "range-64k"), ("put-1m", "range-1m"))),
    "watch": Load(groups=(("watch", "watch-1000", "watch-latency", "watch-10000"),)),
    "h11": Load(groups=(("put", "range"),), connections=(64,), http_engine="h11"),
}


def measure_load(options: Options) -> dict[str, Any]:
    """The piece `load`, or the workloads that were asked for instead."""
    load = replace(LOADS["load"], members=options.members)
    return (replace(load, groups=(options.workloads,)) if options.workloads else load).measure(options)


class Runner:
    """Measures every line on both servers, round by round."""

    def __init__(self, load: Load, options: Options) -> None:
        self._load = load
        self._options = replace(options, http_engine=load.http_engine or options.http_engine)
        self._requests: dict[str, list[bytes]] = {}
        use_wrk = wrk.available() if options.generator == "auto" else options.generator == "wrk"
        self._send = wrk.run if use_wrk else generator.run
        self.generator_name = "wrk" if use_wrk else "bundled"
        self.groups = [list(self._lines(group)) for group in load.groups]

    def _lines(self, names: Sequence[str]) -> Iterator[Line]:
        for name in names:
            workload = workload_of(name)
            if isinstance(workload, RequestWorkload):
                for connections in self._options.connections or self._load.connections or workload.connections:
                    yield Line(name, workload.what, connections)
            else:
                yield Line(name, workload.what, None)

    def run(self) -> None:
        """All rounds. The order of the two alternates: with puts at one connection whoever came second was 7 % slower.

        Both have their turn at a line within seconds, as the speed of a shared machine changes within minutes. At one
        connection that is not enough, for nothing evens out what befalls a lone request: there each has two turns.
        """
        for number in range(self._options.rounds):
            kinds = self._options.kinds if number % 2 == 0 else self._options.kinds[::-1]
            for lines in self.groups:
                with ExitStack() as stack:
                    clusters = {kind: stack.enter_context(self._cluster(kind)) for kind in kinds}
                    for line in lines:
                        self._measure_line(number, line, clusters)
                        if line.connections == 1:
                            self._measure_line(number, line, dict(reversed(clusters.items())))

    def _measure_line(self, number: int, line: Line, clusters: dict[str, Cluster]) -> None:
        for kind, (_, servers) in clusters.items():
            others = [server.pid for other in clusters.keys() - {kind} for server in clusters[other][1]]
            with _stopped(others):
                leader = wait_leader(servers)  # another than before, perhaps, as they were stopped
                sample = self.measure(workload_of(line.workload), leader, servers, line.connections)
            _wait_for_rest([server.pid for server in servers])
            line.samples[kind].append(sample)
            _say(number, kind, line, sample)

    def _cluster(self, kind: str) -> AbstractContextManager[Cluster]:
        return cluster(kind, self._load.members, extra=self._options.flags(kind))

    def measure(
        self, workload: Workload, leader: Server, servers: Sequence[Server], connections: int | None
    ) -> Measurement:
        """Warm up, then one measurement with what the servers used meanwhile."""
        pids = [server.pid for server in servers]
        warm = min(WARM_SECONDS, self._options.seconds)
        if not isinstance(workload, RequestWorkload):
            watch.run(leader.address, workload, seconds=warm, pids=pids)
            return watch.run(leader.address, workload, seconds=self._options.seconds, pids=pids)
        if workload.name not in self._requests:
            self._requests[workload.name] = workload.requests()
        requests = self._requests[workload.name]
        generator.send_all(leader.address, workload.prepare(), connections=1)
        self._send(leader.address, requests, connections=connections or 1, seconds=warm)
        before = Usage.of(*pids)
        sample = self._send(leader.address, requests, connections=connections or 1, seconds=self._options.seconds)
        used = Usage.of(*pids).cpu_seconds - before.cpu_seconds
        return replace(sample, server_cores=used / sample.seconds)


@contextmanager
def _stopped(pids: Sequence[int]) -> Iterator[None]:
    """Let processes do nothing at all meanwhile: even at rest they tick, on a core that others need."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _wait_for_rest(pids: Sequence[int]) -> None:
    """Until processes that were under load do next to nothing, and the disk has what they wrote.

    What they put off, or the system for them, must not fall into another's turn.
    """

    def at_rest() -> bool | None:
        before = Usage.of(*pids).cpu_seconds
        time.sleep(REST_LOOK_SECONDS)
        return Usage.of(*pids).cpu_seconds - before <= REST_CORES * REST_LOOK_SECONDS or None

    wait_for(at_rest, "servers that were measured to come to rest", seconds_max=REST_SECONDS_MAX)
    os.sync()


def _say(number: int, kind: str, line: Line, sample: Measurement) -> None:
    connections = "" if line.connections is None else f" at {line.connections}"
    print(
        f"round {number + 1}  {kind:8}  {line.workload}{connections}: {sample.rate:,.0f}/s, "
        f"p50 {sample.p50 / 1e3:.2f} ms, p99 {sample.p99 / 1e3:.2f} ms, "
        f"cores: server {sample.server_cores:.2f}, generator {sample.generator_cores:.2f}",
        flush=True,
    )
