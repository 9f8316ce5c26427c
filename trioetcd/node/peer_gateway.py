"""What the peers' side asks of this member, answered from its parts: a `RaftHandler` of `trioetcd.peer`."""

from __future__ import annotations

from collections.abc import Sequence

from trioetcd.api import messages as m
from trioetcd.log import Logger
from trioetcd.node.driver import RaftDriver
from trioetcd.node.gone_leader import GoneLeader
from trioetcd.node.lease_primary import LeasePrimary
from trioetcd.node.maintenance.downgrade import Downgrades
from trioetcd.node.maintenance.hashing import hash_keys
from trioetcd.node.membership import MembershipView
from trioetcd.node.promotion import Promotion
from trioetcd.node.snapshotting import OutgoingSnapshot, Snapshotter
from trioetcd.raft.types import Message
from trioetcd.storage.engine_folder import Receiver
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.members import Member


class PeerGateway:
    """The way in for peers.

    The transport needs it, the driver needs the transport, and it needs the driver: so it is made first, and
    `attach` closes the circle before any of them runs.
    """

    def __init__(self, *, machine: StateMachine, log: Logger) -> None:
        self._machine = machine
        self._log = log

    def attach(
        self,
        *,
        driver: RaftDriver,
        gone_leader: GoneLeader,
        snapshotter: Snapshotter,
        membership: MembershipView,
        downgrades: Downgrades,
        lease_primary: LeasePrimary,
        promotion: Promotion,
    ) -> None:
        """Take the parts that calls are passed on to."""
        self._driver = driver
        self._gone_leader = gone_leader
        self._snapshotter = snapshotter
        self._membership = membership
        self._downgrades = downgrades
        self._lease_primary = lease_primary
        self._promotion = promotion

    def process(self, messages: Sequence[Message]) -> None:
        """Step the core with messages that passed the checks."""
        self._driver.step(messages)

    def report_unreachable(self, member_id: int) -> None:
        """Messages to this peer were lost."""
        self._driver.report_unreachable(member_id)

    def report_gone(self, member_id: int) -> None:
        """A peer's process is gone."""
        self._gone_leader.note(member_id)

    def report_snapshot(self, member_id: int, *, ok: bool) -> None:
        """A snapshot to this peer was taken, or was not."""
        self._driver.report_snapshot(member_id, ok)

    def is_removed(self, member_id: int) -> bool:
        """Whether this id belonged to a member that was removed."""
        return self._machine.members.is_removed(member_id)

    def knows(self, member_id: int) -> bool:
        """Whether this id belongs to a member, or to one of the first members while the log has not named any."""
        return self._membership.knows(member_id)

    def removed_by(self, member_id: int) -> None:
        """A peer says that this member was removed; the log will say so too, if it can still be had."""
        self._log.warning("a peer says that this member was removed from the cluster", peer_id=f"{member_id:x}")
        self._membership.removed.set()

    def open_snapshot(self, message: Message) -> OutgoingSnapshot:
        """A view of the state as it is now."""
        return self._snapshotter.open_outgoing(message)

    def receive_snapshot(self, message: Message) -> Receiver:
        """A place for the state that follows a SNAP message."""
        return self._snapshotter.open_incoming(message)

    def list_members(self) -> Sequence[Member]:
        """The membership as this member knows it."""
        return self._machine.members.members()

    async def promote_member(self, member_id: int) -> tuple[Member, ...]:
        """Make a learner a voter as the leader. Raises `NotPrimary`, `ApiError`."""
        return await self._promotion.promote(member_id)

    async def hash_kv(self, revision: int) -> m.HashKVResponse:
        """The hash of the store as of a revision; raises `ApiError`."""
        found = await hash_keys(self._machine, revision)
        header = m.ResponseHeader(revision=self._machine.store.revision)
        return m.HashKVResponse(header=header, hash=found.hash, compact_revision=found.compact_revision)

    async def is_downgrade_enabled(self) -> bool:
        """Whether the cluster is going back to an earlier version; raises `ApiError`."""
        return await self._downgrades.is_enabled()

    async def lease_keep_alive(self, lease_id: int) -> int:
        """Keep a lease alive as the leader; its TTL in seconds, 0: there is none. Raises `NotPrimary`, `ApiError`."""
        return await self._lease_primary.keep_alive(lease_id)

    async def lease_keep_alive_many(self, lease_ids: Sequence[int]) -> list[int]:
        """Keep many alive as the leader; -1 for those that have to be asked for alone. Raises `NotPrimary`."""
        return await self._lease_primary.keep_alive_many(lease_ids)

    async def lease_time_to_live(self, request: m.LeaseTimeToLiveRequest) -> m.LeaseTimeToLiveResponse:
        """What the leader knows of a lease; TTL -1 when there is none. Raises `NotPrimary`."""
        return await self._lease_primary.time_to_live(request)

    def cluster_version(self) -> str | None:
        """The version that the cluster agreed on."""
        return self._machine.members.cluster_version
