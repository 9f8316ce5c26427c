"""The disk in memory forgets and fails as real ones do."""

from __future__ import annotations

import errno
from pathlib import Path
from random import Random

import pytest

from trioetcd.storage.filesystem import DirectoryInUse
from trioetcd.testing.disk import CrashMode, MemoryFileSystem

FILE = Path("/d/file")


def disk() -> MemoryFileSystem:
    fs = MemoryFileSystem()
    fs.make_directory(FILE.parent)
    return fs


def synced_file(fs: MemoryFileSystem, content: bytes) -> None:
    file = fs.create(FILE)
    file.write(0, content)
    file.sync()
    fs.sync_directory(FILE.parent)


def outcomes(mode: CrashMode, *, seeds: int = 200) -> set[bytes]:
    """What may be there after a synced "a" * 1024, and unsynced "b" * 1024 over its second half."""
    found = set()
    for seed in range(seeds):
        fs = disk()
        synced_file(fs, b"a" * 1024)
        fs.open(FILE).write(512, b"b" * 1024)
        fs.crash(Random(seed), mode)
        found.add(fs.content(FILE))
    return found


def test_what_was_not_synced_is_dropped_or_kept() -> None:
    assert outcomes(CrashMode.DROP) == {b"a" * 1024}
    assert outcomes(CrashMode.KEEP) == {b"a" * 512 + b"b" * 1024}


def test_a_torn_write_stops_at_any_byte() -> None:
    found = outcomes(CrashMode.TORN, seeds=400)
    assert len(found) > 100
    wanted = {b"a" * 512 + b"b" * size + b"a" * (512 - size) for size in range(1025)}
    assert found <= wanted


def test_sectors_arrive_in_any_order() -> None:
    old, new, last, nothing = b"a" * 512, b"b" * 512, b"b" * 512, bytes(512)
    assert outcomes(CrashMode.SUBSET) == {old + old, old + new, old + old + last, old + new + last}
    assert outcomes(CrashMode.ZEROED) == {old + middle + end for middle in (old, new) for end in (last, nothing)}


def test_a_name_is_durable_only_after_its_directory_is_synced() -> None:
    fs = disk()
    file = fs.create(FILE)
    file.write(0, b"x")
    file.sync()
    fs.crash(Random(0), CrashMode.DROP)
    assert not fs.exists(FILE)
    synced_file(fs, b"x")
    fs.rename(FILE, FILE.with_name("other"))
    fs.crash(Random(0), CrashMode.DROP)
    assert fs.list_directory(FILE.parent) == ["file"]
    fs.unlink(FILE)
    fs.sync_directory(FILE.parent)
    fs.crash(Random(0), CrashMode.DROP)
    assert fs.list_directory(FILE.parent) == []


def test_after_a_failed_sync_the_next_one_proves_nothing() -> None:
    fs = disk()
    synced_file(fs, b"old")
    fs.fail_sync(after=2)
    file = fs.open(FILE)
    file.sync()
    file.write(0, b"new")
    with pytest.raises(OSError, match="error") as caught:
        file.sync()
    assert caught.value.errno == errno.EIO
    file.sync()
    assert fs.content(FILE) == b"new"
    fs.crash(Random(0), CrashMode.KEEP)
    assert fs.content(FILE) == b"old"


def test_a_full_disk_refuses_and_an_old_handle_is_dead() -> None:
    fs = disk()
    synced_file(fs, b"12345")
    fs.capacity_bytes = 8
    file = fs.open(FILE)
    for attempt in (lambda: file.write(5, b"6789"), lambda: file.preallocate(9)):
        with pytest.raises(OSError, match="space"):
            attempt()
    file.write(5, b"678")
    fs.crash(Random(0), CrashMode.DROP)
    with pytest.raises(OSError, match="descriptor"):
        file.write(0, b"x")


def test_rot_and_truncation_change_what_is_durable() -> None:
    fs = disk()
    synced_file(fs, b"abc")
    fs.flip_bit(FILE, 1, bit=1)
    fs.truncate(FILE, 2)
    fs.crash(Random(0), CrashMode.DROP)
    assert fs.content(FILE) == b"a`"


def test_a_clone_goes_its_own_way_and_the_hook_sees_each_change() -> None:
    seen: list[str] = []
    fs = MemoryFileSystem(before_operation=seen.append)
    fs.make_directory(FILE.parent)
    synced_file(fs, b"abc")
    copy = fs.clone()
    copy.unlink(FILE)
    assert fs.exists(FILE)
    assert [words.split()[0] for words in seen] == ["make", "create", "write", "sync", "sync"]


def test_a_lock_is_held_once_and_ends_with_the_crash() -> None:
    fs = disk()
    with fs.lock(FILE.parent):
        with pytest.raises(DirectoryInUse), fs.lock(FILE.parent):
            pass
        fs.crash(Random(0), CrashMode.DROP)
        with fs.lock(FILE.parent):
            pass
