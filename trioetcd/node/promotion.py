"""A learner becomes a voter: only the leader knows whether it is ready, so the leader alone proposes it."""

from __future__ import annotations

from typing import Final

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.leader_calls import NotPrimary
from trioetcd.node.reconfig_check import ReconfigCheck
from trioetcd.node.reconfiguration import Reconfiguration
from trioetcd.raft import RawNode
from trioetcd.raft.types import ConfChangeType
from trioetcd.storage.members import Member

READY_SHARE: Final = 0.9
"""How much of the leader's log a learner must have (etcd's readyPercent)."""


class Promotion:
    """Promotes learners, for this member's own clients and for other members, while this member leads.

    `succeeded` counts since the start.
    """

    def __init__(self, *, raw_node: RawNode, reconfiguration: Reconfiguration, check: ReconfigCheck) -> None:
        self._raw_node = raw_node
        self._reconfiguration = reconfiguration
        self._check = check
        self.succeeded = 0

    async def promote(self, member_id: int) -> tuple[Member, ...]:
        """Make a learner a voter; the members as they are right after it.

        Raises `NotPrimary`, and `ApiError`: it is not ready, it would endanger the quorum, or apply refuses it.
        """
        self._require_ready(member_id)
        members = await self._reconfiguration.change(
            ConfChangeType.ADD_NODE, Member(member_id), admit=self._check.may_promote, is_promote=True
        )
        self.succeeded += 1
        return members

    def _require_ready(self, member_id: int) -> None:
        """Whether there is such a member, and whether it is a learner, is decided at apply."""
        status = self._raw_node.status()
        own = status.progress.get(status.id)
        if own is None:  # a follower knows of nobody's progress; a leader without its own was removed
            raise NotPrimary("this member does not lead")
        learner = status.progress.get(member_id)
        if learner is not None and learner.match < READY_SHARE * own.match:
            raise ApiError.of(ErrorKind.LEARNER_NOT_READY)
