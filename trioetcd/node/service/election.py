"""The Election service: one of many is the leader, tells a value, and can be observed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.node.service.concurrency import Lines, Place, created_at, first_in, header_of, told_as_unknown
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.node.service.kv import KvService
from trioetcd.node.service.observation import observe_line

NOT_LEADER: Final = (Code.UNKNOWN, "election: not leader")
NO_LEADER: Final = (Code.UNKNOWN, "election: no leader")
MISSING_LEADER_KEY: Final = (Code.UNKNOWN, '"leader" field must be provided')


class ElectionService:
    """Candidates are keys in a line (`concurrency`); the first one's owner leads, and proclaims by its value."""

    def __init__(self, *, lines: Lines, kv: KvService, headers: Headers, gate: Gate) -> None:
        self._lines = lines
        self._kv = kv
        self._headers = headers
        self._gate = gate

    async def campaign(self, request: m.CampaignRequest, context: CallContext) -> m.CampaignResponse:
        """Wait to be elected; the header is that of the candidacy, as etcd's.

        Who campaigns again with the same lease keeps the place and proclaims the new value. A call that is cancelled
        or fails while it waits takes its candidacy back.
        """
        self._gate.admit(context)
        with told_as_unknown():
            context = self._lines.context_to_wait(context)
            lease = await self._lines.session(request.lease, context)
            place, header, is_first, kv = await self._lines.enter(request.name, lease, request.value, context)
            try:
                if kv is not None and kv.value != request.value:
                    await self._proclaim(place.key, place.revision, lease, request.value, context)
                is_there = is_first or await self._lines.wait_turn(place, context) is not None
            except (trio.Cancelled, ApiError):
                await self._lines.leave(place, context)
                raise
        if not is_there:
            raise ApiError(*NOT_LEADER)
        return m.CampaignResponse(header=header, leader=_leader_key(request.name, place))

    async def proclaim(self, request: m.ProclaimRequest, context: CallContext) -> m.ProclaimResponse:
        """Change the value of a leader (or of a candidate: the key decides, not the place in the line)."""
        self._gate.admit(context)
        leader = _given(request.leader)
        with told_as_unknown():
            lease = await self._lines.session(leader.lease, context)
            header = await self._proclaim(leader.key, leader.rev, lease, request.value, context)
        return m.ProclaimResponse(header=header)

    async def leader(self, request: m.LeaderRequest, context: CallContext) -> m.LeaderResponse:
        """Who leads now, and what it has proclaimed."""
        self._gate.admit(context)
        with told_as_unknown():
            found = await self._kv.range(first_in(request.name + b"/"), context)
        if not found.kvs:
            raise ApiError(*NO_LEADER)
        return m.LeaderResponse(header=found.header, kv=found.kvs[0])

    async def resign(self, request: m.ResignRequest, context: CallContext) -> m.ResignResponse:
        """Give a leadership or candidacy up; one that is no more is given up already."""
        self._gate.admit(context)
        leader = _given(request.leader)
        with told_as_unknown():
            await self._lines.session(leader.lease, context)  # of no use here, but leases that are there can be seen
            header = await self._lines.delete(leader.key, leader.rev, context)
        return m.ResignResponse(header=header)

    async def observe(self, request: m.LeaderRequest, context: CallContext) -> AsyncGenerator[m.LeaderResponse, None]:
        """Every leader and everything it proclaims, in order, beginning with the present one; never ends by itself.

        Leaders are left out only where history is compacted before it could be told. It ends where it cannot go on.
        """
        self._gate.admit(context)
        try:
            async with aclosing(observe_line(self._lines, self._kv, request.name + b"/", context)) as leaders:
                async for revision, kv in leaders:
                    yield m.LeaderResponse(header=self._headers.at(revision), kv=kv)
        except ApiError as error:
            # etcd ends the stream without a word, also where a permission is missing; but for a leader of the cluster,
            # for who asked that there be one.
            if error == ApiError.of(ErrorKind.NO_LEADER):
                raise

    async def _proclaim(
        self, key: bytes, revision: int, lease: int, value: bytes, context: CallContext
    ) -> m.ResponseHeader:
        put = m.RequestOp(request_put=m.PutRequest(key=key, value=value, lease=lease))
        response = await self._kv.txn(m.TxnRequest(compare=[created_at(key, revision)], success=[put]), context)
        if not response.succeeded:
            raise ApiError(*NOT_LEADER)
        return header_of(response)


def _given(leader: m.LeaderKey | None) -> m.LeaderKey:
    if leader is None:
        raise ApiError(*MISSING_LEADER_KEY)
    return leader


def _leader_key(name: bytes, place: Place) -> m.LeaderKey:
    return m.LeaderKey(name=name, key=place.key, rev=place.revision, lease=place.lease)
