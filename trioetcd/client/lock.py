"""Locks: a block that one of many runs at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from trioetcd.client.lease import Lease
from trioetcd.client.line import Line, Turn


class Lock(Turn):
    """A lock that is held. `revision` grows from holder to holder, so that what it guards can refuse older ones."""

    def __repr__(self) -> str:
        return f"<Lock {self.key!r} of revision {self.revision}>"


@asynccontextmanager
async def open_lock(*, line: Line, lease: AbstractAsyncContextManager[Lease]) -> AsyncIterator[Lock]:
    """Hold a lock during the block, on a lease that is kept alive for as long."""
    async with lease as kept:
        yield Lock(place=await line.take_turn(kept.id, b""), lease=kept)
