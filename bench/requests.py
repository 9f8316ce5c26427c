"""Requests as bytes, made beforehand, over keys and leases that are there already."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

VALUE_BYTES = 256
KEY_BYTES = 8
KEYS_PRESENT = 1_000
LEASES_PRESENT = 1_000
LEASE_SECONDS = 3_600
LARGE_KEYS = 8


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


def lease_grant(number: int) -> bytes:
    """A grant of a lease with an ID of our own; 0 lets the server choose."""
    return http_request("/v3/lease/grant", {"ID": str(number), "TTL": str(LEASE_SECONDS)})


def watches(keys: Iterable[bytes]) -> bytes:
    """One stream that watches each of these keys.

    Go's server drops what it has not read of a request once it answers, unless the connection is to be closed.
    """
    bodies = b"\n".join(json.dumps({"create_request": {"key": b64(key)}}).encode() for key in keys)
    head = "POST /v3/watch HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(bodies), bodies)


def fill() -> Iterator[bytes]:
    """What is there before every measurement."""
    chance = random.Random(0)
    yield from (put(present_key(number), chance.randbytes(VALUE_BYTES)) for number in range(KEYS_PRESENT))
    yield from (lease_grant(number) for number in range(1, LEASES_PRESENT + 1))


def random_put(chance: random.Random) -> bytes:
    """A put of a new key."""
    return put(chance.randbytes(KEY_BYTES), chance.randbytes(VALUE_BYTES))


def one_key(chance: random.Random) -> bytes:
    """A linearizable range of one key."""
    return http_request("/v3/kv/range", {"key": b64(present_key(chance.randrange(KEYS_PRESENT)))})


def one_key_serializable(chance: random.Random) -> bytes:
    """A serializable range of one key."""
    key = present_key(chance.randrange(KEYS_PRESENT))
    return http_request("/v3/kv/range", {"key": b64(key), "serializable": True})


def hundred_keys(chance: random.Random) -> bytes:
    """A linearizable range of 100 keys."""
    first = chance.randrange(KEYS_PRESENT - 100)
    return http_request("/v3/kv/range", {"key": b64(present_key(first)), "range_end": b64(present_key(first + 100))})


def mixed(chance: random.Random) -> bytes:
    """Nine ranges to one put."""
    if chance.random() < 0.9:
        return one_key(chance)
    return put(present_key(chance.randrange(KEYS_PRESENT)), chance.randbytes(VALUE_BYTES))


def transaction(chance: random.Random) -> bytes:
    """A compare that holds, a put, and a range."""
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


def random_delete(chance: random.Random) -> bytes:
    """A delete of a key that is hardly ever there."""
    return http_request("/v3/kv/deleterange", {"key": b64(chance.randbytes(KEY_BYTES))})


def random_lease_grant(chance: random.Random) -> bytes:
    """A grant whose ID the server chooses."""
    return lease_grant(0)


def keep_alive(chance: random.Random) -> bytes:
    """A keep-alive of one lease."""
    return http_request("/v3/lease/keepalive", {"ID": str(chance.randrange(1, LEASES_PRESENT + 1))})


def large_put(size: int, chance: random.Random) -> bytes:
    """A put of so many bytes, over one of few keys."""
    return put(b"large%03d" % chance.randrange(LARGE_KEYS), chance.randbytes(size))


def large_range(chance: random.Random) -> bytes:
    """A linearizable range of one of the large keys."""
    return http_request("/v3/kv/range", {"key": b64(b"large%03d" % chance.randrange(LARGE_KEYS))})


def large_keys(size: int) -> list[bytes]:
    """Puts of all large keys."""
    chance = random.Random(0)
    return [put(b"large%03d" % number, chance.randbytes(size)) for number in range(LARGE_KEYS)]
