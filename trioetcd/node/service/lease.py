"""The Lease service: grants and revocations go through the log, the time of leases is asked of the leader."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import cast

from trioetcd.api import messages as m
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.leader_calls import LeaderCalls
from trioetcd.node.lease_primary import LeasePrimary
from trioetcd.node.lessor import Lessor
from trioetcd.node.maintenance.quota import Quota
from trioetcd.node.proposals import Proposals
from trioetcd.node.protocols import LeaseForwarder
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.node.upkeep.leaderless import LeaderlessStreams


class LeaseService:
    """Serves leases on every member; on one that does not lead, what is about time is passed on to the leader."""

    def __init__(
        self,
        *,
        proposals: Proposals,
        headers: Headers,
        gate: Gate,
        authenticator: Authenticator,
        random: Random,
        ttl_seconds_min: int,
        quota: Quota,
        leader_calls: LeaderCalls,
        lessor: Lessor,
        primary: LeasePrimary,
        forwarder: LeaseForwarder,
        leaderless: LeaderlessStreams,
    ) -> None:
        self._proposals = proposals
        self._headers = headers
        self._gate = gate
        self._authenticator = authenticator
        self._random = random
        self._ttl_seconds_min = ttl_seconds_min
        self._quota = quota
        self._leader_calls = leader_calls
        self._lessor = lessor
        self._primary = primary
        self._forwarder = forwarder
        self._leaderless = leaderless

    async def lease_grant(self, request: m.LeaseGrantRequest, context: CallContext) -> m.LeaseGrantResponse:
        """Grant a lease; ID 0 lets the member choose one. A time to live below the minimum is raised to it."""
        self._gate.admit(context)
        if self._quota.is_tight:
            await self._quota.admit(request)
        granted = m.LeaseGrantRequest(
            TTL=max(request.TTL, self._ttl_seconds_min), ID=request.ID or self._random.getrandbits(63) or 1
        )
        response = cast(
            "m.LeaseGrantResponse", await self._proposals.submit(self._authenticator.request(granted, context))
        )
        self._headers.complete(response.header)
        return response

    async def lease_revoke(self, request: m.LeaseRevokeRequest, context: CallContext) -> m.LeaseRevokeResponse:
        """Revoke a lease and delete its keys, in one revision."""
        self._gate.admit(context)
        response = cast(
            "m.LeaseRevokeResponse", await self._proposals.submit(self._authenticator.request(request, context))
        )
        self._headers.complete(response.header)
        return response

    async def lease_keep_alive(
        self, request: m.LeaseKeepAliveRequest, context: CallContext
    ) -> m.LeaseKeepAliveResponse:
        """Let a lease begin its TTL anew, and tell it; TTL 0: there is no such lease (any more).

        Success means that the lease was there after the request had come, at the revision of the header or later.
        """
        self._gate.admit(context)
        header = self._headers.current()
        ttl = self._primary.keep_alive_now(request.ID)
        if ttl is None:
            ttl = await self._leader_calls.ask(
                lambda: self._primary.keep_alive(request.ID),
                lambda leader: self._forwarder.keep_alive(leader, request.ID),
            )
        return m.LeaseKeepAliveResponse(header=header, ID=request.ID, TTL=ttl)

    def following(self, context: CallContext, end: Callable[[], None]) -> AbstractContextManager[None]:
        """Have `end` called, within the block of a stream that asked for a leader, once it has to end."""
        return self._leaderless.following(end) if context.require_leader else nullcontext()

    async def lease_time_to_live(
        self, request: m.LeaseTimeToLiveRequest, context: CallContext
    ) -> m.LeaseTimeToLiveResponse:
        """Tell what is left of a lease, and with `keys` what hangs on it; TTL -1: there is no such lease."""
        self._gate.admit(context)
        response = await self._leader_calls.ask(
            lambda: self._primary.time_to_live(request),
            lambda leader: self._forwarder.time_to_live(leader, request),
        )
        for key in response.keys:  # the leader may know of more than this member had when it let the call in
            self._authenticator.check(context, m.RangeRequest(key=key))
        response.header = self._headers.current()
        return response

    async def lease_leases(self, request: m.LeaseLeasesRequest, context: CallContext) -> m.LeaseLeasesResponse:
        """List the leases of this member's state; on the leader, what expires first is first."""
        self._gate.admit(context)
        self._authenticator.check(context, request)
        leases = [m.LeaseStatus(ID=one) for one in self._lessor.lease_ids()]
        return m.LeaseLeasesResponse(header=self._headers.current(), leases=leases)
