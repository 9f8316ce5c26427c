"""Every write that trioetcd acknowledged under load is there after `kill -9`, and after the page cache is lost as well.

Real processes, killed at a moment drawn from a seed while many connections put; with three members all are killed. For
a lost page cache the members run under `bench.page_cache`. What is checked: each acknowledged key, with its value.
"""

from __future__ import annotations

import base64
import itertools
import os
import random
import struct
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import generator
from bench.clusters import call, wait_leader
from bench.lines import table
from bench.measure import BenchError
from bench.options import Options
from bench.requests import VALUE_BYTES, b64, http_request, put
from tests.conformance.servers import Server, cluster_of, running, trioetcd_command

CONNECTIONS = 64
PAGE_KEYS = 5_000
KILL_AFTER_SECONDS = (0.5, 2.0)
SYNCED = struct.Struct("<QQ")  # what LevelDB's log was synced up to: see trioetcd/storage/leveldb_log.py


@dataclass(frozen=True, kw_only=True)
class Case:
    """How many members, how often all are killed, and what goes with them."""

    members: int
    kills: int
    lose_page_cache: bool

    @property
    def title(self) -> str:
        """As it stands in the table."""
        return "kill -9 and a lost page cache" if self.lose_page_cache else "kill -9"


CASES = tuple(Case(members=members, kills=2, lose_page_cache=lost) for members in (1, 3) for lost in (False, True))


@dataclass
class Writer:
    """Puts new keys as fast as they are acknowledged. Key and value follow from the number, so numbers are kept."""

    numbers: Iterator[int] = field(default_factory=itertools.count)
    sent: list[int] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)

    def write_until_killed(self, server: Server) -> None:
        """Put until the server is gone."""
        self.sent.clear()
        with suppress(generator.ServerGone):
            generator.Loop(self._requests(), self._on_answer).run(server.address, CONNECTIONS)

    def _requests(self) -> Iterator[bytes]:
        for number in self.numbers:
            self.sent.append(number)
            yield request_of(number)

    def _on_answer(self, position: int) -> None:
        self.acknowledged.add(self.sent[position])


def key_of(number: int) -> bytes:
    """The key of a write."""
    return b"d%09d" % number


def value_of(number: int) -> bytes:
    """Its value, which no other key has."""
    return (b"%d." % number).ljust(VALUE_BYTES, b"v")


def request_of(number: int) -> bytes:
    """A put of it: alone, or with every other number in a transaction."""
    if number % 2:
        return put(key_of(number), value_of(number))
    operation = {"request_put": {"key": b64(key_of(number)), "value": b64(value_of(number))}}
    return http_request("/v3/kv/txn", {"success": [operation]})


def measure(options: Options) -> dict[str, Any]:
    """All cases."""
    found = []
    for case in CASES:
        result = run_case(case, flags=options.flags("trioetcd"))
        found.append({"title": case.title, "members": case.members, "kills": case.kills} | result)
        print(f"{case.title}, members {case.members}: {result}", flush=True)
    return {"settings": {"connections": CONNECTIONS}, "cases": found}


def run_case(
    case: Case, *, flags: Sequence[str] = (), after: tuple[float, float] = KILL_AFTER_SECONDS, seed: int = 1
) -> dict[str, int]:
    """Write and kill in turn; raises `BenchError` for a write that was acknowledged and is not there."""
    chance, writer, lost = random.Random(seed), Writer(), 0
    with tempfile.TemporaryDirectory(prefix="bench-durability-") as directory:
        servers = cluster_of("trioetcd", Path(directory), count=case.members, extra=flags)
        if case.lose_page_cache:
            servers = [_under_page_cache(server) for server in servers]
        for _ in range(case.kills):
            with running(*servers):
                check(wait_leader(servers), writer.acknowledged)
                timer = threading.Timer(chance.uniform(*after), _kill, args=servers)
                timer.start()
                writer.write_until_killed(wait_leader(servers))
                timer.join()
            if case.lose_page_cache:
                lost += sum(lose_database_tail(server.data_dir) for server in servers)
        with running(*servers):
            for server in servers:
                check(server, writer.acknowledged)
    return {"acknowledged": len(writer.acknowledged), "database_bytes_lost": lost}


def check(server: Server, acknowledged: set[int]) -> None:
    """See that each of these writes is there as it was written."""
    found = dict(stored(server))
    missing = [number for number in acknowledged if number not in found]
    changed = [number for number, value in found.items() if value != value_of(number)]
    if missing or changed:
        raise BenchError(
            f"{server.name}: of {len(acknowledged)} acknowledged writes {len(missing)} are missing "
            f"(the first is {min(missing, default=None)}) and {len(changed)} have another value"
        )


def stored(server: Server) -> Iterator[tuple[int, bytes]]:
    """All writes that a linearizable read finds, in pages."""
    start, end = b"d", b"e"
    while True:
        answer = call(server, "/v3/kv/range", {"key": b64(start), "range_end": b64(end), "limit": str(PAGE_KEYS)})
        kvs = [(base64.b64decode(kv["key"]), base64.b64decode(kv["value"])) for kv in answer.get("kvs", [])]
        yield from ((int(key[1:]), value) for key, value in kvs)
        if not answer.get("more"):
            return
        start = kvs[-1][0] + b"\0"


def lose_database_tail(data_dir: Path) -> int:
    """Cut LevelDB's log files to what was synced, as a lost page cache does; the bytes that were lost."""
    folder, lost = data_dir / "member" / "db", 0
    synced = folder / "SYNCED"
    number, size = SYNCED.unpack_from(synced.read_bytes()) if synced.exists() else (0, 0)
    for path in folder.glob("*.log"):
        if int(path.stem) >= number:
            kept = min(path.stat().st_size, size if int(path.stem) == number else 0)
            lost += path.stat().st_size - kept
            os.truncate(path, kept)
    return lost


def _under_page_cache(server: Server) -> Server:
    plain = trioetcd_command()
    assert list(server.command[: len(plain)]) == plain, f"expected {plain} and flags, got {server.command}"
    return replace(server, command=[plain[0], "-m", "bench.page_cache", *server.command[len(plain) :]])


def _kill(*servers: Server) -> None:
    for server in servers:
        assert server.process is not None, f"{server.name} does not run"
        server.process.kill()
    for server in servers:
        server.kill()


def page(told: dict[str, Any]) -> str:
    """The table."""
    rows = [
        (case["title"], str(case["members"]), str(case["kills"]), f"{case['acknowledged']:,}", "0")
        for case in told["cases"]
    ]
    return table(("what happened", "members", "times", "acknowledged writes", "of them lost"), rows) + (
        "\n\nAll members are killed at once while 64 connections write, half of it puts and half transactions. Under a"
        "\nlost page cache, what was written and not synced is gone from every file. One write missing, or of another"
        "\nvalue, would have failed the run."
    )
