"""Campaigns and votes (thesis 3.4, 3.6.1), with the pre-vote before them (9.6)."""

from __future__ import annotations

from enum import Enum

from trioetcd.raft.core import Core
from trioetcd.raft.errors import RaftInvariantError
from trioetcd.raft.quorum import VoteResult
from trioetcd.raft.replication import append, broadcast_append
from trioetcd.raft.types import NO_NODE, Entry, EntryType, Message, MessageType, StateType

TRANSFER_CONTEXT = b"CampaignTransfer"
"""Marks the vote requests of a member that leadership is handed to: a lease does not stand in their way."""

_RESPONSE = {MessageType.VOTE: MessageType.VOTE_RESP, MessageType.PRE_VOTE: MessageType.PRE_VOTE_RESP}
_OWN_RESPONSE = {StateType.CANDIDATE: MessageType.VOTE_RESP, StateType.PRE_CANDIDATE: MessageType.PRE_VOTE_RESP}
_CONF_CHANGES = frozenset({EntryType.CONF_CHANGE, EntryType.CONF_CHANGE_V2})


class CampaignKind(Enum):
    """Why a member campaigns."""

    PRE_ELECTION = 0  # to learn whether it could win, in the term as it is
    ELECTION = 1
    TRANSFER = 2  # the leader asked for it


# -- roles ------------------------------------------------------------------------------------------------------


def become_candidate(core: Core) -> None:
    """Campaign in the next term, with this member's own vote."""
    _refuse_from(core, StateType.LEADER, StateType.CANDIDATE)
    core.reset(core.term + 1)
    core.vote = core.id
    core.state = StateType.CANDIDATE


def become_pre_candidate(core: Core) -> None:
    """Ask around; term and vote stay as they are."""
    _refuse_from(core, StateType.LEADER, StateType.PRE_CANDIDATE)
    core.tracker.votes = {}
    core.lead = NO_NODE
    core.state = StateType.PRE_CANDIDATE


def become_leader(core: Core) -> None:
    """Lead the term, and begin it with an empty entry, for older ones are committed only with it (thesis 3.6.2)."""
    _refuse_from(core, StateType.FOLLOWER, StateType.LEADER)
    core.reset(core.term)
    core.lead = core.id
    core.state = StateType.LEADER
    own = core.tracker.progress[core.id]
    own.become_replicate()
    own.recent_active = True
    # There may be a configuration change among the entries that are not applied; to look would cost too much.
    core.pending_conf_index = core.log.last_index()
    append(core, [Entry(0, 0)])


def _refuse_from(core: Core, state: StateType, to: StateType) -> None:
    if core.state is state:
        raise RaftInvariantError(f"member {core.id} in term {core.term}: no way from {state.name} to {to.name}")


# -- campaigning ------------------------------------------------------------------------------------------------


def tick_election(core: Core) -> None:
    """One tick of a follower or candidate; it campaigns when its timeout has passed without a leader."""
    core.election_elapsed += 1
    if core.election_elapsed >= core.election_timeout and core.promotable():
        core.election_elapsed = 0
        campaign_by_timeout(core)


def handle_hup(core: Core, _message: Message) -> None:
    """The member is told to campaign."""
    campaign_by_timeout(core)


def campaign_by_timeout(core: Core) -> None:
    """Campaign, with a pre-vote if that is configured."""
    campaign_if_allowed(core, CampaignKind.PRE_ELECTION if core.config.pre_vote else CampaignKind.ELECTION)


def campaign_if_allowed(core: Core, kind: CampaignKind) -> None:
    """Campaign, unless this member leads, may not lead, or has configuration changes to apply before."""
    if core.state is not StateType.LEADER and core.promotable() and not _has_unapplied_conf_changes(core):
        campaign(core, kind)


def _has_unapplied_conf_changes(core: Core) -> bool:
    log = core.log
    unapplied = log.scan(log.applied + 1, log.committed + 1, log.max_applying_size_bytes)
    return any(entry.type in _CONF_CHANGES for entry in unapplied)


def campaign(core: Core, kind: CampaignKind) -> None:
    """Ask every voter for its vote, or whether it would give it."""
    if kind is CampaignKind.PRE_ELECTION:
        become_pre_candidate(core)
        request, term = MessageType.PRE_VOTE, core.term + 1
    else:
        become_candidate(core)
        request, term = MessageType.VOTE, core.term
    context = TRANSFER_CONTEXT if kind is CampaignKind.TRANSFER else b""
    last_index = core.log.last_index()
    last_term = core.log.last_term()
    for voter in sorted(core.tracker.configuration.voters):
        if voter == core.id:
            # The own vote counts when it is saved, and comes as an answer from oneself.
            core.send(Message(_RESPONSE[request], to=voter, term=term))
        else:
            core.send(Message(request, to=voter, term=term, log_term=last_term, index=last_index, context=context))


def handle_vote_response(core: Core, message: Message) -> None:
    """An answer to a candidate; answers to the other kind of campaign are late, and ignored."""
    if message.type != _OWN_RESPONSE[core.state]:
        return
    match core.tracker.record_vote(message.from_, not message.reject):
        case VoteResult.WON if core.state is StateType.PRE_CANDIDATE:
            campaign(core, CampaignKind.ELECTION)
        case VoteResult.WON:
            become_leader(core)
            broadcast_append(core)
        case VoteResult.LOST:
            core.become_follower(core.term, NO_NODE)


# -- voting -----------------------------------------------------------------------------------------------------


def in_lease(core: Core, message: Message) -> bool:
    """Whether this request for a vote is ignored: a leader was heard from within the minimum timeout (thesis 6.2)."""
    return (
        core.config.check_quorum
        and core.lead != NO_NODE
        and core.election_elapsed < core.config.election_tick
        and message.context != TRANSFER_CONTEXT
    )


def handle_vote(core: Core, message: Message) -> None:
    """Grant or refuse a vote, or a pre-vote, which promises nothing.

    Learners vote too: one may have been made a voter and not know it yet, and its vote may be needed.
    """
    can_vote = (
        core.vote == message.from_
        or (core.vote == NO_NODE and core.lead == NO_NODE)
        or (message.type == MessageType.PRE_VOTE and message.term > core.term)
    )
    response = _RESPONSE[message.type]
    if not can_vote or not core.log.is_up_to_date(message.index, message.log_term):
        core.send(Message(response, to=message.from_, term=core.term, reject=True))
        return
    # With the term of the request: a pre-candidate has a later one in mind, and ignores answers of earlier ones.
    core.send(Message(response, to=message.from_, term=message.term))
    if message.type == MessageType.VOTE:
        core.election_elapsed = 0
        core.vote = message.from_
