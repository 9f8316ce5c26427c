"""A follower's side of replication: appends, heartbeats and snapshots of its leader (thesis 3.5, 5)."""

from __future__ import annotations

from trioetcd.raft.core import Core
from trioetcd.raft.membership import restore_configuration
from trioetcd.raft.types import Message, MessageType, Snapshot, StateType


def handle_append(core: Core, message: Message) -> None:
    """Append what the leader sent if the logs match before it, or answer where they may match."""
    _follow_sender(core, message)
    log = core.log
    if message.index < log.committed:
        # An old message: what it could say is known to match already.
        core.acknowledge_append(message.from_, log.committed)
        return
    last_new = log.maybe_append(message.index, message.log_term, message.entries, message.commit)
    if last_new is not None:
        core.acknowledge_append(message.from_, last_new)
        return
    hint, hint_term = log.find_conflict_by_term(min(message.index, log.last_index()), message.log_term)
    core.send(
        Message(
            MessageType.APP_RESP,
            to=message.from_,
            index=message.index,
            reject=True,
            reject_hint=hint,
            log_term=hint_term,
        )
    )


def handle_heartbeat(core: Core, message: Message) -> None:
    """Commit as far as the leader says, and answer with the context of the read that it may carry."""
    _follow_sender(core, message)
    core.log.commit_to(message.commit)
    core.send(Message(MessageType.HEARTBEAT_RESP, to=message.from_, context=message.context))


def handle_snapshot(core: Core, message: Message) -> None:
    """Replace the log by the leader's snapshot, unless what it holds is here already."""
    _follow_sender(core, message)
    snapshot = message.snapshot or Snapshot()
    restored = _restore(core, snapshot)
    core.acknowledge_append(message.from_, core.log.last_index() if restored else core.log.committed)


def _follow_sender(core: Core, message: Message) -> None:
    """Whoever sends these in the current term is its leader; a candidate gives up."""
    if core.state is StateType.FOLLOWER:
        core.election_elapsed = 0
        core.lead = message.from_
    else:
        core.become_follower(message.term, message.from_)


def _restore(core: Core, snapshot: Snapshot) -> bool:
    metadata = snapshot.metadata
    if metadata.index <= core.log.committed:
        return False
    state = metadata.conf_state
    if core.id not in state.voters + state.learners + state.voters_outgoing:
        return False  # not for this member: to take it would leave one that is in no configuration
    if core.log.match_term(metadata.index, metadata.term):
        core.log.commit_to(metadata.index)  # the entries are here: all that was missing is that they are committed
        return False
    core.log.restore(snapshot)
    restore_configuration(core, state)
    return True
