"""A leader's beat: it keeps others from campaigning, tells them the commit index, and carries reads (thesis 3.4)."""

from __future__ import annotations

from trioetcd.raft.core import Core
from trioetcd.raft.types import NO_NODE, Message, MessageType, StateType


def broadcast_heartbeat(core: Core, context: bytes) -> None:
    """Beat to every member; `context` is that of the read to be confirmed, or empty.

    The commit index is cut at what is known to match: a follower may hold other entries after that.
    """
    committed = core.log.committed
    for member, progress in core.tracker.progress.items():
        if member != core.id:
            commit = min(progress.match, committed)
            core.messages.append(
                Message(MessageType.HEARTBEAT, to=member, from_=core.id, term=core.term, commit=commit, context=context)
            )
            progress.sent_commit = commit


def handle_beat(core: Core, _message: Message) -> None:
    """It is time for a beat; it asks again for the latest read's confirmation, and so for all before it."""
    broadcast_heartbeat(core, core.read_queue.last_context())


def handle_check_quorum(core: Core, _message: Message) -> None:
    """Step down if no quorum was heard from for an election timeout (thesis 6.2), and begin the next count."""
    if not core.tracker.quorum_active():
        core.become_follower(core.term, NO_NODE)
    for member, progress in core.tracker.progress.items():
        if member != core.id:
            progress.recent_active = False


def tick_heartbeat(core: Core) -> None:
    """One tick of a leader: quorum check and transfer timeout every election timeout, beat every heartbeat."""
    core.heartbeat_elapsed += 1
    core.election_elapsed += 1
    if core.election_elapsed >= core.config.election_tick:
        core.election_elapsed = 0
        if core.config.check_quorum:
            handle_check_quorum(core, _NOTHING)
        core.transferee = NO_NODE  # a transfer that took this long has failed: lead on (thesis 3.10)
    if core.state is StateType.LEADER and core.heartbeat_elapsed >= core.config.heartbeat_tick:
        core.heartbeat_elapsed = 0
        handle_beat(core, _NOTHING)


_NOTHING = Message(MessageType.BEAT)
