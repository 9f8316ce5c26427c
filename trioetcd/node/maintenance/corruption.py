"""Corruption checks: whether the members have the same keys (etcd: server/etcdserver/corrupt.go).

At a start, before anything is served, this member compares its keys with what the others had at the same revision.
Later the leader does so from time to time, and raises the alarm CORRUPT, with the ID of the member that differs: from
then on nothing changes the keys until an operator has looked into it.

Members that have compacted up to different revisions cannot be compared; nor can one that is away, or behind.
"""

from __future__ import annotations

from typing import Final

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.config import StartRefused
from trioetcd.log import Logger
from trioetcd.node.leadership import Leadership
from trioetcd.node.maintenance.hashing import hash_keys
from trioetcd.node.proposals import Proposals
from trioetcd.node.protocols import HashSource, PeerHash
from trioetcd.node.reads import ReadLoop
from trioetcd.storage.internal_ops import AlarmRaised
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.mvcc.hash import HashKv
from trioetcd.storage.requests import RaftRequest

_CORRUPT: Final = int(m.AlarmType.CORRUPT)


async def fetch_peer_hashes(
    machine: StateMachine, member_id: int, source: HashSource, revision: int
) -> dict[int, PeerHash]:
    """What the other members tell, by their IDs; of those that do not, nothing."""
    found = {}
    for member in machine.members.members():
        if member.id != member_id and (told := await source.fetch(member.peer_urls, revision)) is not None:
            found[member.id] = told
    return found


async def refuse_corrupt_start(*, machine: StateMachine, member_id: int, source: HashSource, log: Logger) -> None:
    """Compare this member's keys with the others'; `StartRefused` when one has other keys at the same revision."""
    own = await hash_keys(machine, 0)
    peers = await fetch_peer_hashes(machine, member_id, source, own.revision)
    different = [f"{one:x}" for one, told in peers.items() if _contradicts(own, told)]
    log.info("compared keys with the other members", revision=own.revision, members=len(peers), different=different)
    if different:
        raise StartRefused(
            f"member {member_id:x} found data inconsistency with peers: its keys at revision {own.revision} are others "
            f"than those of {', '.join(different)}; find out which member is wrong, remove it and add it anew"
        )


def _contradicts(own: HashKv, told: PeerHash) -> bool:
    return told.compact_revision == own.compact_revision and told.hash != own.hash


class CorruptionCheck:
    """The leader's comparison of all members."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        leadership: Leadership,
        reads: ReadLoop,
        proposals: Proposals,
        source: HashSource,
        interval_seconds: float,
        log: Logger,
    ) -> None:
        self._machine = machine
        self._leadership = leadership
        self._reads = reads
        self._proposals = proposals
        self._source = source
        self._interval_seconds = interval_seconds
        self._log = log

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Compare at every interval while this member leads, until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(self._interval_seconds)
            if self._leadership.is_leader:
                try:
                    await self.check()
                except ApiError as error:
                    self._log.warning("the members' keys were not compared", error=error.message)

    async def check(self) -> None:
        """Compare once, and raise the alarm for the first member that differs. Raises `ApiError`."""
        own_id = self._leadership.member_id
        own = await hash_keys(self._machine, 0)
        peers = await fetch_peer_hashes(self._machine, own_id, self._source, own.revision)
        if not self._reads.may_read_now:
            await self._reads.wait_linearizable()
        # What the others have applied by now, this one has too.
        revision, compacted = self._machine.store.revision, self._machine.store.compact_revision
        for member_id, told in peers.items():
            if told.revision > revision or told.compact_revision > compacted or _contradicts(own, told):
                self._log.error("the keys of a member differ", member_id=f"{member_id:x}", revision=own.revision)
                await self._raise_alarm(member_id)
                return

    async def _raise_alarm(self, member_id: int) -> None:
        if not self._machine.alarms.is_raised(member_id, _CORRUPT):
            await self._proposals.submit(RaftRequest(AlarmRaised(member_id=member_id, alarm=_CORRUPT)), bounded=False)
