"""What follows from entries, or a snapshot, being applied and saved."""

from __future__ import annotations

from collections.abc import Sequence

from trioetcd.raft import proposals
from trioetcd.raft.core import Core
from trioetcd.raft.types import Entry, EntryType, Message, Snapshot, StateType

_LEAVE_JOINT = Entry(0, 0, EntryType.CONF_CHANGE_V2)
"""No data are an empty change, and cost nothing, so that this is never refused for its size."""


def entries_applied(core: Core, entries: Sequence[Entry]) -> None:
    """The state machine has applied these."""
    applied_to(core, entries[-1].index)
    proposals.note_applied(core, entries)


def applied_to(core: Core, index: int) -> None:
    """Everything up to `index` is applied; a leader whose joint configuration is to be left leaves it now."""
    log = core.log
    log.applied_to(max(index, log.applied))
    if (
        core.tracker.configuration.auto_leave
        and core.state is StateType.LEADER
        and log.applied >= core.pending_conf_index
    ):
        # Dropped while leadership is transferred; then the next leader does it, or this one after the next entry.
        proposals.try_append(core, [_LEAVE_JOINT])


def snapshot_saved(core: Core, snapshot: Snapshot) -> None:
    """Storage and state machine hold this snapshot."""
    core.log.unstable.stable_snapshot_to(snapshot.metadata.index)
    applied_to(core, snapshot.metadata.index)


def saved(core: Core, *, term: int, last_index: int, last_term: int, snapshot: Snapshot | None) -> None:
    """All that was unsaved when this was asked for, in `term`, is saved: up to an entry (0 for none), and a snapshot.

    In an earlier term, entries may have been replaced since; see `storage_messages`. A snapshot is committed, and
    holds in any.
    """
    if last_index and term == core.term:
        core.log.unstable.stable_to(last_index, last_term)
    if snapshot is not None:
        snapshot_saved(core, snapshot)


def handle_storage_append_response(core: Core, message: Message) -> None:
    """The append thread has saved everything up to this message."""
    saved(
        core,
        term=message.term,
        last_index=message.index,
        last_term=message.log_term,
        snapshot=message.snapshot,
    )


def handle_storage_apply_response(core: Core, message: Message) -> None:
    """The apply thread has applied these entries."""
    if message.entries:
        entries_applied(core, message.entries)
