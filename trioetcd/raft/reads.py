"""Linearizable reads without a log entry: ReadIndex (thesis 6.4), safe or by lease."""

from __future__ import annotations

from dataclasses import replace

from trioetcd.raft.config import ReadOnlyOption
from trioetcd.raft.core import Core
from trioetcd.raft.heartbeat import broadcast_heartbeat
from trioetcd.raft.quorum import VoteResult
from trioetcd.raft.types import NO_NODE, Message, MessageType, ReadState


def handle_read_index(core: Core, message: Message) -> None:
    """A leader is asked how far a read that comes now must have applied.

    Until an entry of its own term is committed, a leader does not know how far its predecessors had committed
    (6.4, step 1): the request waits. That holds for a lone voter as well: the commit index is saved without a sync,
    so it may be lower after a crash than what was acknowledged.
    """
    if core.log.term_or_zero(core.log.committed) != core.term:
        core.reads_before_commit.append(message)
    else:
        _confirm_or_answer(core, message)


def release_reads_before_commit(core: Core) -> None:
    """The first entry of the term is committed: go on with the reads that waited for it."""
    if core.reads_before_commit:
        waiting, core.reads_before_commit = core.reads_before_commit, []
        for message in waiting:
            _confirm_or_answer(core, message)


def _confirm_or_answer(core: Core, request: Message) -> None:
    lease = core.config.read_only_option is ReadOnlyOption.LEASE_BASED
    # A leader that was removed leads on, but a lone voter that is left may have elected itself and committed more.
    alone = core.tracker.is_singleton and core.id in core.tracker.configuration.incoming
    if lease or alone:
        _answer(core, request, core.log.committed)
        return
    context = request.entries[0].data
    core.read_queue.add(core.log.committed, request)
    core.read_queue.acknowledge(core.id, context)
    broadcast_heartbeat(core, context)


def confirm_reads(core: Core, member: int, context: bytes) -> None:
    """A follower still takes this member for its leader; with a quorum of them, the reads up to this one may pass."""
    acks = core.read_queue.acknowledge(member, context)
    if core.tracker.vote_result(acks) is VoteResult.WON:
        for read in core.read_queue.release(context):
            _answer(core, read.request, read.index)


def _answer(core: Core, request: Message, index: int) -> None:
    if request.from_ in (NO_NODE, core.id):
        core.read_states.append(ReadState(index, request.entries[0].data))
    else:
        core.send(Message(MessageType.READ_INDEX_RESP, to=request.from_, index=index, entries=request.entries))


def forward_read_index(core: Core, message: Message) -> None:
    """A follower passes the request on to its leader; without one it is dropped, and the asker asks again."""
    if core.lead != NO_NODE:
        core.send(replace(message, to=core.lead))


def handle_read_index_response(core: Core, message: Message) -> None:
    """The leader's answer to a request that this follower passed on."""
    if len(message.entries) == 1:
        core.read_states.append(ReadState(message.index, message.entries[0].data))
