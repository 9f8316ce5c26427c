"""The Lease service as far as it is built: grant and revoke. Expiry, keep-alive and the rest are refused by name."""

from __future__ import annotations

from random import Random
from typing import Final, cast

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.proposals import Proposals
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.storage.requests import RaftRequest

TTL_SECONDS_MAX: Final = 9_000_000_000


class LeaseService:
    """Grants and revokes leases through the log."""

    def __init__(
        self, *, proposals: Proposals, headers: Headers, gate: Gate, random: Random, ttl_seconds_min: int
    ) -> None:
        self._proposals = proposals
        self._headers = headers
        self._gate = gate
        self._random = random
        self._ttl_seconds_min = ttl_seconds_min

    async def lease_grant(self, request: m.LeaseGrantRequest, context: CallContext) -> m.LeaseGrantResponse:
        """Grant a lease; ID 0 lets the member choose one. A time to live below the minimum is raised to it."""
        self._gate.admit(context)
        if request.TTL > TTL_SECONDS_MAX:
            raise ApiError.of(ErrorKind.LEASE_TTL_TOO_LARGE)
        granted = m.LeaseGrantRequest(
            TTL=max(request.TTL, self._ttl_seconds_min), ID=request.ID or self._random.getrandbits(63) or 1
        )
        response = cast("m.LeaseGrantResponse", await self._proposals.submit(RaftRequest(granted)))
        self._headers.complete(response.header)
        return response

    async def lease_revoke(self, request: m.LeaseRevokeRequest, context: CallContext) -> m.LeaseRevokeResponse:
        """Revoke a lease and delete its keys, in one revision."""
        self._gate.admit(context)
        response = cast("m.LeaseRevokeResponse", await self._proposals.submit(RaftRequest(request)))
        self._headers.complete(response.header)
        return response
