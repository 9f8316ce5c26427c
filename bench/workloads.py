"""What is measured: each workload with its requests and the numbers of connections that send them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from bench import requests

REQUESTS_MADE = 20_000  # replayed in a circle; some 10 MB, so that no cache of the CPU flatters anyone


def _nothing() -> list[bytes]:
    return []


@dataclass(frozen=True, kw_only=True)
class RequestWorkload:
    """Requests and answers, closed loop: a connection sends its next request when the last was answered.

    `connections` are the numbers at which it is measured unless others are asked for; `prepare` makes what has to be
    sent once before it is measured.
    """

    name: str
    what: str
    make: Callable[[random.Random], bytes]
    made: int = REQUESTS_MADE
    connections: tuple[int, ...] = (64,)
    prepare: Callable[[], list[bytes]] = field(default=_nothing)

    def requests(self, seed: int = 1) -> list[bytes]:
        """The requests; the same for both servers."""
        chance = random.Random(seed)
        return [self.make(chance) for _ in range(self.made)]


@dataclass(frozen=True, kw_only=True)
class WatchWorkload:
    """Streams that wait for events, and puts that cause them. `puts_a_second` 0 is as fast as they are answered.

    All watchers watch one key, or (`keys_apart`) each one of its own.
    """

    name: str
    what: str
    watchers: int
    puts_a_second: int = 0
    streams: int = 0  # 0: one for each watcher
    keys_apart: bool = False
    writers: int = 4

    @property
    def watched_keys(self) -> list[bytes]:
        """The key of each watcher."""
        return [requests.present_key(number if self.keys_apart else 0) for number in range(self.watchers)]


Workload = RequestWorkload | WatchWorkload

KIB, MIB = 1 << 10, 1 << 20
CURVE = (1, 16, 64, 256, 1000)

WORKLOADS: tuple[Workload, ...] = (
    RequestWorkload(
        name="put", what="put, 256-byte values, random 8-byte keys", make=requests.random_put, connections=CURVE
    ),
    RequestWorkload(name="range", what="range of one key, linearizable", make=requests.one_key, connections=CURVE),
    RequestWorkload(
        name="range-serializable", what="range of one key, serializable", make=requests.one_key_serializable
    ),
    RequestWorkload(name="range-100", what="range of 100 keys, linearizable", make=requests.hundred_keys, made=900),
    RequestWorkload(name="mixed", what="nine ranges to one put", make=requests.mixed),
    RequestWorkload(name="txn", what="transaction: compare, put, range", make=requests.transaction),
    RequestWorkload(name="delete", what="delete of keys that are mostly not there", make=requests.random_delete),
    RequestWorkload(name="lease-grant", what="grant of a lease", make=requests.random_lease_grant, made=100),
    RequestWorkload(name="lease-keep-alive", what="one keep-alive of one of 1,000 leases", make=requests.keep_alive),
    RequestWorkload(
        name="put-64k",
        what="put, 64 KiB values",
        make=partial(requests.large_put, 64 * KIB),
        made=100,
        connections=(16,),
    ),
    RequestWorkload(
        name="range-64k",
        what="range of one key of 64 KiB, linearizable",
        make=requests.large_range,
        made=100,
        connections=(16,),
        prepare=partial(requests.large_keys, 64 * KIB),
    ),
    RequestWorkload(
        name="put-1m", what="put, 1 MiB values", make=partial(requests.large_put, MIB), made=16, connections=(4,)
    ),
    RequestWorkload(
        name="range-1m",
        what="range of one key of 1 MiB, linearizable",
        make=requests.large_range,
        made=100,
        connections=(4,),
        prepare=partial(requests.large_keys, MIB),
    ),
    WatchWorkload(name="watch", what="deliveries of unpaced puts, 100 watchers", watchers=100),
    WatchWorkload(name="watch-1000", what="deliveries of unpaced puts, 1000 watchers", watchers=1000),
    WatchWorkload(name="watch-latency", what="100 puts/s delivered to 100 watchers", watchers=100, puts_a_second=100),
    WatchWorkload(
        name="watch-10000",
        what="deliveries of unpaced puts to 10,000 watchers of 10,000 keys, 100 a stream",
        watchers=10_000,
        streams=100,
        keys_apart=True,
        writers=64,
    ),
)


def workload_of(name: str) -> Workload:
    """The workload of that name."""
    return next(workload for workload in WORKLOADS if workload.name == name)
