"""The Maintenance service: how the member is, alarms, defragmentation, hashes, snapshots, leadership, downgrades."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Protocol, cast

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.config.version import SERVER_VERSION
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.driver import DriverStatus
from trioetcd.node.leadership import Leadership
from trioetcd.node.maintenance.defragment import Defragmenter
from trioetcd.node.maintenance.downgrade import Downgrades
from trioetcd.node.maintenance.hashing import hash_keys, hash_state
from trioetcd.node.maintenance.leader_transfer import LeaderTransfer
from trioetcd.node.maintenance.snapshot_stream import snapshot_blobs
from trioetcd.node.membership import MembershipView
from trioetcd.node.proposals import Proposals
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.storage.engine import EngineClosed
from trioetcd.storage.machine import StateMachine

_ACTIONS: Final = frozenset(int(action) for action in m.AlarmAction)
_ALARMS: Final = frozenset(int(alarm) for alarm in m.AlarmType)


class DriverView(Protocol):
    """Where the log stands."""

    def status(self) -> DriverStatus:
        """The log's position."""
        ...


class MaintenanceService:
    """Alarms and downgrades go through the log; the rest is about this member."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        driver: DriverView,
        leadership: Leadership,
        membership: MembershipView,
        proposals: Proposals,
        headers: Headers,
        gate: Gate,
        authenticator: Authenticator,
        defragmenter: Defragmenter,
        leader_transfer: LeaderTransfer,
        downgrades: Downgrades,
    ) -> None:
        self._machine = machine
        self._driver = driver
        self._leadership = leadership
        self._membership = membership
        self._proposals = proposals
        self._headers = headers
        self._gate = gate
        self._authenticator = authenticator
        self._defragmenter = defragmenter
        self._leader_transfer = leader_transfer
        self._downgrades = downgrades

    async def status(self, _: m.StatusRequest, context: CallContext) -> m.StatusResponse:
        """Tell versions, sizes, leader, alarms and log position; served without a leader and by learners."""
        self._gate.admit(context, learner_serves=True)
        driver = self._driver.status()
        size_bytes = self._machine.size_bytes()
        return m.StatusResponse(
            header=self._headers.current(),
            version=SERVER_VERSION,
            dbSize=size_bytes,
            leader=self._leadership.lead,
            raftIndex=driver.commit,
            raftTerm=self._leadership.term,
            raftAppliedIndex=self._machine.applied.index,
            errors=self._errors(),
            dbSizeInUse=size_bytes,
            isLearner=self._membership.is_learner,
        )

    def _errors(self) -> list[str]:
        """What is wrong, in etcd's words: no leader; then the alarms as protobuf writes them."""
        missing = [] if self._leadership.has_leader else [ErrorKind.NO_LEADER.value[1]]
        return missing + [_text_of(alarm) for alarm in self._machine.alarms.get()]

    async def alarm(self, request: m.AlarmRequest, context: CallContext) -> m.AlarmResponse:
        """List alarms, raise one, or take one back; all of it through the log, as by etcd."""
        self._gate.admit(context)
        if request.action not in _ACTIONS:
            raise ApiError(Code.INVALID_ARGUMENT, f"etcdserver: unknown alarm action {request.action}")
        if request.action == m.AlarmAction.ACTIVATE and request.alarm not in _ALARMS:
            raise ApiError(Code.INVALID_ARGUMENT, f"etcdserver: unknown alarm {request.alarm}")
        response = cast("m.AlarmResponse", await self._proposals.submit(self._authenticator.request(request, context)))
        self._headers.complete(response.header)
        return response

    async def defragment(self, _: m.DefragmentRequest, context: CallContext) -> m.DefragmentResponse:
        """Give back the room that the database does not need, while requests go on. The answer has no header."""
        self._gate.admit(context)
        await self._defragmenter.defragment()
        return m.DefragmentResponse()

    async def hash(self, _: m.HashRequest, context: CallContext) -> m.HashResponse:
        """Hash everything replicated; equal on all members that have applied the same."""
        self._gate.admit(context)
        result = await hash_state(self._machine)
        return m.HashResponse(header=self._headers.current(), hash=result)

    async def hash_kv(self, request: m.HashKVRequest, context: CallContext) -> m.HashKVResponse:
        """Hash the keys as of a revision, 0 being now; equal on all members, and to etcd's own for the same history."""
        self._gate.admit(context)
        result = await hash_keys(self._machine, request.revision)
        return m.HashKVResponse(
            header=self._headers.current(), hash=result.hash, compact_revision=result.compact_revision
        )

    async def snapshot(self, _: m.SnapshotRequest, context: CallContext) -> AsyncGenerator[m.SnapshotResponse, None]:
        """Iterate over the state as of now, for a file that a cluster can be made from; learners have it too."""
        self._gate.admit(context, learner_serves=True)
        view = self._machine.engine.view()
        with view:
            try:
                async with aclosing(snapshot_blobs(view)) as blobs:
                    async for blob in blobs:
                        yield blob
            except EngineClosed as error:
                raise ApiError(
                    Code.UNAVAILABLE, "etcdserver: the state was replaced by the leader's meanwhile: ask again"
                ) from error

    async def move_leader(self, request: m.MoveLeaderRequest, context: CallContext) -> m.MoveLeaderResponse:
        """Hand leadership to another member; to be asked of the leader. The answer has no header."""
        self._gate.admit(context)
        await self._leader_transfer.transfer(request.targetID)
        return m.MoveLeaderResponse()

    async def downgrade(self, request: m.DowngradeRequest, context: CallContext) -> m.DowngradeResponse:
        """Ask whether the cluster can go back to the version before, say that it does, or that it does not."""
        self._gate.admit(context)
        if request.action == m.DowngradeAction.VALIDATE:
            version = await self._downgrades.validate(request.version)
        elif request.action == m.DowngradeAction.ENABLE:
            version = await self._downgrades.enable(request.version)
        elif request.action == m.DowngradeAction.CANCEL:
            version = await self._downgrades.cancel()
        else:
            raise ApiError(Code.UNKNOWN, "etcdserver: unknown method")
        return m.DowngradeResponse(header=self._headers.current(), version=version)


def _text_of(alarm: m.AlarmMember) -> str:
    member = f"memberID:{alarm.memberID} " if alarm.memberID else ""
    return f"{member}alarm:{m.AlarmType(alarm.alarm).name} "
