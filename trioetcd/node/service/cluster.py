"""The Cluster service: who the members are, and changes of that."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.api.go_url import BadPeerUrls, normalise_peer_urls
from trioetcd.node.leader_calls import LeaderCalls
from trioetcd.node.promotion import Promotion
from trioetcd.node.protocols import PromotionForwarder
from trioetcd.node.reads import ReadLoop
from trioetcd.node.reconfig_check import ReconfigCheck
from trioetcd.node.reconfiguration import Reconfiguration
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.raft.types import ConfChangeType
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.members import Member, compute_member_id


class ClusterService:
    """Reads the membership that the log has built, and changes it through the log.

    Every change answers with the members as they are right after it. Changes have no deadline of their own, as in etcd:
    without a quorum they wait until their caller gives up, and may be made even then.
    """

    def __init__(
        self,
        *,
        machine: StateMachine,
        reads: ReadLoop,
        headers: Headers,
        gate: Gate,
        reconfiguration: Reconfiguration,
        check: ReconfigCheck,
        promotion: Promotion,
        leader_calls: LeaderCalls,
        forwarder: PromotionForwarder,
        wall_clock: Callable[[], float],
    ) -> None:
        self._machine = machine
        self._reads = reads
        self._headers = headers
        self._gate = gate
        self._reconfiguration = reconfiguration
        self._check = check
        self._promotion = promotion
        self._leader_calls = leader_calls
        self._forwarder = forwarder
        self._wall_clock = wall_clock

    async def member_list(self, request: m.MemberListRequest, context: CallContext) -> m.MemberListResponse:
        """List the members by ID; `linearizable` asks the leader first. The header has no revision."""
        self._gate.admit(context)
        if request.linearizable and not self._reads.may_read_now:
            await self._reads.wait_linearizable()
        members = self._machine.members.members()
        return m.MemberListResponse(header=self._headers.at(0), members=_messages(members))

    async def member_add(self, request: m.MemberAddRequest, context: CallContext) -> m.MemberAddResponse:
        """Let a member join; it is started afterwards, with the URLs that are told here. Its ID has the time in it."""
        self._gate.admit(context)
        urls = peer_urls_of(request)
        added = Member(
            id=compute_member_id(urls, "", int(self._wall_clock())), peer_urls=urls, is_learner=request.isLearner
        )
        kind = ConfChangeType.ADD_LEARNER_NODE if request.isLearner else ConfChangeType.ADD_NODE
        members = await self._reconfiguration.change(
            kind, added, admit=lambda: self._check.may_add(is_learner=request.isLearner)
        )
        return m.MemberAddResponse(header=self._headers.at(0), member=_message(added), members=_messages(members))

    async def member_remove(self, request: m.MemberRemoveRequest, context: CallContext) -> m.MemberRemoveResponse:
        """Remove a member for ever; it stops by itself, and its data is of no use any more."""
        self._gate.admit(context)
        members = await self._reconfiguration.change(
            ConfChangeType.REMOVE_NODE, Member(request.ID), admit=lambda: self._check.may_remove(request.ID)
        )
        return m.MemberRemoveResponse(header=self._headers.at(0), members=_messages(members))

    async def member_update(self, request: m.MemberUpdateRequest, context: CallContext) -> m.MemberUpdateResponse:
        """Give a member other peer URLs, which are taken as they are; the others connect to it there from then on."""
        self._gate.admit(context)
        moved = Member(request.ID, peer_urls=tuple(request.peerURLs))
        members = await self._reconfiguration.change(ConfChangeType.UPDATE_NODE, moved)
        return m.MemberUpdateResponse(header=self._headers.at(0), members=_messages(members))

    async def member_promote(self, request: m.MemberPromoteRequest, context: CallContext) -> m.MemberPromoteResponse:
        """Make a learner a voter once it has 90 % of the leader's log; the leader is asked, since it alone knows."""
        self._gate.admit(context)
        members = await self._leader_calls.ask(
            lambda: self._promotion.promote(request.ID),
            lambda leader: self._forwarder.promote(leader, request.ID),
        )
        return m.MemberPromoteResponse(header=self._headers.at(0), members=_messages(members))


def peer_urls_of(request: m.MemberAddRequest) -> tuple[str, ...]:
    """The URLs of the member that joins, as they will be told; raises MEMBER_BAD_URLS."""
    try:
        return normalise_peer_urls(request.peerURLs)
    except BadPeerUrls as error:
        raise ApiError.of(ErrorKind.MEMBER_BAD_URLS) from error


def _messages(members: Iterable[Member]) -> list[m.Member]:
    return [_message(member) for member in members]


def _message(member: Member) -> m.Member:
    return m.Member(
        ID=member.id,
        name=member.name,
        peerURLs=list(member.peer_urls),
        clientURLs=list(member.client_urls),
        isLearner=member.is_learner,
    )
