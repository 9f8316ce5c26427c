"""The replicated log (thesis 3.5): storage, what is on its way there, and how far it is committed and applied."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from trioetcd.raft.errors import Compacted, RaftInvariantError, Unavailable
from trioetcd.raft.sizes import entries_size, limit_size
from trioetcd.raft.storage import LogStorage
from trioetcd.raft.types import NO_LIMIT, Entry, Snapshot
from trioetcd.raft.unstable import Unstable


class RaftLog:
    """applied <= applying <= committed <= last_index, always; each only rises."""

    def __init__(self, *, storage: LogStorage, max_applying_size_bytes: int = NO_LIMIT) -> None:
        self._storage = storage
        self.unstable = Unstable(offset=storage.last_index() + 1)
        compacted = storage.first_index() - 1
        self.committed = compacted  # known to be saved by a quorum
        self.applying = compacted  # handed out to be applied
        self.applied = compacted  # reported as applied
        self.max_applying_size_bytes = max_applying_size_bytes
        self._applying_batches: deque[tuple[int, int]] = deque()  # handed out, not reported: (last index, size)
        self._applying_size = 0  # of those together, at most one entry over the limit
        self._applying_paused = False  # until enough is reported as applied

    # -- what there is ------------------------------------------------------------------------------------------

    def first_index(self) -> int:
        """The first entry that can be sent to a follower."""
        snapshot = self.unstable.snapshot
        return self._storage.first_index() if snapshot is None else snapshot.metadata.index + 1

    def last_index(self) -> int:
        """The last entry, saved or not."""
        unstable = self.unstable
        return unstable.offset + len(unstable.entries) - 1

    def last_term(self) -> int:
        """The term of the last entry."""
        return self.term(self.last_index())

    def term(self, index: int) -> int:
        """The term of an entry in [first_index - 1, last_index]; `Compacted` before, `Unavailable` after."""
        unstable = self.unstable
        position = index - unstable.offset
        if position >= 0:
            if position >= len(unstable.entries):
                raise Unavailable(f"entry {index} lies after the last index {self.last_index()}")
            return unstable.entries[position].term
        snapshot = unstable.snapshot
        if snapshot is None or index > snapshot.metadata.index:
            return self._storage.term(index)
        if index < snapshot.metadata.index:
            raise Compacted(f"the term of entry {index} is compacted: the first index is {self.first_index()}")
        return snapshot.metadata.term

    def term_or_zero(self, index: int) -> int:
        """The term of an entry, or 0, which is no term, if it is not known."""
        try:
            return self.term(index)
        except (Compacted, Unavailable):
            return 0

    def match_term(self, index: int, term: int) -> bool:
        """Whether the log has this entry; by log matching (thesis 3.5) then all before it are the same too."""
        try:
            return self.term(index) == term
        except (Compacted, Unavailable):
            return False

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends so is at least as complete as this one (thesis 3.6.1, the voter's check)."""
        return (last_term, last_index) >= (self.last_term(), self.last_index())

    def entries(self, lo: int, max_size_bytes: int) -> Sequence[Entry]:
        """The entries from `lo` on, as many as fit but one at least; `Compacted` if they are gone."""
        last = self.last_index()
        return () if lo > last else self.slice(lo, last + 1, max_size_bytes)

    def snapshot(self) -> Snapshot:
        """The latest snapshot; `SnapshotTemporarilyUnavailable` if storage is making one."""
        return self._storage.snapshot() if self.unstable.snapshot is None else self.unstable.snapshot

    def slice(self, lo: int, hi: int, max_size_bytes: int) -> Sequence[Entry]:
        """The entries of [lo, hi) from storage and the unstable end together, as many as fit but one at least."""
        offset = self.unstable.offset
        if lo >= offset:
            return limit_size(self.unstable.slice(lo, hi), max_size_bytes)
        if lo < self.first_index():
            raise Compacted(f"entry {lo} is compacted: the first index is {self.first_index()}")
        if hi > self.last_index() + 1:
            raise RaftInvariantError(f"entries [{lo}, {hi}) are asked for, the last index is {self.last_index()}")
        cut = min(hi, offset)
        stored = self._storage.entries(lo, cut, max_size_bytes)
        if hi <= offset or len(stored) < cut - lo:
            return stored
        return self._extend(stored, self.unstable.slice(offset, hi), max_size_bytes)

    def _extend(self, stored: Sequence[Entry], unstable: Sequence[Entry], max_size_bytes: int) -> Sequence[Entry]:
        if max_size_bytes >= NO_LIMIT:
            return [*stored, *unstable]
        room = max_size_bytes - entries_size(stored)
        more = limit_size(unstable, room)
        if len(more) == 1 and entries_size(more) > room:
            return stored
        return [*stored, *more]

    def scan(self, lo: int, hi: int, page_size_bytes: int) -> Iterator[Entry]:
        """The entries of [lo, hi), read in pages so that a long log is never in memory at once."""
        while lo < hi:
            page = self.slice(lo, hi, page_size_bytes)
            yield from page
            lo += len(page)

    # -- growing ------------------------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> int:
        """Append entries over whatever follows the one before them; what is committed is never replaced."""
        if entries:
            after = entries[0].index - 1
            if after < self.committed:
                raise RaftInvariantError(
                    f"entries after {after} would replace committed ones (committed {self.committed})"
                )
            self.unstable.truncate_and_append(entries)
        return self.last_index()

    def maybe_append(self, index: int, term: int, entries: Sequence[Entry], committed: int) -> int | None:
        """A leader's append after (index, term): the last new index, or None if the logs do not match there."""
        if not self.match_term(index, term):
            return None
        if entries and (entries[0].index, entries[-1].index) != (index + 1, index + len(entries)):
            raise RaftInvariantError(
                f"{len(entries)} entries {entries[0].index}..{entries[-1].index} were sent to follow index {index}"
            )
        conflict = self.find_conflict(entries)
        if conflict:
            if conflict <= self.committed:
                raise RaftInvariantError(
                    f"entry {conflict} conflicts with a committed one (committed {self.committed})"
                )
            self.append(entries[conflict - index - 1 :])
        last_new = index + len(entries)
        self.commit_to(min(committed, last_new))
        return last_new

    def find_conflict(self, entries: Sequence[Entry]) -> int:
        """The index of the first of these entries that the log does not have, or 0 if it has them all."""
        if entries and entries[0].index > self.last_index():
            return entries[0].index
        for entry in entries:
            if not self.match_term(entry.index, entry.term):
                return entry.index
        return 0

    def find_conflict_by_term(self, index: int, term: int) -> tuple[int, int]:
        """Where this log may still match another that has `term` at `index`: the last entry of no later term.

        Returns its index and term; the term is 0 if it is not known here. Both sides use it to skip a whole term a
        round of probing, where one entry a round could take hours (thesis 3.5, the optimization at its end).
        """
        while index > 0:
            try:
                ours = self.term(index)
            except (Compacted, Unavailable):
                return index, 0
            if ours <= term:
                return index, ours
            index -= 1
        return 0, 0

    def restore(self, snapshot: Snapshot) -> None:
        """Replace the log by a snapshot, whose entries are committed."""
        self.committed = snapshot.metadata.index
        self.unstable.restore(snapshot)

    # -- committing and applying ----------------------------------------------------------------------------------

    def commit_to(self, index: int) -> None:
        """Raise the commit index; it never falls."""
        if index <= self.committed:
            return
        if index > self.last_index():
            raise RaftInvariantError(
                f"commit index {index} is out of range: the last index is {self.last_index()} "
                f"(committed {self.committed}). The log lacks entries that it was acknowledged to have: it was "
                "corrupted, truncated, or put back from a copy. Remove this member from its cluster, and add it anew "
                "with an empty data directory"
            )
        self.committed = index

    def maybe_commit(self, index: int, term: int) -> bool:
        """Commit up to `index` if the entry there is of `term`, the leader's own (thesis 3.6.2); true if it rose."""
        if index <= self.committed or self.term_or_zero(index) != term:
            return False
        self.commit_to(index)
        return True

    def _appliable_index(self, allow_unstable: bool) -> int:  # noqa: FBT001 (private, named at all callers)
        if self._applying_paused or self.unstable.snapshot is not None:  # a snapshot on its way comes first, alone
            return self.applying
        return self.committed if allow_unstable else min(self.committed, self.unstable.offset - 1)

    def has_next_committed(self, *, allow_unstable: bool) -> bool:
        """Whether there is something to apply."""
        return self.applying < self._appliable_index(allow_unstable)

    def next_committed(self, *, allow_unstable: bool) -> Sequence[Entry]:
        """What is to be applied next, within the limit for all that is being applied.

        Entries can be committed by others before they are saved here; they are handed out only if `allow_unstable`.
        """
        end = self._appliable_index(allow_unstable) + 1
        if self.applying + 1 >= end:
            return ()
        return self.slice(self.applying + 1, end, self.max_applying_size_bytes - self._applying_size)

    def accept_applying(self, entries: Sequence[Entry], *, allow_unstable: bool) -> None:
        """Note that these were handed out to be applied."""
        self.applying = entries[-1].index
        if self.max_applying_size_bytes < NO_LIMIT:
            size = entries_size(entries)
            self._applying_batches.append((self.applying, size))
            self._applying_size += size
            # Paused by the limit, or because the next entry did not fit into what the limit left.
            self._applying_paused = (
                self._applying_size >= self.max_applying_size_bytes
                or self.applying < self._appliable_index(allow_unstable)
            )

    def applied_to(self, index: int) -> None:
        """Note that everything up to `index` is applied."""
        if not self.applied <= index <= self.committed:
            raise RaftInvariantError(f"applied index {index} is out of range [{self.applied}, {self.committed}]")
        self.applied = index
        self.applying = max(self.applying, index)
        while self._applying_batches and self._applying_batches[0][0] <= index:
            self._applying_size -= self._applying_batches.popleft()[1]
        self._applying_paused = self._applying_size >= self.max_applying_size_bytes
