"""Reading a whole log back: what it holds behind a snapshot, and which snapshots it knows of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trioetcd.raft.types import Entry, HardState
from trioetcd.storage.filesystem import FileSystem
from trioetcd.storage.wal_record import (
    Record,
    RecordType,
    WalDamage,
    WalSnapshot,
    decode_marker,
    decode_save,
    decode_save_hard_state,
)
from trioetcd.storage.wal_segment import (
    SegmentName,
    SegmentReader,
    TornTail,
    list_segments,
    read_segments,
    segments_from,
)


class WalContents(NamedTuple):
    """What a log holds: entries without gaps behind the snapshot it was read from, and the newest hard state."""

    metadata: bytes
    hard_state: HardState
    entries: list[Entry]
    torn: TornTail | None = None


def read_log(
    fs: FileSystem, directory: Path, start: WalSnapshot
) -> tuple[WalContents, SegmentReader, list[SegmentName]]:
    """Read the log behind `start`. Also returns the last segment as read, and the names of all. Changes nothing."""
    names = list_segments(fs, directory)
    needed = segments_from(names, start.index)
    if not needed:
        what = f"the log begins with {names[0]}" if names else "there is no segment"
        raise WalDamage(directory, 0, f"{what}; the snapshot at index {start.index} needs an earlier one")
    replay = _Replay(start)
    for reader in read_segments(fs, directory, needed):
        replay.take_segment(reader)
    replay.check_complete(reader)
    return WalContents(reader.head.metadata, replay.hard_state, replay.entries, reader.torn), reader, names


def read_markers(fs: FileSystem, directory: Path) -> list[WalSnapshot]:
    """The snapshot markers that a start may rely on, oldest first: those at or below the last hard state's commit.

    A marker above it was written, and then the crash came before the hard state that goes with it.
    """
    markers: list[WalSnapshot] = []
    commit = 0
    for reader in read_segments(fs, directory, list_segments(fs, directory)):
        commit = reader.head.hard_state.commit
        for record in reader:
            if record.type is RecordType.MARKER:
                marker, hard_state = reader.decode(record, decode_marker)
                markers.append(marker)
            else:
                hard_state = reader.decode(record, decode_save_hard_state)
            commit = commit if hard_state is None else hard_state.commit
    return [marker for marker in markers if marker.index <= commit]


class _Replay:
    """The log behind one snapshot, as it builds up record by record."""

    def __init__(self, start: WalSnapshot) -> None:
        self._start = start
        self._found = False
        self._term_at_start: int | None = 0 if start.index == 0 else None  # of the log's own entry at start.index
        self._metadata: bytes | None = None
        self.hard_state = HardState()
        self.entries: list[Entry] = []

    def take_segment(self, reader: SegmentReader) -> None:
        """Read one segment to its end."""
        head = reader.head
        if self._metadata not in (None, head.metadata):
            raise WalDamage(reader.path, 0, "its metadata is not that of the segment before it: it is another log's")
        self._metadata = head.metadata
        self.hard_state = head.hard_state
        for record in reader:
            if record.type is RecordType.SAVE:
                self._take_save(reader, record)
            else:
                self._take_marker(reader, record)

    def check_complete(self, reader: SegmentReader) -> None:
        """Hold the end of the log against what a start relies on."""
        start = self._start
        if not self._found:
            raise WalDamage(
                reader.path, reader.end, f"no marker of the snapshot at index {start.index}, term {start.term}"
            )
        last = self.entries[-1].index if self.entries else start.index
        if self.hard_state.commit > last:
            what = f"entries up to {self.hard_state.commit} were committed here, and the log ends with {last}"
            raise WalDamage(reader.path, reader.end, what)

    def _take_save(self, reader: SegmentReader, record: Record) -> None:
        hard_state, entries = reader.decode(record, decode_save)
        if hard_state is not None:
            self.hard_state = hard_state
        if not entries:
            return
        first = entries[0].index
        for expected, entry in enumerate(entries, first):
            if entry.index != expected:
                self._refuse_gap(reader, record, expected, entry.index)
        if first <= self._start.index:
            entries = self._without_older(entries)
        self._put(reader, record, entries)

    def _without_older(self, entries: list[Entry]) -> list[Entry]:
        """The entries behind the start; of the one at the start the term is kept, of one before it that it is gone."""
        position = self._start.index - entries[0].index
        self._term_at_start = entries[position].term if position < len(entries) else None
        return entries[position + 1 :]

    def _put(self, reader: SegmentReader, record: Record, entries: Sequence[Entry]) -> None:
        # entries[i] of the replay has index start.index + 1 + i.
        if not entries:
            return
        position = entries[0].index - self._start.index - 1
        if position > len(self.entries):
            self._refuse_gap(reader, record, self._start.index + 1 + len(self.entries), entries[0].index)
        self.entries[position:] = entries

    def _take_marker(self, reader: SegmentReader, record: Record) -> None:
        marker, hard_state = reader.decode(record, decode_marker)
        if hard_state is not None:
            self.hard_state = hard_state
        if marker.index != self._start.index:
            return
        if marker.term != self._start.term:
            what = f"the snapshot at index {marker.index} is marked with term {marker.term}, not {self._start.term}"
            raise WalDamage(reader.path, record.offset, what)
        self._found = True
        if self._term_at_start != marker.term:
            # The snapshot came from a leader and replaced the log: what older entries followed is of no term that
            # the snapshot knows, and a vote that counted them would be given to the wrong candidate.
            self.entries.clear()

    def _refuse_gap(self, reader: SegmentReader, record: Record, expected: int, found: int) -> None:
        raise WalDamage(reader.path, record.offset, f"entry {expected} was to follow, here is entry {found}")
