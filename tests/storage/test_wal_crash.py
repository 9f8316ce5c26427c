"""The log after a crash at every operation, in every mode, and after a flip of every byte.

One scenario is run once on the disk in memory. Before each operation that changes something the disk is copied, with
what had been promised by then; each copy is crashed in every mode and opened. What was synced must be there, nothing
but a prefix of what was not synced may follow it, and a crash alone must never make the log refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from trioetcd.raft.types import ConfState, Entry, EntryType, HardState
from trioetcd.storage.wal import WalContents, WalDamage, WalSnapshot, WriteAheadLog, read_markers
from trioetcd.storage.wal_tail import SECTOR_BYTES
from trioetcd.testing.disk import CrashMode, MemoryFileSystem

WAL = Path("/member/wal")
SEGMENT = 8 * SECTOR_BYTES
START = WalSnapshot()
RUNS = {CrashMode.DROP: 1, CrashMode.KEEP: 1, CrashMode.TORN: 6, CrashMode.SUBSET: 8, CrashMode.ZEROED: 3}


class State(NamedTuple):
    """What the log holds after an append: hard state and entries, by index."""

    hard_state: HardState
    entries: tuple[Entry, ...]


class Image(NamedTuple):
    """A copy of the disk before an operation, and what had been promised by then."""

    fs: MemoryFileSystem
    operation: str
    created: bool
    synced: int  # states[synced] is on the disk
    states: list[State]
    marker: int  # the index of the newest marker that was synced


class Scenario:
    """Runs a log and keeps book of what it promised."""

    def __init__(self, disk: type[MemoryFileSystem] = MemoryFileSystem, *, scale: int = 1) -> None:
        self._scale = scale
        self.images: list[Image] = []
        self.fs = disk(before_operation=self._take_image)
        self.created = False
        self.states = [State(HardState(), ())]
        self.synced = 0
        self.marker = 0

    def run(self) -> None:
        self.log = WriteAheadLog.create(fs=self.fs, directory=WAL, metadata=b"m", segment_bytes=SEGMENT * self._scale)
        self.created = True
        index = 0
        for step in range(30):
            sizes = (40, 600, 0, 90)  # less than half a segment, so that each append is one record
            index = self._append(index + 1, 1 + step % 3, sizes[step % 4], term=1)
            if step == 5:  # A new leader's entries replace the last ones.
                index = self._append(index - 1, 2, 100, term=2)
            if step % 3 != 1:
                self._sync()
            if step in (4, 8, 15, 22):
                self._snapshot(self.states[self.synced].hard_state.commit)
            if step == 18:
                index = self._receive_snapshot(index + 7)
        self._append(index + 1, 2, 1000, term=2)
        self._take_image("end")

    def _append(self, first: int, count: int, size: int, term: int) -> int:
        last = first + count - 1
        size *= self._scale
        added = tuple(Entry(term, i, EntryType.NORMAL, bytes([i]) * size) for i in range(first, last + 1))
        hard_state = HardState(term, 1, max(first - 2, self.states[-1].hard_state.commit))
        before = tuple(entry for entry in self.states[-1].entries if entry.index < first)
        self.states.append(State(hard_state, before + added))
        self.log.append(hard_state, added)
        return last

    def _sync(self) -> None:
        self.log.sync()
        self.synced = len(self.states) - 1

    def _snapshot(self, index: int) -> None:
        (term,) = (entry.term for entry in self.states[-1].entries if entry.index == index)
        self._save_snapshot(WalSnapshot(index, term, ConfState(voters=(1,))), None)

    def _receive_snapshot(self, index: int) -> int:
        """A leader's snapshot replaces the log."""
        hard_state = HardState(1, 0, index)
        self.states.append(State(hard_state, ()))
        self._save_snapshot(WalSnapshot(index, 1, ConfState(voters=(1, 2))), hard_state)
        return index

    def _save_snapshot(self, marker: WalSnapshot, hard_state: HardState | None) -> None:
        index = marker.index
        self.log.save_snapshot(marker, hard_state=hard_state)
        self.synced = len(self.states) - 1
        self.marker = index
        self.log.release_to(index)
        self.log.remove(self.log.give_up(1))

    def _take_image(self, operation: str) -> None:
        image = Image(self.fs.clone(), operation, self.created, self.synced, list(self.states), self.marker)
        self.images.append(image)


@pytest.fixture(scope="module")
def images() -> list[Image]:
    scenario = Scenario()
    scenario.run()
    operations = " ".join(image.operation for image in scenario.images)
    assert all(word in operations for word in ("rename", "unlink", "preallocate", "sync directory"))
    return scenario.images


def crashed(image: Image) -> Iterator[tuple[str, MemoryFileSystem]]:
    for mode, runs in RUNS.items():
        for seed in range(runs):
            fs = image.fs.clone()
            fs.crash(Random(f"{image.operation}/{mode}/{seed}"), mode)
            yield f"crash before {image.operation!r}, {mode.name}, seed {seed}", fs


def check(image: Image, fs: MemoryFileSystem, case: str) -> WriteAheadLog | None:
    if not WriteAheadLog.exists(fs, WAL):
        assert not image.created, case
        return None
    marker = read_markers(fs, WAL)[-1]
    assert marker.index >= image.marker, case
    log, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=marker)
    possible = [as_read(state, marker.index) for state in image.states[image.synced :]]
    assert (contents.hard_state, contents.entries) in possible, case
    return log


def as_read(state: State, start: int) -> tuple[HardState, list[Entry]]:
    return state.hard_state, [entry for entry in state.entries if entry.index > start]


def test_a_crash_before_any_operation_loses_nothing_that_was_synced_and_never_refuses(images: list[Image]) -> None:
    assert len(images) > 80
    opens = 0
    for image in images:
        for case, fs in crashed(image):
            try:
                log = check(image, fs, case)
            except WalDamage as damage:
                pytest.fail(f"{case}: {damage}")
            opens += log is not None
    assert opens > 1000


def test_a_crash_between_records_that_took_zeros_along_loses_nothing_either() -> None:
    scenario = Scenario(scale=40)
    scenario.run()
    for image in scenario.images:
        for mode in CrashMode:
            fs = image.fs.clone()
            fs.crash(Random(f"{image.operation}/{mode}"), mode)
            check(image, fs, f"crash before {image.operation!r}, {mode.name}")


class ForgetsNames(MemoryFileSystem):
    def sync_directory(self, path: Path, /) -> None:
        pass


class ForgetsBytes(MemoryFileSystem):
    def next_sync_fails(self) -> bool:
        for inode in self._names.values():
            inode.changes.clear()  # The sync that follows has nothing left to do.
        return False


@pytest.mark.parametrize("disk", [ForgetsNames, ForgetsBytes])
def test_the_checks_above_find_a_sync_that_is_missing(disk: type[MemoryFileSystem]) -> None:
    scenario = Scenario(disk)
    scenario.run()
    image = scenario.images[-1]
    case, fs = next(crashed(image))
    with pytest.raises((AssertionError, WalDamage)):
        check(image, fs, case)


def test_the_log_goes_on_after_a_crash_and_a_crash_while_it_recovers(images: list[Image]) -> None:
    for image in images[8::7]:
        for case, fs in crashed(image):
            recovering: list[MemoryFileSystem] = []
            fs.before_operation = lambda _, fs=fs, recovering=recovering: recovering.append(fs.clone())
            log = check(image, fs, case)
            fs.before_operation = None
            for n, again in enumerate(recovering):
                again.crash(Random(n), CrashMode.SUBSET)
                check(image, again, f"{case}, and again in recovery at operation {n}")
            if log is not None:
                go_on(log, fs, case)


def go_on(log: WriteAheadLog, fs: MemoryFileSystem, case: str) -> None:
    index = log.status().last_index + 1
    log.append(HardState(9, 1, index), [Entry(9, index, EntryType.NORMAL, b"later" * 100)])
    log.sync()
    fs.crash(Random(case), CrashMode.DROP)
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=read_markers(fs, WAL)[-1])
    assert contents.hard_state == HardState(9, 1, index), case
    assert contents.entries[-1].data == b"later" * 100, case
    assert contents.torn is None, case


def small_log() -> tuple[MemoryFileSystem, Path, list[State], list[int]]:
    """A log of five synced records: the disk, its one segment, the states, and where each record ends."""
    fs = MemoryFileSystem()
    log = WriteAheadLog.create(fs=fs, directory=WAL, metadata=b"m", segment_bytes=4 * SECTOR_BYTES)
    states, ends = [State(HardState(), ())], [log.status().written_bytes]
    for index in range(1, 6):
        hard_state = HardState(1, 1, index - 1)
        added = Entry(1, index, EntryType.NORMAL, bytes([index]) * 60 + bytes(index))
        states.append(State(hard_state, (*states[-1].entries, added)))
        log.append(hard_state, [added])
        log.sync()
        ends.append(log.status().written_bytes)
    (name,) = fs.list_directory(WAL)
    return fs, WAL / name, states, ends


def opened(fs: MemoryFileSystem) -> WalContents:
    return WriteAheadLog.open(fs=fs, directory=WAL, start=START)[1]


def opened_or_damaged(fs: MemoryFileSystem) -> WalContents | WalDamage:
    try:
        return opened(fs)
    except WalDamage as damage:
        return damage


def test_a_tail_torn_at_every_byte_of_the_last_record_is_cut_off() -> None:
    fs, path, states, ends = small_log()
    whole = fs.content(path)
    for torn_at in range(ends[-2], ends[-1]):
        image = fs.clone()
        image.overwrite(path, torn_at, bytes(len(whole) - torn_at))
        contents = opened(image)
        # The padding behind the end mark is zero anyway.
        kept = 5 if image.content(path) == whole else 4
        assert (contents.hard_state, contents.entries) == as_read(states[kept], 0), torn_at
        if kept == 4:
            assert image.content(path)[ends[-2] :] == bytes(len(whole) - ends[-2])
            expected = None if torn_at == ends[-2] else ends[-2]
            assert expected == (contents.torn.offset if contents.torn else None)


def test_a_flip_of_every_bit_is_refused_or_lies_in_a_tail_that_is_cut_off() -> None:
    fs, path, states, ends = small_log()
    last = as_read(states[-1], 0)
    cut = 0
    for offset in range(ends[-1] + 64):
        for bit in (0, 5, 7):
            fs.flip_bit(path, offset, bit)
            image = fs.clone()
            fs.flip_bit(path, offset, bit)
            contents = opened_or_damaged(image)
            if isinstance(contents, WalDamage):
                assert (contents.file, contents.offset) <= (path, offset)
                continue
            assert offset >= ends[-1], "a bit of a synced record was flipped, and the log did not refuse"
            assert (contents.hard_state, contents.entries) == last
            cut += contents.torn is not None
    assert cut


def test_a_sector_zeroed_under_a_synced_record_is_refused_for_the_testimony_of_a_later_one() -> None:
    fs, path, _, _ = small_log()
    fs.overwrite(path, 256, bytes(100))
    with pytest.raises(WalDamage, match=r"the record at offset \d+ was written when this one had been synced"):
        opened(fs)


def test_records_behind_a_missing_sector_are_cut_off_with_it() -> None:
    fs, path, states, ends = small_log()
    log, _ = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    for index in range(6, 10):
        log.append(None, [Entry(1, index, EntryType.NORMAL, b"x" * 300)])
    first_sector = (ends[-1] // SECTOR_BYTES + 1) * SECTOR_BYTES
    fs.overwrite(path, first_sector, bytes(SECTOR_BYTES))
    contents = opened(fs)
    assert tuple(contents.entries[:5]) == states[-1].entries
    assert len(contents.entries) < 9
    assert contents.torn is not None
    assert contents.torn.size_bytes > 900


def test_a_length_beyond_the_file_is_refused_before_anything_is_read() -> None:
    fs, path, _, _ = small_log()
    fs.overwrite(path, 0, b"\xff\xff\xff\x7f")
    with pytest.raises(WalDamage, match="header's checksum"):
        opened(fs)
