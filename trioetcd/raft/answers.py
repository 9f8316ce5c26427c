"""What a leader does when a follower answers: it learns, commits, sends on, releases reads, hands over."""

from __future__ import annotations

from trioetcd.raft.core import Core
from trioetcd.raft.progress import ProgressState
from trioetcd.raft.reads import confirm_reads, release_reads_before_commit
from trioetcd.raft.replication import (
    broadcast_append,
    handle_append_rejected,
    maybe_commit,
    note_accepted,
    send_append,
)
from trioetcd.raft.transfer import maybe_finish_transfer
from trioetcd.raft.types import Message


def handle_append_response(core: Core, message: Message) -> None:
    """An append was accepted or rejected by a follower, or by the leader itself when its entries are saved."""
    member = message.from_
    progress = core.tracker.progress.get(member)
    if progress is None:
        return
    progress.recent_active = True
    if message.reject:
        handle_append_rejected(core, progress, message)
        return
    if not note_accepted(core, progress, message.index):
        return
    if maybe_commit(core):
        release_reads_before_commit(core)
        broadcast_append(core)
    elif member != core.id and progress.can_bump_commit(core.log.committed):
        send_append(core, member)
    if member != core.id:
        # The window may have room for several messages now.
        while send_append(core, member, if_empty=False):
            continue
        maybe_finish_transfer(core, member, progress)


def handle_heartbeat_response(core: Core, message: Message) -> None:
    """A follower is there: go on with it if it lacks something, and count its confirmation of a read."""
    progress = core.tracker.progress.get(message.from_)
    if progress is None:
        return
    progress.recent_active = True
    progress.probe_sent = False
    # A probed follower is sent an append even if it is level: its answer lets it be sent ahead again.
    if progress.match < core.log.last_index() or progress.state is ProgressState.PROBE:
        send_append(core, message.from_)
    if message.context:
        confirm_reads(core, message.from_, message.context)
