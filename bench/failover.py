"""Three members, and `kill -9` of the one that leads: how long there is no leader, and how long nobody can write."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from bench.clusters import call, cluster, leader_seen_by, wait_for, wait_leader
from bench.lines import table
from bench.measure import BenchError
from bench.options import Options
from bench.requests import b64
from tests.conformance.servers import Server

KILLS_A_ROUND = 3
ELECTION_SECONDS_MAX = 15.0


def measure(options: Options) -> dict[str, Any]:
    """Kill the leader again and again, on both servers in alternation."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in options.kinds}
    for number in range(options.rounds):
        for kind in options.kinds if number % 2 == 0 else reversed(options.kinds):
            with cluster(kind, 3, extra=options.flags(kind)) as (_, servers):
                for _ in range(KILLS_A_ROUND):
                    times = kill_leader(servers)
                    found[kind].append(times)
                    print(f"round {number + 1}  {kind:8}  {times}", flush=True)
    settings = {"members": 3, "kills": options.rounds * KILLS_A_ROUND, "heartbeat ms": 100, "election ms": 1000}
    return {"settings": settings, "kills": found}


def kill_leader(servers: Sequence[Server]) -> dict[str, float]:
    """Seconds from the kill until a survivor follows a new leader, and until a put is acknowledged; then mend it."""
    leader = wait_leader(servers)
    survivors = [server for server in servers if server is not leader]
    deposed = leader_seen_by(leader)
    wait_for(lambda: all(leader_seen_by(one) == deposed for one in survivors) or None, "one leader", seconds_max=10)
    began = time.monotonic()
    leader.kill()
    wait_for(lambda: _follows_another(survivors, deposed), "a new leader", seconds_max=ELECTION_SECONDS_MAX)
    elected = time.monotonic() - began
    wait_for(lambda: _put(wait_leader(survivors)), "an acknowledged put", seconds_max=ELECTION_SECONDS_MAX)
    written = time.monotonic() - began
    leader.spawn()
    leader.wait_ready()
    return {"leader": round(elected, 3), "put": round(written, 3)}


def _follows_another(survivors: Sequence[Server], deposed: int) -> bool | None:
    return any(leader_seen_by(server) not in (0, deposed) for server in survivors) or None


def _put(server: Server) -> bool | None:
    try:
        call(server, "/v3/kv/put", {"key": b64(b"after"), "value": b64(b"the kill")})
    except (OSError, BenchError):  # it does not lead any more, or not yet: asked again
        return None
    return True


def page(told: dict[str, Any]) -> str:
    """The table: medians and the extremes."""
    rows = []
    for what, name in (
        ("until a survivor follows a new leader, s", "leader"),
        ("until a put is acknowledged, s", "put"),
    ):
        for kind, kills in told["kills"].items():
            values = [kill[name] for kill in kills]
            figures = (statistics.median(values), min(values), max(values))
            rows.append((what, kind, *(f"{figure:.2f}" for figure in figures)))
    return table(("time from kill -9 of the leader", "server", "median", "least", "most"), rows) + (
        "\n\netcd waits for an election timeout, drawn between one and two seconds, before a survivor stands. So does "
        "trioetcd when a leader falls silent; one whose address refuses connections it does not wait for."
    )
