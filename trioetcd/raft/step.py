"""Which rule a message goes to: the rule of terms first (thesis 3.3), then a table by role and type."""

from __future__ import annotations

from collections.abc import Callable

from trioetcd.raft import answers, applying, election, following, heartbeat, proposals, reads, replication, transfer
from trioetcd.raft.core import Core
from trioetcd.raft.types import NO_NODE, Message, MessageType, StateType

Handler = Callable[[Core, Message], None]


def ignore(_core: Core, _message: Message) -> None:
    """This role does nothing about such a message: it is late, or meant for another."""


_ANY_ROLE: dict[MessageType, Handler] = {
    MessageType.HUP: election.handle_hup,
    MessageType.VOTE: election.handle_vote,
    MessageType.PRE_VOTE: election.handle_vote,
    MessageType.STORAGE_APPEND: ignore,
    MessageType.STORAGE_APPEND_RESP: applying.handle_storage_append_response,
    MessageType.STORAGE_APPLY: ignore,
    MessageType.STORAGE_APPLY_RESP: applying.handle_storage_apply_response,
}

_LEADER: dict[MessageType, Handler] = _ANY_ROLE | {
    MessageType.BEAT: heartbeat.handle_beat,
    MessageType.PROP: proposals.handle_proposal,
    MessageType.APP: ignore,
    MessageType.APP_RESP: answers.handle_append_response,
    MessageType.VOTE_RESP: ignore,
    MessageType.SNAP: ignore,
    MessageType.HEARTBEAT: ignore,
    MessageType.HEARTBEAT_RESP: answers.handle_heartbeat_response,
    MessageType.UNREACHABLE: replication.handle_unreachable,
    MessageType.SNAP_STATUS: replication.handle_snapshot_status,
    MessageType.CHECK_QUORUM: heartbeat.handle_check_quorum,
    MessageType.TRANSFER_LEADER: transfer.handle_transfer_leader,
    MessageType.TIMEOUT_NOW: ignore,
    MessageType.READ_INDEX: reads.handle_read_index,
    MessageType.READ_INDEX_RESP: ignore,
    MessageType.PRE_VOTE_RESP: ignore,
    MessageType.FORGET_LEADER: ignore,
}

_CANDIDATE: dict[MessageType, Handler] = _ANY_ROLE | {
    MessageType.BEAT: ignore,
    MessageType.PROP: proposals.drop_proposal,
    MessageType.APP: following.handle_append,
    MessageType.APP_RESP: ignore,
    MessageType.VOTE_RESP: election.handle_vote_response,
    MessageType.SNAP: following.handle_snapshot,
    MessageType.HEARTBEAT: following.handle_heartbeat,
    MessageType.HEARTBEAT_RESP: ignore,
    MessageType.UNREACHABLE: ignore,
    MessageType.SNAP_STATUS: ignore,
    MessageType.CHECK_QUORUM: ignore,
    MessageType.TRANSFER_LEADER: ignore,
    MessageType.TIMEOUT_NOW: ignore,
    MessageType.READ_INDEX: ignore,
    MessageType.READ_INDEX_RESP: ignore,
    MessageType.PRE_VOTE_RESP: election.handle_vote_response,
    MessageType.FORGET_LEADER: ignore,
}

_FOLLOWER: dict[MessageType, Handler] = _CANDIDATE | {
    MessageType.PROP: proposals.forward_proposal,
    MessageType.VOTE_RESP: ignore,
    MessageType.PRE_VOTE_RESP: ignore,
    MessageType.TRANSFER_LEADER: transfer.forward_transfer_leader,
    MessageType.TIMEOUT_NOW: transfer.handle_timeout_now,
    MessageType.READ_INDEX: reads.forward_read_index,
    MessageType.READ_INDEX_RESP: reads.handle_read_index_response,
    MessageType.FORGET_LEADER: transfer.handle_forget_leader,
}

HANDLERS: dict[StateType, dict[MessageType, Handler]] = {
    StateType.FOLLOWER: _FOLLOWER,
    StateType.CANDIDATE: _CANDIDATE,
    StateType.PRE_CANDIDATE: _CANDIDATE,
    StateType.LEADER: _LEADER,
}

_TICKS: dict[StateType, Callable[[Core], None]] = {
    StateType.FOLLOWER: election.tick_election,
    StateType.CANDIDATE: election.tick_election,
    StateType.PRE_CANDIDATE: election.tick_election,
    StateType.LEADER: heartbeat.tick_heartbeat,
}

_VOTE_REQUESTS = frozenset({MessageType.VOTE, MessageType.PRE_VOTE})
_FROM_LEADER = frozenset({MessageType.APP, MessageType.HEARTBEAT, MessageType.SNAP})
_NUDGED = frozenset({MessageType.APP, MessageType.HEARTBEAT})


def tick(core: Core) -> None:
    """Time passed, by one tick."""
    _TICKS[core.state](core)


def step(core: Core, message: Message) -> None:
    """Take one message. Messages without a term are this member's own, or forwarded."""
    if message.term > core.term:
        if not _enter_later_term(core, message):
            return
    elif 0 < message.term < core.term:
        _answer_earlier_term(core, message)
        return
    HANDLERS[core.state][message.type](core, message)


def _enter_later_term(core: Core, message: Message) -> bool:
    """Follow into a later term, or not; false if the message is to be ignored."""
    kind = message.type
    if kind in _VOTE_REQUESTS and election.in_lease(core, message):
        return False
    # A pre-vote, and one that is granted, speak of a term that may never begin.
    if kind != MessageType.PRE_VOTE and (kind != MessageType.PRE_VOTE_RESP or message.reject):
        core.become_follower(message.term, message.from_ if kind in _FROM_LEADER else NO_NODE)
    return True


def _answer_earlier_term(core: Core, message: Message) -> None:
    """A message of an earlier term is ignored, but for those that must not be met with silence."""
    kind = message.type
    if kind in _NUDGED and (core.config.check_quorum or core.config.pre_vote):
        # This member's term rose while it was cut off. Nobody will follow it there, as votes are refused in a lease
        # and in pre-vote; so its term has to reach the leader otherwise, or it would stay out for good.
        core.send(Message(MessageType.APP_RESP, to=message.from_))
    elif kind == MessageType.PRE_VOTE:
        # Members that were candidates before pre-vote came could be stuck in a higher term with a shorter log.
        core.send(Message(MessageType.PRE_VOTE_RESP, to=message.from_, term=core.term, reject=True))
    elif kind == MessageType.STORAGE_APPEND_RESP:
        applying.handle_storage_append_response(core, message)
