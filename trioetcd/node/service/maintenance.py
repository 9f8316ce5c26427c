"""The Maintenance service: how the member is, and what its state hashes to."""

from __future__ import annotations

from typing import Protocol

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ErrorKind
from trioetcd.config.version import SERVER_VERSION
from trioetcd.node.driver import DriverStatus
from trioetcd.node.leadership import Leadership
from trioetcd.node.membership import MembershipView
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.mvcc.hash import HashKv, KvHasher


class DriverView(Protocol):
    """Where the log stands."""

    def status(self) -> DriverStatus:
        """The log's position."""
        ...


class MaintenanceService:
    """Answers from what this member knows; nothing here goes through the log."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        driver: DriverView,
        leadership: Leadership,
        membership: MembershipView,
        headers: Headers,
        gate: Gate,
    ) -> None:
        self._machine = machine
        self._driver = driver
        self._leadership = leadership
        self._membership = membership
        self._headers = headers
        self._gate = gate

    async def status(self, _: m.StatusRequest, context: CallContext) -> m.StatusResponse:
        """Tell versions, sizes, leader and log position; served without a leader and by learners."""
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
            errors=[] if self._leadership.has_leader else [ErrorKind.NO_LEADER.value[1]],
            dbSizeInUse=size_bytes,
            isLearner=self._membership.is_learner,
        )

    async def hash_kv(self, request: m.HashKVRequest, context: CallContext) -> m.HashKVResponse:
        """Hash the keys as of a revision, 0 being now; equal on all members, and to etcd's own for the same history."""
        self._gate.admit(context)
        result = await self._hash_in_slices(request.revision)
        return m.HashKVResponse(
            header=self._headers.current(), hash=result.hash, compact_revision=result.compact_revision
        )

    async def _hash_in_slices(self, revision: int) -> HashKv:
        """Hash with checkpoints in between; begin anew when a snapshot replaced the state meanwhile."""
        while True:
            store = self._machine.store
            hasher = KvHasher(store, revision)
            while hasher.step():
                await trio.lowlevel.checkpoint()
                if self._machine.store is not store:
                    break
            else:
                return hasher.result()
