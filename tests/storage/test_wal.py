"""What the log gives back, and what it refuses."""

from __future__ import annotations

import errno
import re
import stat
from pathlib import Path
from random import Random

import pytest

from trioetcd.raft.types import ConfState, Entry, EntryType, HardState
from trioetcd.storage.filesystem import DiskFailure, OsFileSystem
from trioetcd.storage.wal import WalDamage, WalSnapshot, WriteAheadLog, read_markers
from trioetcd.testing.disk import CrashMode, MemoryFile, MemoryFileSystem

WAL = Path("/member/wal")
START = WalSnapshot()
SEGMENT = 4096


def entry(index: int, term: int = 1, size: int = 20) -> Entry:
    return Entry(term, index, EntryType.NORMAL, index.to_bytes(4, "big") + bytes([term]) * size)


def entries(first: int, last: int, term: int = 1, size: int = 20) -> list[Entry]:
    return [entry(index, term, size) for index in range(first, last + 1)]


def created(fs: MemoryFileSystem | OsFileSystem, directory: Path = WAL, segment_bytes: int = SEGMENT) -> WriteAheadLog:
    return WriteAheadLog.create(fs=fs, directory=directory, metadata=b"member 1", segment_bytes=segment_bytes)


def segments(fs: MemoryFileSystem) -> list[Path]:
    return [WAL / name for name in fs.list_directory(WAL)]


def test_what_was_appended_is_read_back_from_real_files(tmp_path: Path) -> None:
    fs, wal_directory = OsFileSystem(), tmp_path / "member" / "wal"
    log = created(fs, wal_directory, segment_bytes=200_000)
    conf_change = Entry(1, 3, EntryType.CONF_CHANGE_V2, b"change")
    log.append(HardState(1, 7, 0), [*entries(1, 2), conf_change])
    log.append(HardState(1, 7, 3), [])
    log.append(None, [Entry(2**63, 4, EntryType.NORMAL, b"")])
    log.sync()
    log.close()
    again, contents = WriteAheadLog.open(fs=fs, directory=wal_directory, start=START)
    assert contents.metadata == b"member 1"
    assert contents.hard_state == HardState(1, 7, 3)
    assert contents.entries == [*entries(1, 2), conf_change, Entry(2**63, 4, EntryType.NORMAL, b"")]
    assert type(contents.entries[2].type) is EntryType
    assert contents.torn is None
    again.close()
    (file,) = wal_directory.iterdir()
    assert file.name == "0000000000000000-0000000000000000.wal"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(wal_directory.stat().st_mode) == stat.S_IMODE(wal_directory.parent.stat().st_mode) == 0o700


def test_a_log_goes_on_over_segments_and_restarts() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    for index in range(1, 200):
        log.append(HardState(1, 1, index - 1), [entry(index)])
        if index % 50 == 0:
            log.sync()
            log.close()
            log, _ = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    log.sync()
    assert len(log.status().segments) > 3
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    assert contents.entries == entries(1, 199)
    assert contents.hard_state == HardState(1, 1, 198)


def test_a_record_takes_zeros_along_into_blocks_that_nothing_was_written_to() -> None:
    slice_bytes, segment_bytes = 64 << 10, 160_000
    written: list[tuple[int, int]] = []

    def note(operation: str) -> None:
        if match := re.match(r"write (\d+) bytes at (\d+)", operation):
            written.append((int(match[2]), int(match[2]) + int(match[1])))

    fs = MemoryFileSystem(before_operation=note)
    log = created(fs, segment_bytes=segment_bytes)
    ends: list[int] = []
    for index, size in enumerate((100, 1000, 70_000, 100, 20_000, 100), 1):
        log.append(None, [entry(index, size=size)])
        ends.append(log.status().written_bytes)
    records = written[1:]  # the first write was the segment's head
    assert [start for start, _ in records[1:]] == ends[:-1]
    assert records[0][1] == slice_bytes
    assert records[1][1] == ends[1], "there were zeros already"
    assert records[2][1] == ends[2], "a large record takes none"
    assert records[3][1] == 2 * slice_bytes
    assert records[4][1] == ends[4]
    assert records[5][1] == ends[5]
    log, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    assert contents.entries == [entry(n, size=size) for n, size in enumerate((100, 1000, 70_000, 100, 20_000, 100), 1)]
    log.append(None, [entry(7)])
    assert written[-1] == (ends[-1], 2 * slice_bytes), "what a restart finds behind the log counts as not written"
    log.append(None, [entry(8, size=50_000)])
    assert written[-1][1] == segment_bytes, "a segment does not grow"
    log.append(None, [entry(9, size=30_000)])
    assert len(log.status().segments) == 2
    assert written[-1][1] == slice_bytes, "a new segment begins anew"


def test_a_sync_is_begun_for_what_no_sync_has_made_durable() -> None:
    begun: list[tuple[int, int]] = []

    class Noting(MemoryFile):
        def begin_writing(self, offset: int, size: int, /) -> None:
            begun.append((offset, size))

    fs = MemoryFileSystem()
    log = created(fs)
    log._file = Noting(fs, fs._find(segments(fs)[0]), segments(fs)[0])
    start = log.status().written_bytes
    log.append(None, [entry(1)])
    log.begin_sync()
    log.append(None, [entry(2)])
    log.begin_sync()
    log.sync()
    middle = log.status().written_bytes
    log.append(None, [entry(3)])
    log.begin_sync()
    assert begun[1:] == [(start, middle - start), (middle, log.status().written_bytes - middle)]
    assert begun[0][0] == start
    assert log.status().synced_bytes == middle, "what is begun is not done"
    fs.crash(Random(1), CrashMode.DROP)
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    assert contents.entries == entries(1, 2)


def test_later_entries_replace_earlier_ones() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    log.append(None, entries(1, 8))
    log.append(None, entries(4, 5, term=2))
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    assert contents.entries == [*entries(1, 3), *entries(4, 5, term=2)]


def test_a_batch_larger_than_a_record_is_split_and_an_entry_too_large_is_refused() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    log.append(HardState(1, 1, 5), entries(1, 60, size=100))
    with pytest.raises(ValueError, match="does not fit the log"):
        log.append(None, [entry(61, size=3000)])
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    assert contents.entries == entries(1, 60, size=100)
    assert contents.hard_state == HardState(1, 1, 5)


def test_a_start_reads_behind_its_marker_and_older_segments_can_go() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    voters = ConfState(voters=(1, 2), auto_leave=True)
    for index in range(1, 250):
        log.append(HardState(1, 1, index), [entry(index)])
        if index in (90, 180):
            log.save_snapshot(WalSnapshot(index, 1, voters))
    assert read_markers(fs, WAL) == [START, WalSnapshot(90, 1, voters), WalSnapshot(180, 1, voters)]
    assert log.give_up(1) == []
    log.release_to(90)
    before = len(segments(fs))
    removed = log.give_up(1)
    assert removed
    assert len(segments(fs)) == before
    log.remove(removed)
    assert len(segments(fs)) == before - len(removed)
    assert read_markers(fs, WAL) == [WalSnapshot(90, 1, voters), WalSnapshot(180, 1, voters)]
    for start in (90, 180):
        _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=WalSnapshot(start, 1))
        assert contents.entries == entries(start + 1, 249)
        assert contents.metadata == b"member 1"
    with pytest.raises(WalDamage, match="needs an earlier one"):
        WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    log.release_to(180)
    assert log.give_up(1000) == []
    assert log.give_up(1)


def test_a_marker_that_is_not_there_or_of_another_term_is_refused() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    log.append(HardState(1, 1, 5), entries(1, 5))
    log.save_snapshot(WalSnapshot(5, 1))
    with pytest.raises(WalDamage, match="no marker of the snapshot at index 4"):
        WriteAheadLog.open(fs=fs, directory=WAL, start=WalSnapshot(4, 1))
    with pytest.raises(WalDamage, match="term 1, not 2"):
        WriteAheadLog.open(fs=fs, directory=WAL, start=WalSnapshot(5, 2))


def test_a_marker_raises_a_commit_that_lags_behind_it_and_one_above_the_commit_does_not_count() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    log.append(HardState(1, 1, 3), entries(1, 5))
    log.save_snapshot(WalSnapshot(5, 1))
    assert read_markers(fs, WAL) == [START, WalSnapshot(5, 1)]
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=WalSnapshot(5, 1))
    assert contents.hard_state == HardState(1, 1, 5)
    log.append(HardState(1, 1, 4), [])
    assert read_markers(fs, WAL) == [START]


def test_a_snapshot_from_the_leader_replaces_the_log_that_was_there() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    log.append(HardState(1, 1, 3), entries(1, 20))
    log.save_snapshot(WalSnapshot(10, 5))
    log.append(HardState(5, 0, 10), [])
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=WalSnapshot(10, 5))
    assert contents.entries == []
    log.append(None, entries(11, 12, term=5))
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=WalSnapshot(10, 5))
    assert contents.entries == entries(11, 12, term=5)


def test_a_snapshot_from_the_leader_and_its_hard_state_are_one_record() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    log.append(HardState(1, 1, 3), entries(1, 5))
    log.save_snapshot(WalSnapshot(9, 2), hard_state=HardState(2, 0, 9))
    assert read_markers(fs, WAL) == [START, WalSnapshot(9, 2)]
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=WalSnapshot(9, 2))
    assert (contents.hard_state, contents.entries) == (HardState(2, 0, 9), [])


def test_a_gap_in_the_indexes_is_refused() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    log.append(None, entries(1, 5))
    log.append(None, entries(7, 8))
    with pytest.raises(WalDamage, match="entry 6 was to follow, here is entry 7"):
        WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    fs = MemoryFileSystem()
    created(fs).append(None, [entry(1), entry(3)])
    with pytest.raises(WalDamage, match="entry 2 was to follow"):
        WriteAheadLog.open(fs=fs, directory=WAL, start=START)


def test_a_commit_beyond_the_log_is_refused() -> None:
    fs = MemoryFileSystem()
    created(fs).append(HardState(1, 1, 6), entries(1, 5))
    with pytest.raises(WalDamage, match="entries up to 6 were committed here, and the log ends with 5"):
        WriteAheadLog.open(fs=fs, directory=WAL, start=START)


def test_a_second_log_is_not_made_over_the_first() -> None:
    fs = MemoryFileSystem()
    assert not WriteAheadLog.exists(fs, WAL)
    created(fs)
    assert WriteAheadLog.exists(fs, WAL)
    with pytest.raises(FileExistsError, match="already"):
        created(fs)
    with pytest.raises(WalDamage, match="there is no segment"):
        WriteAheadLog.open(fs=fs, directory=Path("/elsewhere"), start=START)


def filled() -> MemoryFileSystem:
    fs = MemoryFileSystem()
    log = created(fs)
    for index in range(1, 250):
        log.append(HardState(1, 1, index), [entry(index)])
        log.sync()
    assert len(segments(fs)) > 3
    return fs


def refused(fs: MemoryFileSystem, match: str) -> WalDamage:
    with pytest.raises(WalDamage, match=match) as caught:
        WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    return caught.value


def test_a_missing_segment_is_refused() -> None:
    fs = filled()
    fs.unlink(segments(fs)[1])
    assert refused(fs, "the segment before it is missing").file == segments(fs)[1]


def test_a_truncated_segment_is_refused() -> None:
    for position in (0, -1):
        fs = filled()
        fs.truncate(segments(fs)[position], 3000)
        assert refused(fs, "it was truncated").offset == 3000


def test_a_renamed_segment_and_one_of_another_log_are_refused() -> None:
    fs = filled()
    fs.rename(segments(fs)[-1], segments(fs)[-1].with_name(f"{len(segments(fs)) - 1:016x}-{1:016x}.wal"))
    refused(fs, "it was renamed")
    fs, other = filled(), MemoryFileSystem()
    created(other)
    fs.overwrite(segments(fs)[0], 0, other.content(segments(other)[0]))
    refused(fs, "chain is broken")


def test_a_zeroed_page_in_the_middle_is_refused_with_file_and_offset() -> None:
    fs = filled()
    for path in segments(fs):
        image = fs.clone()
        image.overwrite(path, 1024, bytes(512))
        damage = refused(image, "damaged at offset")
        assert damage.file == path
        assert 900 < damage.offset <= 1024


def test_a_failed_sync_is_final() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    fs.fail_sync()
    log.append(None, [entry(1)])
    with pytest.raises(DiskFailure, match=r"syncing .*wal failed: Input/output error") as caught:
        log.sync()
    for again in (log.sync, lambda: log.append(None, [entry(2)]), lambda: log.save_snapshot(WalSnapshot(1, 1))):
        with pytest.raises(DiskFailure) as later:
            again()
        assert later.value is caught.value
    assert log.status().failure == str(caught.value)


def test_what_a_failed_sync_left_in_the_page_cache_is_written_again_at_the_next_start() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    log.append(None, entries(1, 3))
    log.sync()
    log.append(None, entries(4, 6))
    fs.fail_sync()
    with pytest.raises(DiskFailure):
        log.sync()
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    assert contents.entries == entries(1, 6)
    fs.crash(Random(0), CrashMode.DROP)
    _, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    assert contents.entries == entries(1, 6)


def test_a_failure_while_a_log_is_made_opened_or_purged_is_one_of_the_disk() -> None:
    with pytest.raises(DiskFailure, match="beginning"):
        created(MemoryFileSystem(capacity_bytes=SEGMENT - 1))
    fs = filled()
    fs.fail_sync()
    with pytest.raises(DiskFailure, match="preparing"):
        WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    log, _ = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    log.save_snapshot(WalSnapshot(240, 1))
    log.release_to(240)
    fs.fail_sync()
    with pytest.raises(DiskFailure, match="purging"):
        log.remove(log.give_up(1))


def test_a_full_disk_stops_the_log_and_a_restart_finds_what_was_synced() -> None:
    fs = MemoryFileSystem()
    log = created(fs)
    fs.capacity_bytes = SEGMENT
    appended = 0

    def append_on_and_on() -> None:
        nonlocal appended
        while True:
            log.append(None, [entry(appended + 1)])
            appended += 1

    with pytest.raises(DiskFailure, match="free some space") as caught:
        append_on_and_on()
    assert caught.value.cause.errno == errno.ENOSPC
    fs.capacity_bytes = None
    fs.crash(Random(0), CrashMode.SUBSET)
    log, contents = WriteAheadLog.open(fs=fs, directory=WAL, start=START)
    assert contents.entries == entries(1, appended)
    log.append(None, [entry(appended + 1)])
    log.sync()
    assert len(segments(fs)) == 2


def test_metadata_too_large_for_a_segments_head_is_refused() -> None:
    with pytest.raises(ValueError, match="metadata of 5000 bytes"):
        WriteAheadLog.create(fs=MemoryFileSystem(), directory=WAL, metadata=bytes(5000))


def test_a_closed_log_says_so() -> None:
    log = created(MemoryFileSystem())
    log.close()
    log.close()
    with pytest.raises(ValueError, match="is closed"):
        log.sync()
