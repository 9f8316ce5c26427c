"""Fresh clusters of either kind, and what is asked of them between measurements."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench import generator
from bench.measure import BenchError
from bench.requests import fill
from tests.conformance.servers import Server, cluster_of, running
from tests.conformance.wire import Connection

T = TypeVar("T")

KINDS = ("etcd", "trioetcd")


@contextlib.contextmanager
def cluster(
    kind: str, members: int, *, extra: Sequence[str] = (), filled: bool = True
) -> Iterator[tuple[Server, list[Server]]]:
    """A fresh cluster of one kind, the leader first; the keys and leases that workloads speak of are there."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{kind}-") as directory:
        servers = cluster_of(kind, Path(directory), count=members, extra=extra)
        with running(*servers):
            leader = wait_leader(servers)
            if filled:
                generator.send_all(leader.address, fill())
            yield leader, servers


def call(server: Server, path: str, body: dict[str, Any], *, seconds_max: float = 5.0) -> dict[str, Any]:
    """One request; raises OSError when there is no answer, `BenchError` when it is an error."""
    with Connection(server.address, seconds_max=seconds_max) as connection:
        answer = connection.request("POST", path, json.dumps(body).encode())
    if answer.status != 200:
        raise BenchError(f"{server.name}: {path} was answered with {answer.status}: {answer.body[:300]!r}")
    decoded: dict[str, Any] = json.loads(answer.body)
    return decoded


def status(server: Server) -> dict[str, Any]:
    """What the member says of itself, without asking any other."""
    return call(server, "/v3/maintenance/status", {}, seconds_max=2.0)


def leader_seen_by(server: Server) -> int:
    """The ID of the leader that a member follows; 0 for none."""
    return int(status(server).get("leader", 0))


def wait_leader(servers: Sequence[Server]) -> Server:
    """The member that leads, once one says so."""

    def leader() -> Server | None:
        for server in servers:
            told = status(server)
            if told.get("leader") == told["header"]["member_id"]:
                return server
        return None

    return wait_for(leader, "a member that says that it leads", seconds_max=20)


def wait_for(look: Callable[[], T | None], what: str, *, seconds_max: float, every: float = 0.005) -> T:
    """Look again and again until there is something to see; `BenchError` when the time is over."""
    deadline = time.monotonic() + seconds_max
    while (seen := look()) is None:
        if time.monotonic() > deadline:
            raise BenchError(f"waited {seconds_max} s in vain for {what}")
        time.sleep(every)
    return seen
