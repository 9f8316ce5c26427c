"""The last check before the core: messages that came in whole, one by one."""

from __future__ import annotations

from collections.abc import Sequence

from trioetcd.log import Logger, Throttle
from trioetcd.peer.protocols import RaftHandler
from trioetcd.raft.types import Message, MessageType


class Inbox:
    """Hands messages to the member, but for those that are not for it.

    A message for another member means that an address changed hands, one from a removed member that somebody did not
    hear of it yet; stepping either can damage the log. They are dropped, counted, and logged at a bounded rate.
    """

    def __init__(self, *, local_id: int, handler: RaftHandler, log: Logger, throttle: Throttle) -> None:
        self._local_id = local_id
        self._handler = handler
        self._log = log
        self._throttle = throttle
        self.refused_messages = 0

    def deliver(self, messages: Sequence[Message], *, sender: int) -> None:
        """Step what passes. `sender` was checked with the request; messages that it forwards name their origin."""
        accepted = [message for message in messages if self._accepts(message, sender)]
        if accepted:
            self._handler.process(accepted)

    def deliver_snapshot(self, message: Message) -> None:
        """Step a SNAP message, whose state was received, verified and kept aside before."""
        self._handler.process([message])

    def refusal_of(self, message: Message, sender: int) -> str | None:
        """Why a message may not be stepped, or None."""
        if message.to != self._local_id:
            return f"it is for member {message.to:x}"
        origin = message.from_
        if origin != sender and not self._handler.knows(origin):
            return f"its origin {origin:x} is not a member"
        if self._handler.is_removed(origin):
            return f"its origin {origin:x} was removed"
        return None

    def _accepts(self, message: Message, sender: int) -> bool:
        reason = self.refusal_of(message, sender)
        if reason is None and message.type is MessageType.SNAP:
            reason = "a snapshot comes with its state, through /raft/snapshot"
        if reason is None:
            return True
        self.refused_messages += 1
        if (held_back := self._throttle.admit(("message", sender, reason))) is not None:
            self._log.warning(
                "dropped a message from a peer", peer_id=f"{sender:x}", reason=reason, held_back=held_back
            )
        return False
