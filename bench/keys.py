"""A member that holds many keys: its memory, the sizes of its files, and how long it takes to start."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import generator
from bench.clusters import call, wait_for
from bench.lines import table
from bench.measure import BenchError, Usage, disk_bytes
from bench.options import Options
from bench.requests import VALUE_BYTES, b64, http_request, present_key
from tests.conformance.servers import Server, lone_member, running

KEYS_A_TRANSACTION = 8  # so that a million keys are 125,000 entries: a snapshot, and a log behind it
READY_SECONDS_MAX = 120.0
SETTLE_SECONDS = 2.0

ROWS = (
    ("seconds to write them", "fill_seconds", "{:.1f}"),
    ("CPU to write them, µs a key", "fill_cpu_us", "{:.1f}"),
    ("memory after that, MB", "filled_mb", "{:,.0f}"),
    ("of it not backed by files, MB", "filled_private_mb", "{:,.0f}"),
    ("seconds to start after a stop", "start_seconds", "{:.2f}"),
    ("CPU seconds of that", "start_cpu", "{:.2f}"),
    ("seconds to start after kill -9", "restart_seconds", "{:.2f}"),
    ("CPU seconds of that", "restart_cpu", "{:.2f}"),
    ("memory after a start, MB", "started_mb", "{:,.0f}"),
    ("of it not backed by files, MB", "started_private_mb", "{:,.0f}"),
    ("bytes of memory a key, after a start", "bytes_a_key", "{:,.0f}"),
    ("on the disk, MB", "disk_mb", "{:,.0f}"),
    ("of it log, MB", "log_mb", "{:,.0f}"),
    ("of it database and snapshots, MB", "database_mb", "{:,.0f}"),
)


def measure(options: Options) -> dict[str, Any]:
    """Both servers, once each: what is measured here hardly varies."""
    return {
        "settings": {"keys": options.keys, "value bytes": VALUE_BYTES, "keys a transaction": KEYS_A_TRANSACTION},
        "members": {kind: measure_member(kind, options) for kind in options.kinds},
    }


def measure_member(kind: str, options: Options) -> dict[str, float]:
    """Fill one member, then start it again and again."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{kind}-") as directory:
        server = lone_member(kind, Path(directory), extra=options.flags(kind))
        with running(server):
            empty = Usage.of(server.pid)
            found = fill(server, options.keys)
            server.stop()
            found |= sizes(server)
            found |= start("start", server, options.keys)
            server.kill()
            found |= start("restart", server, options.keys)
            found |= memory("started", server)
            found["bytes_a_key"] = (found["started_mb"] - empty.resident_bytes / 1e6) * 1e6 / options.keys
    print(f"{kind:8}  " + ", ".join(f"{name} {value:,.2f}" for name, value in found.items()), flush=True)
    return found


def fill(server: Server, keys: int) -> dict[str, float]:
    """Write the keys, a few in each transaction."""
    before = Usage.of(server.pid)
    seconds = generator.send_all(server.address, transactions(keys), connections=64)
    used = Usage.of(server.pid).cpu_seconds - before.cpu_seconds
    time.sleep(SETTLE_SECONDS)
    return {"fill_seconds": seconds, "fill_cpu_us": used / keys * 1e6} | memory("filled", server)


def transactions(keys: int) -> Iterator[bytes]:
    """Puts of all keys with values that cannot be compressed."""
    chance = random.Random(0)
    for first in range(0, keys, KEYS_A_TRANSACTION):
        numbers = range(first, min(keys, first + KEYS_A_TRANSACTION))
        puts = [{"key": b64(present_key(number)), "value": b64(chance.randbytes(VALUE_BYTES))} for number in numbers]
        yield http_request("/v3/kv/txn", {"success": [{"request_put": each} for each in puts]})


def start(what: str, server: Server, keys: int) -> dict[str, float]:
    """Start the process; seconds and CPU seconds until it has answered a linearizable count of all keys."""
    began = time.monotonic()
    server.spawn()
    server.wait_ready(READY_SECONDS_MAX)
    count = wait_for(lambda: _count(server), "an answer after the start", seconds_max=READY_SECONDS_MAX)
    seconds = time.monotonic() - began
    if count != keys:
        raise BenchError(f"{server.kind} has {count} keys after a start, and was given {keys}")
    return {f"{what}_seconds": seconds, f"{what}_cpu": Usage.of(server.pid).cpu_seconds}


def _count(server: Server) -> int | None:
    everything = {"key": b64(b"\0"), "range_end": b64(b"\0"), "count_only": True}
    return int(call(server, "/v3/kv/range", everything, seconds_max=READY_SECONDS_MAX).get("count", 0))


def memory(what: str, server: Server) -> dict[str, float]:
    """Resident memory, and that part of it which is the process's own."""
    used = Usage.of(server.pid)
    return {f"{what}_mb": used.resident_bytes / 1e6, f"{what}_private_mb": used.private_bytes / 1e6}


def sizes(server: Server) -> dict[str, float]:
    """What it takes on the disk, and of that its log."""
    total = disk_bytes(server.data_dir)
    log = sum(disk_bytes(path) for path in server.data_dir.rglob("wal") if path.is_dir())
    return {"disk_mb": total / 1e6, "log_mb": log / 1e6, "database_mb": (total - log) / 1e6}


def page(told: dict[str, Any]) -> str:
    """The table: a row a figure."""
    return side_by_side(ROWS, told["members"]) + (
        "\n\nMemory is what is resident; etcd maps its database file into memory, and its collector gives back late"
        "\nwhat no longer lives, so the memory after a start is the one to compare."
    )


def side_by_side(rows: tuple[tuple[str, str, str], ...], members: dict[str, dict[str, float]]) -> str:
    """Rows of (what, name of the figure, format), a column a server, and trioetcd's over etcd's."""
    cells = []
    for what, name, text in rows:
        values = [members[kind][name] for kind in members]
        both = len(values) == 2 and bool(values[0])
        ratio = f"{values[1] / values[0]:.2f}" if both else "-"
        cells.append((what, *(text.format(value) for value in values), ratio))
    return table(("", *members, "trioetcd / etcd"), cells)
