"""The header of every answer: which cluster, member, revision and term it comes from."""

from __future__ import annotations

from trioetcd.api import messages as m
from trioetcd.node.leadership import Leadership
from trioetcd.storage.machine import StateMachine


class Headers:
    """Fills in headers. A response of apply comes with its revision alone; the rest is the member's."""

    def __init__(self, *, cluster_id: int, member_id: int, machine: StateMachine, leadership: Leadership) -> None:
        self.cluster_id = cluster_id
        self.member_id = member_id
        self._machine = machine
        self._leadership = leadership

    def current(self) -> m.ResponseHeader:
        """A header at the store's revision of now."""
        return self.at(self._machine.store.revision)

    def at(self, revision: int) -> m.ResponseHeader:
        """A header at a revision; 0 leaves it out."""
        return m.ResponseHeader(self.cluster_id, self.member_id, revision, self._leadership.term)

    def complete(self, header: m.ResponseHeader | None) -> None:
        """Fill in the header of a response of apply, which has the revision of its own write."""
        assert header is not None, "apply gives every response a header with its revision"
        header.cluster_id = self.cluster_id
        header.member_id = self.member_id
        header.raft_term = self._leadership.term
