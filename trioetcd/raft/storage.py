"""Where the core reads what is stored: `LogStorage`, declared here by its caller, and one that lives in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from trioetcd.raft.errors import Compacted, RaftInvariantError, SnapshotOutOfDate, Unavailable
from trioetcd.raft.sizes import limit_size
from trioetcd.raft.types import ConfState, Entry, HardState, Snapshot, SnapshotMetadata


class LogStorage(Protocol):
    """The saved log, as far as it is not compacted, and the latest snapshot. The core reads it and never writes it.

    Everything that a `Ready` asked to be saved must be readable here once it was reported saved, and nothing may come
    behind it that no `Ready` asked for: where the log ends is not asked again after the start.
    """

    def initial_state(self) -> tuple[HardState, ConfState]:
        """What was saved last, and the configuration of the latest snapshot; asked once, at the start."""
        ...

    def entries(self, lo: int, hi: int, max_size_bytes: int) -> Sequence[Entry]:
        """The entries of [lo, hi), as many as fit the limit but one at least; `Compacted`, `Unavailable`."""
        ...

    def term(self, index: int) -> int:
        """The term of an entry in [first_index - 1, last_index]; `Compacted` before, `Unavailable` after."""
        ...

    def first_index(self) -> int:
        """The index of the first entry that can be had; those before it are in the snapshot."""
        ...

    def last_index(self) -> int:
        """The index of the last entry; `first_index() - 1` if there are none."""
        ...

    def snapshot(self) -> Snapshot:
        """The latest snapshot; `SnapshotTemporarilyUnavailable` if it is being made: the core asks again later."""
        ...


class MemoryStorage:
    """A `LogStorage` without a disk: for tests, for examples, and as the model of what one must do."""

    def __init__(self) -> None:
        self._hard_state = HardState()
        self._snapshot = Snapshot()
        # Entry 0 stands for what was compacted last, so that its term can still be told.
        self._entries: list[Entry] = [Entry(term=0, index=0)]

    def initial_state(self) -> tuple[HardState, ConfState]:
        """See `LogStorage`."""
        return self._hard_state, self._snapshot.metadata.conf_state

    def set_hard_state(self, hard_state: HardState) -> None:
        """Keep this as what was saved last."""
        self._hard_state = hard_state

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
        offset = self._entries[0].index
        if index < offset:
            raise Compacted(f"the term of entry {index} is compacted: the first index is {self.first_index()}")
        if index - offset >= len(self._entries):
            raise Unavailable(f"entry {index} is not stored: the last is {self.last_index()}")
        return self._entries[index - offset].term

    def first_index(self) -> int:
        """See `LogStorage`."""
        return self._entries[0].index + 1

    def last_index(self) -> int:
        """See `LogStorage`."""
        return self._entries[-1].index

    def snapshot(self) -> Snapshot:
        """See `LogStorage`."""
        return self._snapshot

    def apply_snapshot(self, snapshot: Snapshot) -> None:
        """Replace the log by a snapshot; `SnapshotOutOfDate` if it is not newer than the one that is kept."""
        if snapshot.metadata.index <= self._snapshot.metadata.index:
            raise SnapshotOutOfDate(
                f"snapshot {snapshot.metadata.index} is not newer than {self._snapshot.metadata.index}"
            )
        self._snapshot = snapshot
        self._entries = [Entry(term=snapshot.metadata.term, index=snapshot.metadata.index)]

    def create_snapshot(self, index: int, conf_state: ConfState, data: bytes) -> Snapshot:
        """Keep a snapshot of the state as of an entry that is still in the log, and return it."""
        if index <= self._snapshot.metadata.index:
            raise SnapshotOutOfDate(f"snapshot {index} is not newer than {self._snapshot.metadata.index}")
        self._snapshot = Snapshot(SnapshotMetadata(conf_state, index, self.term(index)), data)
        return self._snapshot

    def compact(self, index: int) -> None:
        """Forget the entries up to and with `index`; `Compacted` if they are gone already."""
        offset = self._entries[0].index
        if index <= offset:
            raise Compacted(f"entry {index} is compacted: the first is {offset + 1}")
        self.term(index)
        del self._entries[: index - offset]
        self._entries[0] = Entry(term=self._entries[0].term, index=index)

    def append(self, entries: Sequence[Entry]) -> None:
        """Append entries, which replace all that is stored from the first of them on; compacted ones are skipped."""
        if not entries or entries[-1].index < self.first_index():
            return
        entries = entries[max(self.first_index() - entries[0].index, 0) :]
        position = entries[0].index - self._entries[0].index
        if position > len(self._entries):
            raise RaftInvariantError(f"entry {entries[0].index} leaves a gap after {self.last_index()}")
        self._entries[position:] = entries
