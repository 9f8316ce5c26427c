"""What becomes of a proposal: appended by a leader, forwarded by a follower, or dropped (thesis 3.2, 6.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from trioetcd.raft.confchange_codec import as_v2, decode_conf_change_entry
from trioetcd.raft.core import Core
from trioetcd.raft.errors import ProposalDropped, RaftInvariantError
from trioetcd.raft.replication import append, broadcast_append
from trioetcd.raft.sizes import payload_size
from trioetcd.raft.types import NO_NODE, Entry, EntryType, Message

_NORMAL = EntryType.NORMAL


def handle_proposal(core: Core, message: Message) -> None:
    """A leader is asked to append; raises `ProposalDropped`."""
    if not message.entries:
        raise RaftInvariantError(f"member {core.id} was handed a proposal without entries by {message.from_}")
    reason = try_append(core, message.entries)
    if reason is not None:
        raise ProposalDropped(reason)


def try_append(core: Core, entries: Sequence[Entry]) -> str | None:
    """Append and send entries as the leader; the reason if they are dropped, else None."""
    if core.id not in core.tracker.progress:
        return f"member {core.id} was removed from the configuration while it leads term {core.term}"
    if core.transferee != NO_NODE:
        return f"leadership of term {core.term} is being transferred to {core.transferee}"
    for entry in entries:
        if entry.type != _NORMAL:
            entries = _validated(core, entries)
            break
    size = payload_size(entries)
    total = core.uncommitted_size + size
    # Empty entries are never refused, nor is the first of any size while nothing is uncommitted.
    if core.uncommitted_size > 0 and size > 0 and total > core.config.uncommitted_size_bytes_max:
        return f"{total} bytes would be uncommitted, more than {core.config.uncommitted_size_bytes_max}"
    core.uncommitted_size = total
    append(core, entries)
    broadcast_append(core)
    return None


def _validated(core: Core, entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with each configuration change that cannot be made now replaced by an empty entry."""
    last_index = core.log.last_index()
    validated: list[Entry] = []
    for index, entry in enumerate(entries, last_index + 1):
        if entry.type != EntryType.NORMAL:
            if _is_refused(core, entry) and not core.config.disable_conf_change_validation:
                entry = Entry(0, 0)
            else:
                core.pending_conf_index = index
        validated.append(entry)
    return validated


def _is_refused(core: Core, entry: Entry) -> bool:
    """One change may be in the log unapplied, and a joint configuration is left before the next (thesis 4.1, 4.3)."""
    leaves_joint = not as_v2(decode_conf_change_entry(entry)).changes
    is_joint = core.tracker.configuration.is_joint
    return core.pending_conf_index > core.log.applied or is_joint != leaves_joint


def note_applied(core: Core, entries: Sequence[Entry]) -> None:
    """These entries are committed and applied: they do not count against the limit any more."""
    core.uncommitted_size = max(core.uncommitted_size - payload_size(entries), 0)


def forward_proposal(core: Core, message: Message) -> None:
    """A follower passes a proposal on to its leader; raises `ProposalDropped`."""
    if core.lead == NO_NODE:
        raise ProposalDropped(f"member {core.id} knows no leader in term {core.term}")
    if core.config.disable_proposal_forwarding:
        raise ProposalDropped(f"member {core.id} does not forward to the leader {core.lead} of term {core.term}")
    core.send(replace(message, to=core.lead))


def drop_proposal(core: Core, _message: Message) -> None:
    """A candidate can neither append nor forward; raises `ProposalDropped`."""
    raise ProposalDropped(f"member {core.id} campaigns, there is no leader in term {core.term}")
