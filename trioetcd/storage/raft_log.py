"""The log as the consensus core reads it: the saved entries behind the last compaction, kept in memory.

What is here was given to the write-ahead log first, in the same order. Nothing here touches the disk, so every method
returns at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from trioetcd.raft.errors import Compacted, RaftInvariantError, SnapshotOutOfDate, Unavailable
from trioetcd.raft.sizes import limit_size
from trioetcd.raft.types import ConfState, Entry, HardState, Snapshot, SnapshotMetadata


class RaftLogStatus(NamedTuple):
    """What the log holds: entries of [first_index, last_index], none if last_index is first_index - 1."""

    first_index: int
    last_index: int
    snapshot_index: int
    hard_state: HardState


class RaftLog:
    """The core's `LogStorage`; `hard_state`, `snapshot` and `entries` are what a restart found, or nothing.

    A snapshot here is its metadata alone: the state is the engine, and is read from it when a snapshot is sent.
    """

    def __init__(
        self,
        *,
        hard_state: HardState = HardState(),  # noqa: B008 - immutable
        snapshot: SnapshotMetadata = SnapshotMetadata(),  # noqa: B008 - immutable
        entries: Sequence[Entry] = (),
    ) -> None:
        self._hard_state = hard_state
        self._snapshot = Snapshot(snapshot)
        # _entries[0] stands for what was compacted last, so that its term can still be told; indexes have no gaps.
        self._entries = [Entry(snapshot.term, snapshot.index)]
        self.append(entries)

    def initial_state(self) -> tuple[HardState, ConfState]:
        """See `LogStorage`."""
        return self._hard_state, self._snapshot.metadata.conf_state

    def entries(self, lo: int, hi: int, max_size_bytes: int) -> Sequence[Entry]:
        """See `LogStorage`."""
        offset = self._entries[0].index
        if lo <= offset:
            raise Compacted(f"entry {lo} is compacted: the first is {offset + 1}")
        if hi > self.last_index() + 1:
            raise RaftInvariantError(f"entries [{lo}, {hi}) are asked for, the last is {self.last_index()}")
        return limit_size(self._entries[lo - offset : hi - offset], max_size_bytes)

    def term(self, index: int) -> int:
        """See `LogStorage`."""
        position = index - self._entries[0].index
        if position < 0:
            raise Compacted(f"the term of entry {index} is compacted: the first index is {self.first_index()}")
        if position >= len(self._entries):
            raise Unavailable(f"entry {index} is not stored: the last is {self.last_index()}")
        return self._entries[position].term

    def first_index(self) -> int:
        """See `LogStorage`."""
        return self._entries[0].index + 1

    def last_index(self) -> int:
        """See `LogStorage`."""
        return self._entries[-1].index

    def snapshot(self) -> Snapshot:
        """See `LogStorage`."""
        return self._snapshot

    def append(self, entries: Sequence[Entry]) -> None:
        """Keep entries, which replace what the log had from the first of them on; compacted ones are skipped.

        `RaftInvariantError` if they would leave a gap.
        """
        if not entries or entries[-1].index < self.first_index():
            return
        entries = entries[max(self.first_index() - entries[0].index, 0) :]
        position = entries[0].index - self._entries[0].index
        if position > len(self._entries):
            raise RaftInvariantError(f"entry {entries[0].index} leaves a gap after {self.last_index()}")
        self._entries[position:] = entries

    def set_hard_state(self, hard_state: HardState) -> None:
        """Keep what was saved last."""
        self._hard_state = hard_state

    def create_snapshot(self, index: int, conf_state: ConfState) -> SnapshotMetadata:
        """Note that a snapshot as of `index` can be had, and return its metadata; the log keeps its entries.

        `SnapshotOutOfDate` if one as new is known, `Compacted` or `Unavailable` if the log does not know the index.
        """
        self._refuse_old(index)
        metadata = SnapshotMetadata(conf_state, index, self.term(index))
        self._snapshot = Snapshot(metadata)
        return metadata

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace the whole log by a snapshot that came from the leader; `SnapshotOutOfDate` if it is not newer."""
        self._refuse_old(snapshot.metadata.index)
        self._snapshot = Snapshot(snapshot.metadata)
        self._entries = [Entry(snapshot.metadata.term, snapshot.metadata.index)]

    def compact(self, index: int) -> None:
        """Forget the entries up to and with `index`; `Compacted` if they are gone, `Unavailable` if not there."""
        offset = self._entries[0].index
        if index <= offset:
            raise Compacted(f"entry {index} is compacted: the first is {offset + 1}")
        kept_term = self.term(index)
        self._entries[: index - offset + 1] = [Entry(kept_term, index)]

    def status(self) -> RaftLogStatus:
        """What the log holds."""
        return RaftLogStatus(self.first_index(), self.last_index(), self._snapshot.metadata.index, self._hard_state)

    def _refuse_old(self, index: int) -> None:
        newest = self._snapshot.metadata.index
        if index <= newest:
            raise SnapshotOutOfDate(f"snapshot {index} is not newer than {newest}")
