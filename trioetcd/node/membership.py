"""The membership as the running member acts on it: which peers to talk to, and whether this member is still one."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from trioetcd.node.protocols import PeerInfo, Transport
from trioetcd.storage.machine import StateMachine


class MembershipView:
    """Follows the membership that the state machine keeps, and lets the transport follow too.

    Attributes:
        is_learner: whether this member only listens.
        is_lone_voter: whether this member alone decides.
        is_alone: whether there is no other member at all, also none that only listens.
        removed: set once this member is none any more.
    """

    is_learner: bool
    is_lone_voter: bool
    is_alone: bool

    def __init__(
        self,
        *,
        member_id: int,
        machine: StateMachine,
        transport: Transport,
        initial_peers: Sequence[PeerInfo],
        joins_as_learner: bool,
    ) -> None:
        self._member_id = member_id
        self._machine = machine
        self._transport = transport
        self._initial_peers = initial_peers
        self._joins_as_learner = joins_as_learner
        self.removed = trio.Event()
        self._note_own()

    def changed(self) -> None:
        """Make the connections match the membership; notice when this member was removed from it."""
        membership = self._machine.members
        self._note_own()
        self._transport.reconcile(self._peers(), membership.removed())
        if membership.is_removed(self._member_id):
            self.removed.set()

    def _peers(self) -> Sequence[PeerInfo]:
        """The other members; before the log has named all of the first ones, those known from the start.

        To a member that joins, the log tells of times before it: until it is named itself, its own knowledge is newer.
        """
        membership, known = self._machine.members, self._initial_peers
        members = membership.members()
        begins = len(members) <= len(known) and self._machine.applied.index <= len(known)
        is_named = membership.knows(self._member_id) or membership.is_removed(self._member_id)
        if known and (begins or not is_named):
            return known
        return [PeerInfo(one.id, one.peer_urls) for one in members if one.id != self._member_id]

    def knows(self, member_id: int) -> bool:
        """Whether this is one of the other members."""
        return any(peer.id == member_id for peer in self._peers())

    def _note_own(self) -> None:
        """Every request asks for these, so they are kept."""
        own = self._machine.members.get(self._member_id)
        self.is_learner = self._joins_as_learner if own is None else own.is_learner
        conf_state = self._machine.applied.conf_state
        self.is_lone_voter = conf_state.voters == (self._member_id,) and not conf_state.voters_outgoing
        self.is_alone = self.is_lone_voter and not conf_state.learners and not conf_state.learners_next
