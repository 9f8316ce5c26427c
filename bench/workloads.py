"""What is measured: each workload as the requests that it sends, made beforehand, over keys that are there already."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

VALUE_BYTES = 256
KEY_BYTES = 8
REQUESTS_MADE = 20_000  # replayed in a circle; some 10 MB, so that no cache of the CPU flatters anyone
KEYS_PRESENT = 1_000


def b64(data: bytes) -> str:
    """Bytes as they stand in JSON."""
    return base64.b64encode(data).decode()


def http_request(path: str, body: dict[str, Any]) -> bytes:
    """A request as the generators send it."""
    payload = json.dumps(body, separators=(",", ":")).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


def present_key(number: int) -> bytes:
    """A key that is there before the measurement."""
    return b"k%07d" % number


def put(key: bytes, value: bytes) -> bytes:
    """A put."""
    return http_request("/v3/kv/put", {"key": b64(key), "value": b64(value)})


def _put(chance: random.Random) -> bytes:
    return put(chance.randbytes(KEY_BYTES), chance.randbytes(VALUE_BYTES))


def _range(chance: random.Random) -> bytes:
    return http_request("/v3/kv/range", {"key": b64(present_key(chance.randrange(KEYS_PRESENT)))})


def _range_serializable(chance: random.Random) -> bytes:
    key = present_key(chance.randrange(KEYS_PRESENT))
    return http_request("/v3/kv/range", {"key": b64(key), "serializable": True})


def _range_100(chance: random.Random) -> bytes:
    first = chance.randrange(KEYS_PRESENT - 100)
    return http_request("/v3/kv/range", {"key": b64(present_key(first)), "range_end": b64(present_key(first + 100))})


def _mixed(chance: random.Random) -> bytes:
    if chance.random() < 0.9:
        return _range(chance)
    return put(present_key(chance.randrange(KEYS_PRESENT)), chance.randbytes(VALUE_BYTES))


def _txn(chance: random.Random) -> bytes:
    key = b64(present_key(chance.randrange(KEYS_PRESENT)))
    body: dict[str, Any] = {
        "compare": [{"target": "VERSION", "result": "GREATER", "key": key, "version": "0"}],
        "success": [
            {"request_put": {"key": key, "value": b64(chance.randbytes(VALUE_BYTES))}},
            {"request_range": {"key": key}},
        ],
        "failure": [{"request_range": {"key": key}}],
    }
    return http_request("/v3/kv/txn", body)


def _delete(chance: random.Random) -> bytes:
    return http_request("/v3/kv/deleterange", {"key": b64(chance.randbytes(KEY_BYTES))})


@dataclass(frozen=True, kw_only=True)
class RequestWorkload:
    """Requests and answers, closed loop: a connection sends its next request when the last was answered."""

    name: str
    what: str
    make: Callable[[random.Random], bytes]
    made: int = REQUESTS_MADE

    def requests(self, seed: int = 1) -> list[bytes]:
        """The requests; the same for both servers."""
        chance = random.Random(seed)
        return [self.make(chance) for _ in range(self.made)]


@dataclass(frozen=True, kw_only=True)
class WatchWorkload:
    """Streams that wait for events, and puts that cause them. `puts_a_second` 0 is as fast as they are answered."""

    name: str
    what: str
    watchers: int
    puts_a_second: int


Workload = RequestWorkload | WatchWorkload

WORKLOADS: tuple[Workload, ...] = (
    RequestWorkload(name="put", what="put, 256-byte values, random 8-byte keys", make=_put),
    RequestWorkload(name="range", what="range of one key, linearizable", make=_range),
    RequestWorkload(name="range-serializable", what="range of one key, serializable", make=_range_serializable),
    RequestWorkload(name="range-100", what="range of 100 keys, linearizable", make=_range_100, made=900),
    RequestWorkload(name="mixed", what="nine ranges to one put", make=_mixed),
    RequestWorkload(name="txn", what="transaction: compare, put, range", make=_txn),
    RequestWorkload(name="delete", what="delete of keys that are mostly not there", make=_delete),
    WatchWorkload(name="watch", what="deliveries of unpaced puts, 100 watchers", watchers=100, puts_a_second=0),
    WatchWorkload(name="watch-1000", what="deliveries of unpaced puts, 1000 watchers", watchers=1000, puts_a_second=0),
    WatchWorkload(name="watch-latency", what="100 puts/s delivered to 100 watchers", watchers=100, puts_a_second=100),
)
DEFAULT_WORKLOADS = ("put", "range", "range-serializable", "txn", "watch", "watch-latency")


def workload_of(name: str) -> Workload:
    """The workload of that name."""
    return next(workload for workload in WORKLOADS if workload.name == name)
