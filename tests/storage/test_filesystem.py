"""The operating system's files, as the log uses them; both file systems answer alike."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trioetcd.storage.filesystem import DirectoryInUse, DiskFailure, FileSystem, OsFileSystem, lock_directory
from trioetcd.testing.disk import MemoryFileSystem


@pytest.fixture(params=["os", "memory"])
def fs(request: pytest.FixtureRequest) -> FileSystem:
    return OsFileSystem() if request.param == "os" else MemoryFileSystem()


def test_both_file_systems_answer_alike(fs: FileSystem, tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    assert fs.list_directory(directory) == []
    fs.make_directory(directory)
    fs.make_directory(directory)
    file = fs.create(directory / "x")
    file.preallocate(100)
    file.write(90, b"y" * 20)
    file.sync()
    assert file.size() == 110
    file.close()
    file.close()
    fs.sync_directory(directory)
    with pytest.raises(FileExistsError):
        fs.create(directory / "x")
    fs.create(directory / "w").close()
    fs.rename(directory / "x", directory / "w")
    assert fs.list_directory(directory) == ["w"]
    assert fs.open(directory / "w").read(80, 1000) == bytes(10) + b"y" * 20
    assert fs.open(directory / "w").read(200, 1) == b""
    assert fs.exists(directory / "w")
    fs.unlink(directory / "w")
    assert not fs.exists(directory / "w")
    for missing in (fs.open, fs.unlink):
        with pytest.raises(FileNotFoundError):
            missing(directory / "w")


def test_what_the_disk_begins_to_write_is_what_it_was(fs: FileSystem, tmp_path: Path) -> None:
    fs.make_directory(tmp_path)
    file = fs.create(tmp_path / "x")
    file.preallocate(200_000)
    content = bytearray(200_000)
    for offset, size in ((0, 1), (1, 10_000), (10_001, 0), (4095, 70_000), (199_999, 1)):
        data = bytes([offset % 251 + 1]) * size
        file.write(offset, data)
        content[offset : offset + size] = data
        file.begin_writing(offset, size)
        assert file.read(0, 300_000) == content
    file.sync()
    file.close()
    assert fs.open(tmp_path / "x").read(0, 300_000) == content


def test_files_and_directories_are_the_owners_alone(tmp_path: Path) -> None:
    fs = OsFileSystem()
    fs.make_directory(tmp_path / "a" / "b")
    fs.create(tmp_path / "a" / "b" / "x").close()
    modes = [stat.S_IMODE((tmp_path / "a" / path).stat().st_mode) for path in ("", "b", "b/x")]
    assert modes == [0o700, 0o700, 0o600]


def test_a_directory_is_held_by_one_and_the_error_names_the_holder(tmp_path: Path) -> None:
    holder = f"in use by process {os.getpid()}"
    with lock_directory(tmp_path), pytest.raises(DirectoryInUse, match=holder), OsFileSystem().lock(tmp_path):
        pass
    with lock_directory(tmp_path):
        pass


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from trioetcd.storage.filesystem import lock_directory\n"
        f"with lock_directory(pathlib.Path({str(tmp_path)!r})):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(DirectoryInUse, match=f"process {process.pid}"), lock_directory(tmp_path):
            pass
        process.kill()
        process.wait()
        with lock_directory(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_disk_failure_says_what_to_do() -> None:
    full = DiskFailure(Path("/wal"), "writing", OSError(errno.ENOSPC, "No space left on device"))
    assert str(full) == (
        "writing /wal failed: No space left on device; nothing more is written, "
        "free some space, then start the member again"
    )
    assert "check the disk" in str(DiskFailure(Path("/wal"), "syncing", OSError(errno.EIO, "Input/output error")))
