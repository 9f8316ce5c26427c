"""A lease that lives as long as a block: a task beside the block keeps it alive, and ends the block if it cannot.

    ends at     when the lease may have ended on the server, by this clock: the moment before the last request that was
                answered was sent, and the time to live that the answer told. A server never counts a lease shorter.

So the block is cancelled before anyone else can be granted what the lease stood for, also when every server is away.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Final

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import Code
from trioetcd.client.backoff import Backoff
from trioetcd.client.channel import Channel
from trioetcd.client.errors import DeadlineExceeded, EtcdError, LeaseLost, ProtocolError, Unavailable, error_of
from trioetcd.client.wire import KeepAliveLine

REVOKE_SECONDS: Final = 2.0
"""How long the end of a block may take to revoke its lease, also when it is cancelled."""

_ATTEMPTS: Final = 6  # requests a time to live, when none is answered
_GRANT_PATH: Final = "/v3/lease/grant"
_REVOKE_PATH: Final = "/v3/lease/revoke"
_KEEP_ALIVE_PATH: Final = "/v3/lease/keepalive"


class Lease:
    """A lease that is kept alive. `lost` is set when it is gone; the block of `Client.lease` is cancelled then."""

    def __init__(self, *, channel: Channel, lease_id: int, ttl_seconds: int, granted_at: float) -> None:
        self.id = lease_id
        self.ttl_seconds = ttl_seconds
        self.lost = trio.Event()
        self._channel = channel
        self._life = trio.CancelScope(deadline=granted_at + ttl_seconds)

    def __repr__(self) -> str:
        return f"<Lease {self.id:x}, {self.ttl_seconds} s{', lost' if self.lost.is_set() else ''}>"

    async def keep(self, block: trio.CancelScope) -> None:
        """Keep the lease alive until cancelled; raises nothing. When it is gone: set `lost`, and cancel `block`."""
        with self._life:
            while await self._renew():
                pass
        self.lost.set()
        block.cancel()

    async def _renew(self) -> bool:
        """Renew the lease when a third of its time is over; False when the server has no such lease."""
        await trio.sleep(self.ttl_seconds / 3)
        attempt_seconds = self.ttl_seconds / _ATTEMPTS
        while True:
            sent_at = trio.current_time()
            with trio.move_on_after(attempt_seconds), suppress(EtcdError):
                ttl_seconds = (await keep_alive(self._channel, self.id)).TTL
                self._life.deadline = sent_at + ttl_seconds
                return ttl_seconds > 0
            self._channel.prefer_next()
            await trio.sleep_until(sent_at + attempt_seconds)


async def keep_alive(channel: Channel, lease_id: int) -> m.LeaseKeepAliveResponse:
    """Let a lease begin its time to live anew; `TTL` is 0 when there is no such lease."""
    request = m.LeaseKeepAliveRequest(ID=lease_id)
    line = await channel.call(request, KeepAliveLine, _KEEP_ALIVE_PATH, repeatable=True)
    if line.error is not None:
        raise error_of(line.error.grpc_code, line.error.message)
    if line.result is None:
        raise ProtocolError(Code.UNKNOWN, "the answer to a keep-alive is empty")
    return line.result


@asynccontextmanager
async def open_lease(*, channel: Channel, grant: m.LeaseGrantRequest, random: Random) -> AsyncIterator[Lease]:
    """Grant a lease, keep it alive during the block, and revoke it at its end."""
    granted_at = trio.current_time()
    may_repeat = grant.ID == 0  # one that was granted unheard ends by itself; of a given ID it would be in the way
    granted = await channel.call(grant, m.LeaseGrantResponse, _GRANT_PATH, repeatable=may_repeat)
    lease = Lease(channel=channel, lease_id=granted.ID, ttl_seconds=granted.TTL, granted_at=granted_at)
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lease.keep, nursery.cancel_scope)
            yield lease
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error = _of_the_block(group)
    finally:
        if not lease.lost.is_set():
            await _revoke(channel, lease.id, random)
    if error is not None:
        raise error
    if lease.lost.is_set():
        raise LeaseLost(f"the lease {lease.id:x} ended, or could not be kept alive for its {lease.ttl_seconds} s")


async def _revoke(channel: Channel, lease_id: int, random: Random) -> None:
    """Revoke a lease as far as that goes in a moment. What is left of it ends by itself."""
    backoff = Backoff(random)
    request = m.LeaseRevokeRequest(ID=lease_id)
    with trio.move_on_after(REVOKE_SECONDS, shield=True), suppress(EtcdError):
        while True:
            with suppress(Unavailable, DeadlineExceeded):
                await channel.call(request, m.LeaseRevokeResponse, _REVOKE_PATH, repeatable=False)
                return
            await trio.sleep(backoff.next_seconds())


def _of_the_block(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What the block raised: the task beside it raises nothing, and a cancellation from outside is one for both."""
    errors = [error for error in group.exceptions if not isinstance(error, trio.Cancelled)]
    return (errors or group.exceptions)[0]
