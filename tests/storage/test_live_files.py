"""The disk begins with a table while it grows, and what LevelDB removes is let go by another."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Never

import pytest

from trioetcd.storage import engine, live_files
from trioetcd.storage.engine import LevelEngine, MemoryEngine
from trioetcd.storage.engine_transfer import EngineReceiver, write_engine
from trioetcd.storage.live_files import HELD_MAX, LOOK_BYTES, LiveFiles


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """File, offset and size of what the disk was told to begin with."""
    told: list[tuple[str, int, int]] = []

    def begin(descriptor: int, offset: int, size: int) -> None:
        told.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, offset, size))

    monkeypatch.setattr(live_files, "begin_writing", begin)
    return told


def make(path: Path, data: bytes = b"x") -> None:
    """A new file."""
    path.write_bytes(data)
    let_time_pass(path.parent)


def let_time_pass(directory: Path) -> None:
    """As if the directory had changed some time after it was looked at."""
    later_ns = directory.stat().st_mtime_ns + 8_000_000
    os.utime(directory, ns=(later_ns, later_ns))


def descriptors(directory: Path) -> list[str]:
    """The files in a directory that this process has open."""
    targets = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own descriptor
            targets.append(link.readlink())
    return sorted(target.name for target in targets if target.parent == directory)


def test_each_part_of_the_newest_table_once(tmp_path: Path, begun: list[tuple[str, int, int]]) -> None:
    files = LiveFiles(tmp_path)
    files.note_written(LOOK_BYTES)
    make(tmp_path / "000007.ldb", b"x" * 100)
    make(tmp_path / "000009.log", b"x" * 100)
    files.note_written(LOOK_BYTES)
    files.note_written(LOOK_BYTES)
    with (tmp_path / "000007.ldb").open("ab") as file:
        file.write(b"x" * 50)
    files.note_written(LOOK_BYTES)
    make(tmp_path / "000010.ldb", b"x" * 10)
    files.note_written(LOOK_BYTES)
    make(tmp_path / "1000000.ldb", b"x" * 20)
    files.note_written(LOOK_BYTES)
    assert begun == [
        ("000007.ldb", 0, 100),
        ("000007.ldb", 100, 50),
        ("000010.ldb", 0, 10),
        ("1000000.ldb", 0, 20),
    ]
    files.close()


def test_it_looks_when_enough_was_written(tmp_path: Path, begun: list[tuple[str, int, int]]) -> None:
    make(tmp_path / "000007.ldb")
    files = LiveFiles(tmp_path)
    files.note_written(LOOK_BYTES - 1)
    assert begun == []
    files.note_written(1)
    assert begun == [("000007.ldb", 0, 1)]
    files.close()


def test_a_table_that_was_removed_meanwhile_is_passed_over(
    tmp_path: Path, begun: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_files.os, "listdir", lambda _: ["000007.ldb"])
    files = LiveFiles(tmp_path)
    files.note_written(LOOK_BYTES)
    assert begun == []
    assert descriptors(tmp_path) == []


def test_removed_files_are_held_until_they_are_let_go(tmp_path: Path) -> None:
    for name in ("000003.log", "000004.ldb", "CURRENT"):
        make(tmp_path / name)
    files = LiveFiles(tmp_path)
    files.note_written(LOOK_BYTES)
    assert descriptors(tmp_path) == ["000003.log", "000004.ldb"]
    assert files.let_go() is None
    (tmp_path / "000003.log").unlink()
    let_time_pass(tmp_path)
    assert descriptors(tmp_path) == ["000003.log (deleted)", "000004.ldb"]
    close = files.let_go()
    assert close is not None
    close()
    assert descriptors(tmp_path) == ["000004.ldb"]
    files.close()
    assert descriptors(tmp_path) == []


def test_what_came_in_the_same_tick_is_found_by_the_next_look(tmp_path: Path) -> None:
    make(tmp_path / "000003.log")
    changed_ns = tmp_path.stat().st_mtime_ns
    files = LiveFiles(tmp_path)
    files.note_written(LOOK_BYTES)
    (tmp_path / "000004.ldb").write_bytes(b"x")
    os.utime(tmp_path, ns=(changed_ns, changed_ns))
    files.note_written(LOOK_BYTES)
    assert descriptors(tmp_path) == ["000003.log", "000004.ldb"]
    files.close()


def test_what_was_let_go_and_not_closed_by_a_thread_is_closed_at_the_end(tmp_path: Path) -> None:
    make(tmp_path / "000003.log")
    files = LiveFiles(tmp_path)
    files.note_written(LOOK_BYTES)
    (tmp_path / "000003.log").unlink()
    let_time_pass(tmp_path)
    close = files.let_go()
    assert close is not None
    files.close()
    assert descriptors(tmp_path) == []
    close()  # finds nothing to do


def test_a_process_without_descriptors_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Never:
        raise OSError(errno.EMFILE, "Too many open files")

    with closing(LevelEngine.open(tmp_path / "db", create=True)) as level:
        level.write([(b"k", b"v" * LOOK_BYTES)])
        assert descriptors(tmp_path / "db")
        monkeypatch.setattr(live_files.os, "listdir", refuse)
        monkeypatch.setattr(live_files.os, "open", refuse)
        let_time_pass(tmp_path / "db")
        level.write([(b"k", b"w" * LOOK_BYTES)])
        close = level.let_go()
        assert close is not None
        close()
        assert level.get(b"k") == b"w" * LOOK_BYTES


def test_what_a_compaction_writes_is_held_without_another_write(tmp_path: Path) -> None:
    with closing(LevelEngine.open(tmp_path / "db", create=True)) as level:
        level.write([(b"k", b"v" * 1_000)])
        level.compact()
        let_time_pass(tmp_path / "db")
        level.let_go()
        names = {path.name for path in (tmp_path / "db").iterdir() if path.suffix in (".ldb", ".log")}
        assert names <= set(descriptors(tmp_path / "db"))


def test_only_the_newest_files_are_held(tmp_path: Path) -> None:
    files = LiveFiles(tmp_path)
    for number in range(999_990, 999_990 + HELD_MAX + 5):
        make(tmp_path / f"{number:06d}.ldb")
        files.note_written(LOOK_BYTES)
    assert len(descriptors(tmp_path)) == HELD_MAX + 5  # until they are let go
    close = files.let_go()
    assert close is not None
    close()
    held = descriptors(tmp_path)
    assert len(held) == HELD_MAX
    assert "999995.ldb" in held
    assert "999994.ldb" not in held
    files.close()


def test_a_directory_that_is_gone_leaves_nothing_held(tmp_path: Path) -> None:
    directory = tmp_path / "db"
    directory.mkdir()
    make(directory / "000003.log")
    files = LiveFiles(directory)
    files.note_written(LOOK_BYTES)
    shutil.rmtree(directory)
    close = files.let_go()
    assert close is not None
    close()
    assert descriptors(directory) == []


def test_a_database_under_load_has_its_tables_begun(
    tmp_path: Path, begun: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WRITE_BUFFER_BYTES", 1 << 20)
    random = Random(1)
    with closing(LevelEngine.open(tmp_path / "db", create=True)) as level:
        for number in range(200):
            level.write([(b"r%06d" % number, random.randbytes(32 << 10))])
            if (close := level.let_go()) is not None:
                close()
    assert {Path(name).suffix for name, _, _ in begun} == {".ldb"}
    assert all(size > 0 for _, _, size in begun)
    assert descriptors(tmp_path / "db") == []


def test_an_engine_that_is_received_holds_no_removed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = Random(1)
    source = MemoryEngine()
    source.write([(b"r%06d" % number, random.randbytes(32 << 10)) for number in range(1_500)])
    monkeypatch.setattr(engine, "WRITE_BUFFER_BYTES", 1 << 20)
    receiver = EngineReceiver(path=tmp_path / "db")
    with source.view() as view:
        for piece in write_engine(view):
            receiver.feed(piece)
            assert len(descriptors(tmp_path / "db")) <= HELD_MAX + 10  # of which some are of LevelDB itself
    receiver.finish()
    assert descriptors(tmp_path / "db") == []
