"""What a member is to do before the core goes on, with the order in the types (thesis 3.8, 10.2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from trioetcd.raft.types import Entry, HardState, Message, ReadState, Snapshot, SoftState


class Ready(NamedTuple):
    """One round of work.

    With synchronous storage, do this in order, then call `RawNode.advance`:

    1. `messages_now` may leave at any time from now on, also while the save runs.
    2. Save `snapshot` (replacing the log), `entries` (replacing all from the first of them on) and `hard_state`; with
       one sync if `must_sync` or if there is a snapshot, else the next sync is soon enough.
    3. `messages_after_save` leave, and no sooner.
    4. Apply `snapshot`, then `committed_entries`; tell `read_states` to those who wait.

    With asynchronous storage, `messages_now` holds everything: the messages to `LOCAL_APPEND_THREAD` and
    `LOCAL_APPLY_THREAD` carry what 2 and 4 would do, and the answers that leave when it is done; `entries`,
    `hard_state`, `snapshot` and `committed_entries` are then for information. A VOTE in it is to be held until the
    STORAGE_APPEND beside it is saved: a candidate that crashes before could win the same term twice, and append
    different entries at one index of it.
    """

    soft_state: SoftState | None
    """Who leads and what this member is, if that changed; not to be saved."""
    hard_state: HardState | None
    """Term, vote and commit index, if any of them changed."""
    read_states: Sequence[ReadState]
    """Answers to `read_index`: a read may pass once the index is applied here."""
    entries: Sequence[Entry]
    """To be appended to the saved log."""
    snapshot: Snapshot | None
    """To replace the saved log and the state machine's state."""
    committed_entries: Sequence[Entry]
    """To be applied; saved before, or in this same Ready."""
    messages_now: Sequence[Message]
    messages_after_save: Sequence[Message]
    must_sync: bool
    """Whether the save must be durable before `messages_after_save` leave: entries, a new term, or a vote."""

    @property
    def messages(self) -> list[Message]:
        """All messages, in the order in which the rules queued them."""
        return [*self.messages_now, *self.messages_after_save]
