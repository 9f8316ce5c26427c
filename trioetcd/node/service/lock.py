"""The Lock service: mutual exclusion for those who hold a lease."""

from __future__ import annotations

from typing import Final

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code
from trioetcd.node.service.concurrency import Lines, told_as_unknown
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.kv import KvService

SESSION_EXPIRED: Final = (Code.UNKNOWN, "mutex: session is expired")
"""The key was gone when the turn came: its lease had ended, or someone deleted it."""


class LockService:
    """Who wants a lock has a key in a line (`concurrency`); the first one's owner holds it while the key is there."""

    def __init__(self, *, lines: Lines, kv: KvService, gate: Gate) -> None:
        self._lines = lines
        self._kv = kv
        self._gate = gate

    async def lock(self, request: m.LockRequest, context: CallContext) -> m.LockResponse:
        """Wait for the lock of a name; who asks again with the lease that holds it is answered at once.

        Success means that the key was there, first in line, at the revision of the header. A call that is cancelled or
        fails while it waits takes its key out of the line. Whoever acts on the lock guards that with its key, since
        the lease may end at any time after.
        """
        self._gate.admit(context)
        with told_as_unknown():
            context = self._lines.context_to_wait(context)
            lease = await self._lines.session(request.lease, context)
            place, header, is_first, _ = await self._lines.enter(request.name, lease, b"", context)
            if is_first:
                return m.LockResponse(header=header, key=place.key)
            try:
                seen = await self._lines.wait_turn(place, context)
            except (trio.Cancelled, ApiError):
                await self._lines.leave(place, context)
                raise
        if seen is None:
            raise ApiError(*SESSION_EXPIRED)
        return m.LockResponse(header=seen, key=place.key)

    async def unlock(self, request: m.UnlockRequest, context: CallContext) -> m.UnlockResponse:
        """Delete the key of a lock; one that is not there is as good as unlocked."""
        self._gate.admit(context)
        with told_as_unknown():
            response = await self._kv.delete_range(m.DeleteRangeRequest(key=request.key), context)
        return m.UnlockResponse(header=response.header)
