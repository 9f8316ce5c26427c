"""The end of the log that storage does not have yet: entries and a snapshot on their way to it.

    storage            unstable.entries
    ... offset-1 | offset ... in_progress-1 | in_progress ... last
                   being saved                 not handed out yet

`offset` may lie before the end of what storage has: then the next save overwrites storage from there on. So the log
ends with the last entry here, or right before `offset` when there is none. What is handed out to be saved stays
readable here until it is known to be saved, so that reads never wait for a disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from trioetcd.raft.errors import RaftInvariantError
from trioetcd.raft.types import Entry, Snapshot


class Unstable:
    """Entries from `offset` on, and at most one snapshot, which stands for all before `offset`."""

    def __init__(self, *, offset: int) -> None:
        self.offset = offset  # entries[i] has index offset + i
        self.in_progress = offset  # offset <= in_progress <= offset + len(entries); those before it are being saved
        self.entries: list[Entry] = []
        self.snapshot: Snapshot | None = None
        self.snapshot_in_progress = False

    def next_entries(self) -> Sequence[Entry]:
        """What has not been handed out to be saved."""
        return self.entries[self.in_progress - self.offset :]

    @property
    def last_entry(self) -> Entry | None:
        """The last entry that storage does not have yet, if there is one."""
        return self.entries[-1] if self.entries else None

    @property
    def has_next(self) -> bool:
        """Whether there is anything that has not been handed out to be saved."""
        if self.snapshot is not None and not self.snapshot_in_progress:
            return True
        return self.in_progress - self.offset < len(self.entries)

    def next_snapshot(self) -> Snapshot | None:
        """The snapshot, if it has not been handed out to be saved."""
        return None if self.snapshot_in_progress else self.snapshot

    def accept_in_progress(self) -> None:
        """Note that all that is here has been handed out to be saved."""
        self.in_progress = self.offset + len(self.entries)
        self.snapshot_in_progress = self.snapshot is not None

    def stable_to(self, index: int, term: int) -> None:
        """Drop the entries up to this one, which storage has now. Ignored unless exactly this entry is here.

        Only for an entry that no save still under way can overwrite in storage; see `storage_messages`.
        """
        count = index + 1 - self.offset
        if not 0 < count <= len(self.entries) or self.entries[count - 1].term != term:
            return
        del self.entries[:count]
        self.offset = index + 1
        self.in_progress = max(self.in_progress, self.offset)

    def stable_snapshot_to(self, index: int) -> None:
        """Drop the snapshot if it is this one, which storage has now."""
        if self.snapshot is not None and self.snapshot.metadata.index == index:
            self.snapshot = None
            self.snapshot_in_progress = False

    def restore(self, snapshot: Snapshot) -> None:
        """Replace everything by a snapshot."""
        self.offset = self.in_progress = snapshot.metadata.index + 1
        self.entries = []
        self.snapshot = snapshot
        self.snapshot_in_progress = False

    def truncate_and_append(self, entries: Sequence[Entry]) -> None:
        """Append entries, which replace all from the first of them on."""
        first = entries[0].index
        if first > self.offset + len(self.entries):
            raise RaftInvariantError(f"entry {first} leaves a gap after {self.offset + len(self.entries) - 1}")
        if first < self.offset:
            # What is overwritten is in storage already: everything from `first` on has to be saved anew.
            self.offset = first
            self.entries = list(entries)
        else:
            self.entries[first - self.offset :] = entries
        self.in_progress = min(self.in_progress, first)

    def slice(self, lo: int, hi: int) -> Sequence[Entry]:
        """The entries of [lo, hi), all of which must be here."""
        if not self.offset <= lo <= hi <= self.offset + len(self.entries):
            raise RaftInvariantError(
                f"unstable entries [{lo}, {hi}) lie outside [{self.offset}, {self.offset + len(self.entries)})"
            )
        return self.entries[lo - self.offset : hi - self.offset]
