"""Snapshot files: the newest that is marked and whole, after damage and after crashes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from trioetcd.raft.types import ConfState, SnapshotMetadata
from trioetcd.storage.filesystem import DiskFailure
from trioetcd.storage.snapshots import SnapshotFiles
from trioetcd.storage.wal import WalSnapshot
from trioetcd.testing.disk import CrashMode, MemoryFileSystem

SNAP = Path("/member/snap")
VOTERS = ConfState(voters=(1, 2, 3), learners=(4,), auto_leave=True)


def metadata(index: int, term: int = 1) -> SnapshotMetadata:
    return SnapshotMetadata(VOTERS, index, term)


def marked(*indexes: int, term: int = 1) -> list[WalSnapshot]:
    return [WalSnapshot(index, term, VOTERS) for index in indexes]


def saved(fs: MemoryFileSystem, *indexes: int) -> SnapshotFiles:
    files = SnapshotFiles(fs=fs, directory=SNAP)
    for index in indexes:
        files.save(metadata(index))
    return files


def name(index: int) -> str:
    return f"{1:016x}-{index:016x}.snap"


def test_the_newest_marked_one_is_loaded() -> None:
    files = saved(MemoryFileSystem(), 10, 20, 30)
    assert files.load_newest(marked(10, 20, 30)) == metadata(30)
    assert files.load_newest(marked(10, 20)) == metadata(20)
    assert files.load_newest(marked(20, term=2)) is None
    assert files.load_newest([]) is None


def test_every_damage_passes_over_to_the_next_older_one() -> None:
    fs = MemoryFileSystem()
    saved(fs, 10, 20)
    size = len(fs.content(SNAP / name(20)))
    for offset in range(size + 1):
        image = fs.clone()
        if offset < size:
            image.flip_bit(SNAP / name(20), offset)
        else:
            image.truncate(SNAP / name(20), 7)
        files = SnapshotFiles(fs=image, directory=SNAP)
        assert files.load_newest(marked(10, 20)) == metadata(10)
        assert files.damaged == [SNAP / name(20)]
        assert image.list_directory(SNAP) == [name(10), name(20)]
        files.tidy()
        assert not files.damaged
        assert image.list_directory(SNAP) == [name(10), name(20) + ".broken"]


def test_a_renamed_file_is_not_another_snapshot() -> None:
    fs = MemoryFileSystem()
    files = saved(fs, 10, 20)
    fs.rename(SNAP / name(10), SNAP / name(30))
    assert files.load_newest(marked(10, 20, 30)) == metadata(20)


def test_a_crash_before_any_operation_leaves_the_old_one_or_the_new_one() -> None:
    images: list[MemoryFileSystem] = []
    fs = MemoryFileSystem()
    files = saved(fs, 10)
    fs.before_operation = lambda _: images.append(fs.clone())
    files.save(metadata(20))
    fs.before_operation = None
    images.append(fs.clone())
    for image in images:
        for mode in CrashMode:
            for seed in range(10):
                crashed = image.clone()
                crashed.crash(Random(seed), mode)
                again = SnapshotFiles(fs=crashed, directory=SNAP)
                found = again.load_newest(marked(10, 20))
                assert found == metadata(20) or (found == metadata(10) and image is not images[-1])
                assert not any("broken" in left for left in crashed.list_directory(SNAP))
                again.save(metadata(20) if found == metadata(10) else metadata(30))


def test_old_ones_and_half_written_ones_are_purged() -> None:
    fs = MemoryFileSystem()
    files = saved(fs, 10, 20, 30)
    fs.create(SNAP / (name(40) + ".tmp"))
    assert files.purge(5) == [name(40) + ".tmp"]
    assert files.purge(2) == [name(10)]
    assert files.purge(0) == [name(20)]
    assert files.load_newest(marked(10, 20, 30)) == metadata(30)


def test_a_failed_write_is_final() -> None:
    fs = MemoryFileSystem()
    files = saved(fs, 10)
    fs.fail_sync()
    with pytest.raises(DiskFailure, match=r"writing .*snap failed") as caught:
        files.save(metadata(20))
    with pytest.raises(DiskFailure) as again:
        files.save(metadata(30))
    assert again.value is caught.value
    assert SnapshotFiles(fs=fs, directory=SNAP).load_newest(marked(10, 20)) == metadata(10)


def test_a_snapshot_that_was_not_finished_does_not_outlive_the_one_that_counts() -> None:
    fs = MemoryFileSystem()
    files = saved(fs, 1, 5)
    assert files.load_newest(marked(1)) == metadata(1)
    files.tidy()
    assert files.purge(1) == []
    assert SnapshotFiles(fs=fs, directory=SNAP).load_newest(marked(1)) == metadata(1)
