"""Handing leadership to a chosen member (thesis 3.10), and forgetting a leader that is known to be gone."""

from __future__ import annotations

from dataclasses import replace

from trioetcd.raft.config import ReadOnlyOption
from trioetcd.raft.core import Core
from trioetcd.raft.election import CampaignKind, campaign_if_allowed
from trioetcd.raft.progress import Progress
from trioetcd.raft.replication import send_append
from trioetcd.raft.types import NO_NODE, Message, MessageType


def handle_transfer_leader(core: Core, message: Message) -> None:
    """A leader is to hand over to the message's sender: at once if that one is level, else when it is.

    Proposals are dropped until it is done, or until an election timeout has passed.
    """
    target = message.from_
    progress = core.tracker.progress.get(target)
    if progress is None or progress.is_learner or target == core.transferee:
        return
    core.transferee = NO_NODE
    if target == core.id:
        return
    core.election_elapsed = 0  # the transfer has one election timeout from now
    core.transferee = target
    if progress.match == core.log.last_index():
        _send_timeout_now(core, target)
    else:
        send_append(core, target)


def maybe_finish_transfer(core: Core, member: int, progress: Progress) -> None:
    """The member to hand over to has answered: if it is level now, let it campaign."""
    if member == core.transferee and progress.match == core.log.last_index():
        _send_timeout_now(core, member)


def _send_timeout_now(core: Core, to: int) -> None:
    core.send(Message(MessageType.TIMEOUT_NOW, to=to))


def forward_transfer_leader(core: Core, message: Message) -> None:
    """A follower passes the wish on to its leader; without one it is dropped."""
    if core.lead != NO_NODE:
        core.send(replace(message, to=core.lead, term=0))


def handle_timeout_now(core: Core, _message: Message) -> None:
    """The leader hands over to this follower: campaign at once, without a pre-vote, for nobody was cut off."""
    campaign_if_allowed(core, CampaignKind.TRANSFER)


def handle_forget_leader(core: Core, _message: Message) -> None:
    """A follower forgets its leader and may grant votes at once; not under leases, which rest on its refusal."""
    if core.config.read_only_option is not ReadOnlyOption.LEASE_BASED:
        core.lead = NO_NODE
