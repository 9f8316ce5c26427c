"""Leases: who has been granted one, for how long, and which keys hang on it.

Only the replicated part is here: grants, revocations, attachments. When a lease expires is the leader's to decide, by
the clock; what it decides comes back through the log as a revocation.

Grants are stored (`schema.LEASE_PREFIX`, value `msgpack([granted TTL, remaining TTL])`, seconds); attachments are not:
they are the lease fields of the keys, and are gathered in the scan that rebuilds the index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import msgpack

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.engine import Reader
from trioetcd.storage.schema import LEASE_PREFIX, id_key, prefix_end, unsigned_id
from trioetcd.storage.writes import PendingWrites

NO_LEASE: Final = 0
TTL_SECONDS_MAX: Final = 9_000_000_000


@dataclass(slots=True)
class Lease:
    """One lease. `remaining_ttl_seconds` is 0 unless a checkpoint says how much of the TTL is left."""

    id: int
    ttl_seconds: int
    remaining_ttl_seconds: int = 0
    keys: dict[bytes, None] = field(default_factory=dict)  # an ordered set


class Leases:
    """All leases. Changed only by apply; `on_granted` and its like tell the one who watches the clock."""

    def __init__(self, *, engine: Reader, writes: PendingWrites) -> None:
        self._writes = writes
        self._leases: dict[int, Lease] = {}
        self.on_granted: Callable[[Lease], None] = _nobody
        self.on_revoked: Callable[[Lease], None] = _nobody
        self.on_checkpointed: Callable[[Lease], None] = _nobody
        for key, raw in engine.range(LEASE_PREFIX, prefix_end(LEASE_PREFIX)):
            ttl, remaining = msgpack.unpackb(raw)
            lease_id = _signed(unsigned_id(LEASE_PREFIX, key))
            self._leases[lease_id] = Lease(lease_id, ttl, remaining)

    def __len__(self) -> int:
        return len(self._leases)

    def __contains__(self, lease_id: int) -> bool:
        return lease_id in self._leases

    @property
    def all(self) -> Mapping[int, Lease]:
        """Every lease by its ID, in the order of grants (of IDs for those that were there at open)."""
        return MappingProxyType(self._leases)

    def find(self, lease_id: int) -> Lease | None:
        """The lease, if there is one."""
        return self._leases.get(lease_id)

    def check(self, lease_id: int) -> None:
        """Raise LEASE_NOT_FOUND unless the lease is there, or none is meant."""
        if lease_id != NO_LEASE and lease_id not in self._leases:
            raise ApiError.of(ErrorKind.LEASE_NOT_FOUND)

    def grant(self, lease_id: int, ttl_seconds: int) -> Lease:
        """Grant a lease; its ID and the (raised) TTL were chosen before the request was proposed."""
        if lease_id == NO_LEASE:
            raise ApiError.of(ErrorKind.LEASE_NOT_FOUND)
        if ttl_seconds > TTL_SECONDS_MAX:
            raise ApiError.of(ErrorKind.LEASE_TTL_TOO_LARGE)
        if lease_id in self._leases:
            raise ApiError.of(ErrorKind.LEASE_EXIST)
        lease = self._leases[lease_id] = Lease(lease_id, ttl_seconds)
        self._store(lease)
        self.on_granted(lease)
        return lease

    def revoke(self, lease_id: int) -> list[bytes]:
        """Drop a lease; return its keys, sorted, for the caller to delete in one revision."""
        lease = self._leases.pop(lease_id, None)
        if lease is None:
            raise ApiError.of(ErrorKind.LEASE_NOT_FOUND)
        self._writes.delete(id_key(LEASE_PREFIX, lease_id))
        self.on_revoked(lease)
        return sorted(lease.keys)

    def listen_as(self, other: Leases) -> None:
        """Tell whom another state told, whose place this one takes."""
        self.on_granted, self.on_revoked, self.on_checkpointed = (
            other.on_granted,
            other.on_revoked,
            other.on_checkpointed,
        )

    def checkpoint(self, checkpoints: Iterable[m.LeaseCheckpoint]) -> None:
        """Record what is left of some leases; those that are gone by now are passed over."""
        for one in checkpoints:
            lease = self._leases.get(one.ID)
            if lease is not None:
                lease.remaining_ttl_seconds = one.remaining_TTL
                self._store(lease)
                self.on_checkpointed(lease)

    def attach(self, lease_id: int, key: bytes) -> None:
        """Hang a key on a lease that is there; a put with another is refused before it comes here."""
        self._leases[lease_id].keys[key] = None

    def detach(self, lease_id: int, key: bytes) -> None:
        """Take a key off its lease; one that is being revoked has let go of it already."""
        lease = self._leases.get(lease_id)
        if lease is not None:
            lease.keys.pop(key, None)

    def _store(self, lease: Lease) -> None:
        value = msgpack.packb((lease.ttl_seconds, lease.remaining_ttl_seconds))
        self._writes.put(id_key(LEASE_PREFIX, lease.id), value)

    def digest_parts(self) -> list[object]:
        """What all members must agree on, in an order they agree on."""
        ordered = sorted(self._leases.items())
        return [[one.id, one.ttl_seconds, one.remaining_ttl_seconds, sorted(one.keys)] for _, one in ordered]


def _nobody(_lease: Lease) -> None:
    """Nobody watches yet."""


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number
