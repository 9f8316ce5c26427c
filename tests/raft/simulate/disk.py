"""A member's disk: what is written is readable at once, and durable only when it is synced."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from trioetcd.raft import ConfState, Entry, HardState, MemoryStorage, Snapshot


class Image(MemoryStorage):
    """A stored log, snapshot and hard state that can be compared and copied: hence the use of its base's privates."""

    @property
    def hard_state(self) -> HardState:
        return self._hard_state

    def holds(self, index: int, term: int) -> bool:
        """Whether this entry is here, or is part of the snapshot."""
        position = index - self._entries[0].index
        if position < 0:
            return True
        return position < len(self._entries) and self._entries[position].term == term

    def stored_term(self, index: int) -> int:
        """The term of an entry that is here, 0 if it is not or is compacted."""
        position = index - self._entries[0].index
        return self._entries[position].term if 0 <= position < len(self._entries) else 0

    def copy(self) -> Image:
        other = Image()
        other._hard_state, other._snapshot, other._entries = self._hard_state, self._snapshot, list(self._entries)
        return other


class Record(NamedTuple):
    """What is written at one stroke. A snapshot and the hard state that goes with it are one: else neither counts."""

    hard_state: HardState | None = None
    entries: Sequence[Entry] = ()
    snapshot: Snapshot | None = None

    def write(self, image: Image) -> None:
        if self.snapshot is not None:
            image.apply_snapshot(self.snapshot)
        image.append(self.entries)
        if self.hard_state is not None:
            # A commit index that waited longer than the snapshot after it would leave the snapshot uncommitted.
            commit = max(self.hard_state.commit, image.snapshot().metadata.index)
            image.set_hard_state(self.hard_state._replace(commit=commit))


class Disk:
    """`live` is what the core reads, `durable` what a crash leaves; between them lies what is not synced yet."""

    def __init__(self) -> None:
        self.live = Image()
        self.durable = Image()
        self._unsynced: list[Record] = []

    def write(self, hard_state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None) -> None:
        """Write, without a sync: the log first, then the state, as both are appended to one file."""
        if snapshot is not None:
            self._write(Record(hard_state, (), snapshot))
            hard_state = None
        if entries:
            self._write(Record(entries=tuple(entries)))
        if hard_state is not None:
            self._write(Record(hard_state))

    def _write(self, record: Record) -> None:
        record.write(self.live)
        self._unsynced.append(record)

    def sync(self) -> None:
        """Make everything durable that was written."""
        for record in self._unsynced:
            record.write(self.durable)
        self._unsynced.clear()

    def crash(self, chance: Random) -> int:
        """Lose what was not synced, but for as much of its beginning as happened to be written; how many were lost."""
        survivors = chance.randrange(len(self._unsynced) + 1)
        lost = len(self._unsynced) - survivors
        for record in self._unsynced[:survivors]:
            record.write(self.durable)
        if lost and len(entries := self._unsynced[survivors].entries) > 1:
            Record(entries=entries[: chance.randrange(len(entries))]).write(self.durable)  # a torn write
        self._unsynced.clear()
        self.live = self.durable.copy()
        return lost

    def make_snapshot(self, index: int, conf_state: ConfState, data: bytes, *, keep: int) -> None:
        """Put a snapshot in the place of the log up to `index`, but keep some entries before it; durable at once."""
        self.sync()
        for image in (self.live, self.durable):
            image.create_snapshot(index, conf_state, data)
            hard_state = image.hard_state
            image.set_hard_state(hard_state._replace(commit=max(hard_state.commit, index)))
            if index - keep >= image.first_index():
                image.compact(index - keep)
