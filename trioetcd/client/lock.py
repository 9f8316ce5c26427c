"""Locks: a block that one of many runs at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from trioetcd.api import messages as m
from trioetcd.client.lease import Lease
from trioetcd.client.line import Line, Place


class Lock:
    """A lock that is held. `revision` grows from holder to holder, so that what it guards can refuse older ones."""

    def __init__(self, *, place: Place, lease: Lease) -> None:
        self._place = place
        self.lease = lease

    @property
    def key(self) -> bytes:
        """The key that stands for the lock while it is held."""
        return self._place.key

    @property
    def revision(self) -> int:
        """The revision that created the key."""
        return self._place.revision

    @property
    def guard(self) -> m.Compare:
        """That the lock is still held: a compare for transactions that are to fail otherwise."""
        return self._place.guard

    def __repr__(self) -> str:
        return f"<Lock {self.key!r} of revision {self.revision}>"


@asynccontextmanager
async def open_lock(*, line: Line, lease: AbstractAsyncContextManager[Lease]) -> AsyncIterator[Lock]:
    """Hold a lock during the block, on a lease that is kept alive for as long."""
    async with lease as kept:
        yield Lock(place=await line.take_turn(kept.id, b""), lease=kept)
