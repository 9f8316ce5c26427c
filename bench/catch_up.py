"""Three members, one of them away while the others are written to: how long it takes to catch up when it is back.

Twice: with the log still there, and with a log so short that the leader has to send a snapshot.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from typing import Any

from bench import generator
from bench.clusters import cluster, status, wait_for
from bench.keys import side_by_side
from bench.measure import BenchError, Usage
from bench.options import Options
from bench.requests import random_put
from tests.conformance.servers import Server
from tests.conformance.wire import Connection

PUTS = 30_000
# etcd 3.5.1 always keeps 5,000 entries; an entry of trioetcd's log holds all puts that came meanwhile, so it has fewer.
SHORT_LOG = {
    "etcd": ("--snapshot-count=5000",),
    "trioetcd": ("--snapshot-count=100", "--experimental-snapshot-catchup-entries=20"),
}
RECEIVED = re.compile(rb"^etcd_network_snapshot_receive_success\{.*\} ([0-9.e+]+)$", re.MULTILINE)
CATCH_UP_SECONDS_MAX = 60.0


def measure(options: Options) -> dict[str, Any]:
    """Both ways, on both servers."""
    puts = max(1, int(PUTS * options.scale))
    found = {}
    for kind in options.kinds:
        ways = {"log": (), "snapshot": SHORT_LOG[kind]}
        found[kind] = {
            f"{way}_{name}": value
            for way, flags in ways.items()
            for name, value in come_back(kind, puts, way, [*flags, *options.flags(kind)]).items()
        }
        print(f"{kind:8}  {found[kind]}", flush=True)
    return {"settings": {"members": 3, "puts while away": puts}, "members": found}


def come_back(kind: str, puts: int, way: str, flags: Sequence[str]) -> dict[str, float]:
    """Kill a follower, write, start it; seconds and CPU until it has applied all that was written that `way`."""
    with cluster(kind, 3, extra=flags) as (leader, servers):
        follower = next(server for server in servers if server is not leader)
        follower.kill()
        chance = random.Random(1)
        generator.send_all(leader.address, (random_put(chance) for _ in range(puts)), connections=64)
        target = int(status(leader)["raftAppliedIndex"])
        began = time.monotonic()
        follower.spawn()
        follower.wait_ready()
        ready = time.monotonic() - began
        wait_for(lambda: _has_applied(follower, target), "the follower to catch up", seconds_max=CATCH_UP_SECONDS_MAX)
        seconds = time.monotonic() - began
        used = Usage.of(follower.pid)
        if (way == "snapshot") != (snapshots_received(follower) > 0):
            raise BenchError(f"{kind}: the follower caught up in another way than with the {way}")
    return {
        "seconds": round(seconds, 3),
        "ready": round(ready, 3),
        "cpu": used.cpu_seconds,
        "entries": target,
    }


def snapshots_received(server: Server) -> float:
    """How many snapshots of its leader the member has received since it started."""
    with Connection(server.address) as connection:
        return sum(float(count) for count in RECEIVED.findall(connection.request("GET", "/metrics").body))


def _has_applied(server: Server, index: int) -> bool | None:
    return int(status(server).get("raftAppliedIndex", 0)) >= index or None


ROWS = (
    ("from its start until it has all, with the log, s", "log_seconds", "{:.2f}"),
    ("CPU seconds of the follower", "log_cpu", "{:.2f}"),
    ("from its start until it has all, with a snapshot, s", "snapshot_seconds", "{:.2f}"),
    ("CPU seconds of the follower", "snapshot_cpu", "{:.2f}"),
)


def page(told: dict[str, Any]) -> str:
    """The table."""
    return f"{side_by_side(ROWS, told['members'])}\n\nThe start of the process, about a second, is part of it."
