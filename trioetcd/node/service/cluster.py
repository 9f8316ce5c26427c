"""The Cluster service: who the members are."""

from __future__ import annotations

from trioetcd.api import messages as m
from trioetcd.node.reads import ReadLoop
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.storage.machine import StateMachine


class ClusterService:
    """Reads the membership that the log has built."""

    def __init__(self, *, machine: StateMachine, reads: ReadLoop, headers: Headers, gate: Gate) -> None:
        self._machine = machine
        self._reads = reads
        self._headers = headers
        self._gate = gate

    async def member_list(self, request: m.MemberListRequest, context: CallContext) -> m.MemberListResponse:
        """List the members by ID; `linearizable` asks the leader first. The header has no revision."""
        self._gate.admit(context)
        if request.linearizable and not self._reads.may_read_now:
            await self._reads.wait_linearizable()
        members = [
            m.Member(
                ID=one.id,
                name=one.name,
                peerURLs=list(one.peer_urls),
                clientURLs=list(one.client_urls),
                isLearner=one.is_learner,
            )
            for one in self._machine.members.members()
        ]
        return m.MemberListResponse(header=self._headers.at(0), members=members)
