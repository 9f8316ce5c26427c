"""One member with very many leases, keys and watchers: what each costs in memory and CPU, and what puts then cost."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

from bench import generator
from bench.clusters import cluster
from bench.keys import side_by_side
from bench.load import Load, Runner
from bench.measure import Measurement, Usage
from bench.options import Options
from bench.requests import VALUE_BYTES, b64, http_request, lease_grant
from bench.streams import FanOut
from bench.workloads import workload_of
from tests.conformance.servers import Server
from tests.conformance.wire import Connection

LEASES = KEYS = 100_000
WATCHERS = 10_000
WATCHERS_A_STREAM = 100
STREAMS = 1_000  # of one watcher each, as most clients open them
SETTLE_SECONDS = 1.0
IDLE_SECONDS = 3.0
COLLECTS = {"etcd": ("--enable-pprof",)}
LIVE = re.compile(rb"^go_memstats_(?:heap_alloc|stack_inuse)_bytes ([0-9.e+]+)$", re.MULTILINE)
FIRST_LEASE = 1_000_000  # above those that every cluster of the bench has


def measure(options: Options) -> dict[str, Any]:
    """Both servers, once each."""
    leases, keys, watchers, streams = (
        max(WATCHERS_A_STREAM, int(count * options.scale)) for count in (LEASES, KEYS, WATCHERS, STREAMS)
    )
    found = {}
    for kind in options.kinds:
        with cluster(kind, 1, extra=[*options.flags(kind), *COLLECTS.get(kind, ())]) as (server, _):
            scale = Scale(server, options)
            scale.load("before")
            scale.step("lease", leases, _send(server, _leases(leases)))
            scale.step("key", keys, _send(server, _keys(keys, leases)))
            with closing(FanOut(server.address)) as shared, closing(FanOut(server.address)) as single:
                scale.step("watcher", watchers, _watch(shared, watchers, watchers // WATCHERS_A_STREAM))
                scale.step("stream", streams, _watch(single, streams, streams))
                scale.idle()
                scale.load("after")
            found[kind] = scale.found
            print(f"{kind:8}  " + ", ".join(f"{name} {value:,.2f}" for name, value in scale.found.items()), flush=True)
    settings = {"leases": leases, "keys, each on a lease": keys, "watchers": watchers, "a stream": WATCHERS_A_STREAM}
    return {"settings": settings | {"streams of one watcher": streams}, "members": found}


class Scale:
    """One server on its way up. `found` has its figures."""

    def __init__(self, server: Server, options: Options) -> None:
        self.found: dict[str, float] = {}
        self._server = server
        self._runner = Runner(Load(groups=()), options)

    def step(self, name: str, count: int, work: Callable[[], object]) -> None:
        """Add so many of something; what one of them cost."""
        bytes_before, before = live_bytes(self._server), Usage.of(self._server.pid)
        work()
        time.sleep(SETTLE_SECONDS)
        after = Usage.of(self._server.pid)
        self.found[f"{name}_us"] = (after.cpu_seconds - before.cpu_seconds) / count * 1e6
        self.found[f"{name}_bytes"] = (live_bytes(self._server) - bytes_before) / count

    def idle(self) -> None:
        """What it uses while nobody asks for anything."""
        before = Usage.of(self._server.pid)
        time.sleep(IDLE_SECONDS)
        after = Usage.of(self._server.pid)
        self.found["idle_share"] = (after.cpu_seconds - before.cpu_seconds) / IDLE_SECONDS
        self.found["resident_mb"] = after.resident_bytes / 1e6

    def load(self, when: str) -> None:
        """Puts and keep-alives under load."""
        for name, workload in (("put", "put"), ("keep_alive", "lease-keep-alive")):
            sample = self._runner.measure(workload_of(workload), self._server, [self._server], 64)
            self.found |= _figures(f"{name}_{when}", sample)


def live_bytes(server: Server) -> float:
    """Memory that is in use: of etcd what its collector, run now, finds alive; of trioetcd all that no file backs.

    Go gives memory back late, so what etcd's process holds says nothing of what was added last.
    """
    if server.kind != "etcd":
        return Usage.of(server.pid).private_bytes
    with Connection(server.address, seconds_max=30) as connection:
        connection.request("GET", "/debug/pprof/heap?gc=1")
        return sum(float(count) for count in LIVE.findall(connection.request("GET", "/metrics").body))


def _figures(name: str, sample: Measurement) -> dict[str, float]:
    return {
        f"{name}_rate": sample.rate,
        f"{name}_p50_ms": sample.p50 / 1e3,
        f"{name}_p99_ms": sample.p99 / 1e3,
        f"{name}_us": sample.server_cpu,
    }


def _send(server: Server, requests: Iterator[bytes]) -> Callable[[], object]:
    return partial(generator.send_all, server.address, requests, connections=64)


def _watch(fan_out: FanOut, watchers: int, streams: int) -> Callable[[], object]:
    return partial(fan_out.open_streams, [_key(number) for number in range(watchers)], streams, sampled=0)


def _key(number: int) -> bytes:
    return b"s%07d" % number


def _leases(count: int) -> Iterator[bytes]:
    return (lease_grant(FIRST_LEASE + number) for number in range(count))


def _keys(count: int, leases: int) -> Iterator[bytes]:
    chance = random.Random(0)
    for number in range(count):
        value, lease = chance.randbytes(VALUE_BYTES), FIRST_LEASE + number % leases
        yield http_request("/v3/kv/put", {"key": b64(_key(number)), "value": b64(value), "lease": str(lease)})


EACH = (("lease", "a lease"), ("key", "a key on a lease"), ("watcher", "a watcher"), ("stream", "a stream of its own"))
LOADS = (("put", "put, 64 connections"), ("keep_alive", "keep-alive, 64 connections"))
ROWS = (
    *((f"{what}: memory, bytes", f"{name}_bytes", "{:,.0f}") for name, what in EACH),
    *((f"{what}: CPU, µs", f"{name}_us", "{:,.0f}") for name, what in EACH),
    ("memory with all of them, MB", "resident_mb", "{:,.0f}"),
    ("idle with all of them: share of a core", "idle_share", "{:.1%}"),
    *(
        (f"{what}, {when}: {figure}", f"{name}_{when}_{field}", text)
        for name, what in LOADS
        for figure, field, text in (
            ("/s", "rate", "{:,.0f}"),
            ("p50 ms", "p50_ms", "{:.2f}"),
            ("p99 ms", "p99_ms", "{:.2f}"),
            ("CPU, µs", "us", "{:,.0f}"),
        )
        for when in ("before", "after")
    ),
)


def page(told: dict[str, Any]) -> str:
    """The table: a row a figure."""
    return side_by_side(ROWS, told["members"]) + (
        "\n\nMemory of one: what it grew by with all of a kind, over their number; of trioetcd what no file backs, of"
        "\netcd what its collector finds alive (its process holds more). A watcher shares its stream with 99 others, or"
        "\nhas one of its own. `before` and `after` are the same load without and with all of them."
    )
