"""What only the leader can say of leases: that one lives on, and how long it has to live.

A leader answers when it is sure that it leads and has applied all that was acknowledged before it was asked
(ReadIndex). One that was deposed without knowing would keep alive what its successor revokes (etcd issues 15247,
14758). Who is not sure waits; who does not lead says so, and the asker tries the next leader.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.leader_calls import NotPrimary
from trioetcd.node.lessor import Lessor, Timer
from trioetcd.node.proposals import Proposals
from trioetcd.node.reads import ReadLoop
from trioetcd.storage.internal_ops import LeasesRemaining
from trioetcd.storage.requests import RaftRequest

ASK_ALONE: Final = -1
"""In place of a TTL: the answer to this one takes its time, ask for it by itself."""


class LeasePrimary:
    """Answers for the leader, to this member's own clients and to other members."""

    def __init__(self, *, lessor: Lessor, reads: ReadLoop, proposals: Proposals) -> None:
        self._lessor = lessor
        self._reads = reads
        self._proposals = proposals

    async def keep_alive(self, lease_id: int) -> int:
        """Let a lease begin its TTL anew; return that in seconds, 0 when there is no such lease.

        Waits for the end of one that has expired: it is not to be had back. Raises `NotPrimary`, and `ApiError` when
        a checkpoint of the lease could not be cleared.
        """
        term = await self._confirmed_term()
        lessor = self._lessor
        while True:
            if lessor.term != term:
                raise NotPrimary("leadership was lost meanwhile")
            timer = lessor.find(lease_id)
            if timer is None:
                return 0
            if lessor.is_expired(timer):
                await lessor.wait_gone(timer)
            elif timer.checkpointed:
                await self._clear(timer, term)
            else:
                return lessor.renew(timer)

    def keep_alive_now(self, lease_id: int) -> int | None:
        """As `keep_alive`, when that would not wait; None when it would, or when this member does not lead."""
        if self._lessor.term is None or not self._reads.may_read_now:
            return None
        ttl = self._renew_now(lease_id)
        return None if ttl == ASK_ALONE else ttl

    async def keep_alive_many(self, lease_ids: Sequence[int]) -> list[int]:
        """As `keep_alive` of each, but nothing is waited for beyond being sure to lead: those that need it get -1.

        Raises `NotPrimary`.
        """
        await self._confirmed_term()
        return [self._renew_now(lease_id) for lease_id in lease_ids]

    def _renew_now(self, lease_id: int) -> int:
        timer = self._lessor.find(lease_id)
        if timer is None:
            return 0
        if timer.checkpointed or self._lessor.is_expired(timer):
            return ASK_ALONE
        return self._lessor.renew(timer)

    async def time_to_live(self, request: m.LeaseTimeToLiveRequest) -> m.LeaseTimeToLiveResponse:
        """What is left of a lease, and its keys if they are asked for; TTL -1 when there is none. Without a header.

        Raises `NotPrimary`.
        """
        await self._confirmed_term()
        timer = self._lessor.find(request.ID)
        if timer is None:
            return m.LeaseTimeToLiveResponse(ID=request.ID, TTL=-1)
        return m.LeaseTimeToLiveResponse(
            ID=request.ID,
            TTL=int(self._lessor.remaining_seconds(timer)),
            grantedTTL=timer.lease.ttl_seconds,
            keys=sorted(timer.lease.keys) if request.keys else [],
        )

    async def _confirmed_term(self) -> int:
        """The term in which this member leads beyond doubt, with everything applied that any leader acknowledged."""
        term = self._lessor.term
        if term is None:
            raise NotPrimary("another member leads, or none")
        if not self._reads.may_read_now:
            try:
                await self._reads.wait_linearizable()
            except ApiError as error:
                raise NotPrimary(f"leadership was not confirmed: {error.message}") from error
        # A read that another leader answered makes no primary: then this member has heard of that one by now.
        if self._lessor.term != term:
            raise NotPrimary("leadership was lost meanwhile")
        return term

    async def _clear(self, timer: Timer, term: int) -> None:
        """Take back, through the log, what a checkpoint says is left: the next leader must not end the lease by it.

        The log keeps the order of what is proposed here, so this comes after every checkpoint that was taken; no
        other is taken meanwhile.
        """
        cleared = m.LeaseCheckpoint(ID=timer.lease.id, remaining_TTL=0)
        timer.clearing += 1
        try:
            await self._proposals.submit(RaftRequest(LeasesRemaining(term=term, checkpoints=[cleared])))
        except ApiError as error:
            if error == ApiError.of(ErrorKind.NOT_LEADER):
                raise NotPrimary("leadership was lost meanwhile") from error
            raise
        finally:
            timer.clearing -= 1
        timer.checkpointed = False
