"""What is asked of every call before its service sees it: is there a leader, is this member a learner."""

from __future__ import annotations

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.leadership import Leadership
from trioetcd.node.membership import MembershipView
from trioetcd.node.service.context import CallContext


class Gate:
    """Admits calls or refuses them with etcd's words."""

    def __init__(self, *, leadership: Leadership, membership: MembershipView) -> None:
        self._leadership = leadership
        self._membership = membership

    def admit(self, context: CallContext, *, learner_serves: bool = False) -> None:
        """Refuse what a learner does not serve, and what asks for a leader while there is none."""
        if not learner_serves and self._membership.is_learner:
            raise ApiError.of(ErrorKind.NOT_SUPPORTED_FOR_LEARNER)
        if context.require_leader and not self._leadership.has_leader:
            raise ApiError.of(ErrorKind.NO_LEADER)
