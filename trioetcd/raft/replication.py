"""A leader's appends and what becomes of them (thesis 3.5, 3.6.2, 10.2.1)."""

from __future__ import annotations

from collections.abc import Sequence

from trioetcd.raft.core import Core
from trioetcd.raft.errors import Compacted, RaftInvariantError, SnapshotTemporarilyUnavailable
from trioetcd.raft.progress import Progress, ProgressState
from trioetcd.raft.sizes import payload_size
from trioetcd.raft.types import Entry, Message, MessageType

_PROBE = ProgressState.PROBE
_REPLICATE = ProgressState.REPLICATE
_APP = MessageType.APP


def append(core: Core, entries: Sequence[Entry]) -> None:
    """Append entries of this term at the end of the leader's log; its own acknowledgement waits for the save."""
    index = core.log.last_index()
    term = core.term
    stamped = [Entry(term, index + n, entry.type, entry.data) for n, entry in enumerate(entries, 1)]
    core.acknowledge_append(core.id, core.log.append(stamped))


def broadcast_append(core: Core) -> None:
    """Send everybody what they lack, and the commit index in any case."""
    for member in core.tracker.progress:
        if member != core.id:
            send_append(core, member)


def broadcast_entries(core: Core) -> None:
    """Send everybody the entries they lack; nothing to those who lack none."""
    for member in core.tracker.progress:
        if member != core.id:
            send_append(core, member, if_empty=False)


def send_append(core: Core, to: int, *, if_empty: bool = True) -> bool:
    """Send one append, or a snapshot if what is to be sent is compacted; false if nothing was sent.

    While the window is full an append goes out empty (and then no more until an answer): if all that fills the
    window was lost, the answer to it tells.
    """
    progress = core.tracker.progress[to]
    log = core.log
    is_level = progress.next == log.last_index() + 1
    if progress.paused or (is_level and not if_empty):
        return False
    previous = progress.next - 1
    try:
        previous_term = log.term(previous)
        entries: Sequence[Entry] = ()
        if not is_level and (progress.state is not _REPLICATE or not progress.inflights.full):
            entries = log.entries(progress.next, core.config.max_size_per_msg)
    except Compacted:
        return _send_snapshot(core, to, progress)
    if not entries and not if_empty:
        return False
    committed = log.committed
    core.messages.append(
        Message(
            _APP,
            to=to,
            from_=core.id,
            term=core.term,
            log_term=previous_term,
            index=previous,
            entries=tuple(entries),
            commit=committed,
        )
    )
    progress.sent_entries(len(entries), payload_size(entries))
    progress.sent_commit = committed
    return True


def _send_snapshot(core: Core, to: int, progress: Progress) -> bool:
    if not progress.recent_active:
        return False
    try:
        snapshot = core.log.snapshot()
    except SnapshotTemporarilyUnavailable:
        return False
    if snapshot.is_empty:
        raise RaftInvariantError(
            f"member {to} needs entry {progress.next}, the log begins at {core.log.first_index()}, "
            f"and storage has no snapshot of what lies before"
        )
    progress.become_snapshot(snapshot.metadata.index)
    core.send(Message(MessageType.SNAP, to=to, snapshot=snapshot))
    return True


def maybe_commit(core: Core) -> bool:
    """Commit what a quorum has saved, if that reaches an entry of the leader's own term; true if the index rose."""
    return core.log.maybe_commit(core.tracker.committed(), core.term)


def handle_append_rejected(core: Core, progress: Progress, message: Message) -> None:
    """The follower's log does not match: go back, by whole terms if its hint allows (thesis 3.5, at the end)."""
    hint = message.reject_hint
    if message.log_term > 0:
        # Its entry at the hint is of this term; ours of later terms cannot be in its log, so they are skipped.
        hint, _ = core.log.find_conflict_by_term(hint, message.log_term)
    if progress.maybe_decrease(message.index, hint):
        if progress.state is _REPLICATE:
            progress.become_probe()
        send_append(core, message.from_)


def note_accepted(core: Core, progress: Progress, index: int) -> bool:
    """Take an acknowledgement up to `index`; false if it says nothing new."""
    # A probed follower that is level already says nothing new, but may be sent ahead again.
    if not progress.maybe_update(index) and not (progress.match == index and progress.state is _PROBE):
        return False
    if progress.state is _PROBE:
        progress.become_replicate()
    elif progress.state is _REPLICATE:
        progress.inflights.free_through(index)
    elif progress.match + 1 >= core.log.first_index():
        # Whatever snapshot brought it here, the log goes on from where it is.
        progress.become_probe()
        progress.become_replicate()
    return True


def handle_unreachable(core: Core, message: Message) -> None:
    """An append was probably lost: stop sending ahead."""
    progress = core.tracker.progress.get(message.from_)
    if progress is not None and progress.state is _REPLICATE:
        progress.become_probe()


def handle_snapshot_status(core: Core, message: Message) -> None:
    """A snapshot was delivered or failed: probe, once the follower has answered or a heartbeat was."""
    progress = core.tracker.progress.get(message.from_)
    if progress is None or progress.state is not ProgressState.SNAPSHOT:
        return
    if message.reject:
        progress.pending_snapshot = 0
    progress.become_probe()
    progress.probe_sent = True
