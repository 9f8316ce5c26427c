"""Asynchronous storage writes: what is to be saved and applied, as messages to two local threads (thesis 10.2.1).

    STORAGE_APPEND  to LOCAL_APPEND_THREAD   entries, hard state (term, vote, commit), snapshot: save them in order
    STORAGE_APPLY   to LOCAL_APPLY_THREAD    committed entries: apply them in order

Each carries `responses`, which are delivered when its work is done, to this member or to others; a STORAGE_APPEND
without responses need not be synced. A thread takes its messages in order and loses none.

Why the response of an append carries a term and the log's last entry (the ABA case): entries that are being saved
may be replaced by a later leader's, and these again by the first ones, which a third leader still has. When the first
save is reported, the entries here are the same as those it saved; yet in storage the second leader's will still
overwrite them, before the third save sets it right. So a report counts only in the term in which the save was asked
for: nobody else can have replaced anything within it. That loses reports, so every append asks for one as long as
anything is unsaved, not only those that carry entries; each change of term makes a hard state to save, hence an
append, hence a report that counts.
"""

from __future__ import annotations

from collections.abc import Sequence

from trioetcd.raft.core import Core
from trioetcd.raft.types import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    Entry,
    HardState,
    Message,
    MessageType,
    Snapshot,
)


def append_response(core: Core, snapshot: Snapshot | None) -> Message | None:
    """The report that what is unsaved now has been saved; None if there is nothing to report."""
    unsaved = core.log.unstable.entries
    if not unsaved and snapshot is None:
        return None
    response = Message(
        MessageType.STORAGE_APPEND_RESP, to=core.id, from_=LOCAL_APPEND_THREAD, term=core.term, snapshot=snapshot
    )
    if unsaved:
        response.index, response.log_term = unsaved[-1].index, unsaved[-1].term
    return response


def append_request(
    core: Core,
    entries: Sequence[Entry],
    hard_state: HardState | None,
    snapshot: Snapshot | None,
) -> Message | None:
    """The message to the append thread; None if there is nothing to save and no message that waits for saves."""
    if not entries and hard_state is None and snapshot is None and not core.messages_after_save:
        return None
    saved = hard_state or HardState()
    # The leader's own acknowledgement comes before the report: it looks entries up while they are still in memory.
    responses = list(core.messages_after_save)
    report = append_response(core, snapshot)
    if report is not None:
        responses.append(report)
    return Message(
        MessageType.STORAGE_APPEND,
        to=LOCAL_APPEND_THREAD,
        from_=core.id,
        term=saved.term,
        vote=saved.vote,
        commit=saved.commit,
        entries=tuple(entries),
        snapshot=snapshot,
        responses=tuple(responses),
    )


def apply_request(core: Core, entries: Sequence[Entry]) -> Message:
    """The message to the apply thread, with the report that these entries are applied."""
    committed = tuple(entries)
    report = Message(MessageType.STORAGE_APPLY_RESP, to=core.id, from_=LOCAL_APPLY_THREAD, entries=committed)
    return Message(
        MessageType.STORAGE_APPLY, to=LOCAL_APPLY_THREAD, from_=core.id, entries=committed, responses=(report,)
    )
