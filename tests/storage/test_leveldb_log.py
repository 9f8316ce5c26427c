"""What LevelDB's log is cut to after a crash, and what is refused.

The batches are numbered and each sets the index, as the state machine's do; after a cut the database must hold
exactly the batches up to its index.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from trioetcd.storage.engine import EngineDamage, LevelEngine
from trioetcd.storage.leveldb_format import Broken, log_number_of, read_parts

try:
    import plyvel
except ImportError:
    import plyvel_next as plyvel

BATCHES = 60


def batch(n: int) -> list[tuple[bytes, bytes | None]]:
    return [(b"%06d" % n, bytes([n]) * 2500), (b"index", b"%d" % n)]


def filled(path: Path, batches: int = BATCHES, synced: int | None = None) -> Path:
    """A database with numbered batches, killed, not closed; returns its log file."""
    engine = LevelEngine.open(path, create=True)
    for n in range(batches):
        engine.write(batch(n), sync=n == synced)
    shutil.copytree(path, path.with_name("image"))
    engine.close()
    shutil.rmtree(path)
    path.with_name("image").rename(path)
    (log,) = path.glob("*.log")
    return log


def index_of(path: Path) -> int:
    """Open the database, hold it to be a prefix of what was written, and return its last batch's number."""
    engine = LevelEngine.open(path, create=False)
    last = int(engine.get(b"index") or b"-1")
    pairs = list(engine.range(b"", b"index"))
    engine.close()
    assert pairs == [(b"%06d" % n, bytes([n]) * 2500) for n in range(last + 1)]
    return last


def zero(file: Path, offset: int, size: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset : offset + size] = bytes(len(data[offset : offset + size]))
    file.write_bytes(data)


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 0x10
    file.write_bytes(data)


def test_a_whole_log_is_left_as_it_is(tmp_path: Path) -> None:
    filled(tmp_path / "db")
    engine = LevelEngine.open(tmp_path / "db", create=False)
    assert engine.cut is None
    engine.close()
    assert index_of(tmp_path / "db") == BATCHES - 1


@pytest.mark.parametrize("offset", [0, 4096, 30_000, 32_768, 70_000, 149_999])
@pytest.mark.parametrize("harm", [flip, lambda file, offset: zero(file, offset, 4096)])
def test_unsynced_batches_are_cut_off_where_the_log_is_not_whole(
    tmp_path: Path, harm: Callable[[Path, int], None], offset: int
) -> None:
    log = filled(tmp_path / "db")
    harm(log, offset)
    assert abs(index_of(tmp_path / "db") - offset / 2550) < 2


def test_a_torn_end_is_cut_off_at_every_byte_of_the_last_batches(tmp_path: Path) -> None:
    log = filled(tmp_path / "db", batches=3)
    size = log.stat().st_size
    for cut in range(1, 3000, 97):
        copy = tmp_path / str(cut)
        shutil.copytree(tmp_path / "db", copy)
        with (copy / log.name).open("r+b") as file:
            file.truncate(size - cut)
        assert index_of(copy) == (1 if cut < size / 3 else 0)


def test_what_is_cut_is_told_and_gone_for_good(tmp_path: Path) -> None:
    log = filled(tmp_path / "db")
    size = log.stat().st_size
    flip(log, 70_000)
    engine = LevelEngine.open(tmp_path / "db", create=False)
    assert engine.cut is not None
    assert engine.cut.file == log
    assert engine.cut.offset + engine.cut.size_bytes == size
    assert engine.cut.offset <= 70_000
    engine.write([(b"index", b"again")])
    engine.close()
    engine = LevelEngine.open(tmp_path / "db", create=False)
    assert engine.cut is None
    assert engine.get(b"index") == b"again"
    engine.close()


def test_what_was_synced_is_never_cut_off(tmp_path: Path) -> None:
    log = filled(tmp_path / "db", synced=30)
    before = log.read_bytes()
    for harm in (lambda: flip(log, 60_000), lambda: log.write_bytes(before[:60_000]), log.unlink):
        harm()
        left = log.read_bytes() if log.exists() else None
        with pytest.raises(EngineDamage, match="log"):
            LevelEngine.open(tmp_path / "db", create=False)
        assert (log.read_bytes() if log.exists() else None) == left
        log.write_bytes(before)
    flip(log, 100_000)
    assert 31 <= index_of(tmp_path / "db") < 45


def test_a_damaged_note_of_what_was_synced_refuses(tmp_path: Path) -> None:
    filled(tmp_path / "db", synced=30)
    flip(tmp_path / "db" / "SYNCED", 3)
    with pytest.raises(EngineDamage, match="SYNCED is damaged"):
        LevelEngine.open(tmp_path / "db", create=False)


def newest_log(path: Path) -> Path:
    return max(path.glob("*.log"))


def two_live_logs(path: Path) -> tuple[Path, Path]:
    """A database killed when its memory table was full, so that it needs its old log file and the new one."""
    database = plyvel.DB(str(path), create_if_missing=True, write_buffer_size=64 << 10)
    old = newest_log(path)
    n = 0
    while newest_log(path) == old:  # Before the old table is on disk, all is as it was, and there is a new log.
        killed = {file.name: file.read_bytes() for file in path.iterdir()}
        changes = database.write_batch()
        for key, value in batch(n):
            changes.put(key, value)
        changes.write()
        n += 1
    new = newest_log(path)
    killed[new.name] = new.read_bytes()
    database.close()
    shutil.rmtree(path)
    path.mkdir()
    for name, data in killed.items():
        (path / name).write_bytes(data)
    return old, new


def test_leveldb_itself_leaves_a_hole_where_an_older_log_lost_its_end_and_this_does_not(tmp_path: Path) -> None:
    old, new = two_live_logs(tmp_path / "db")
    shutil.copytree(tmp_path / "db", tmp_path / "whole")
    written = index_of(tmp_path / "whole")
    *_, whole_end = [end for _, _, end in read_parts(old.read_bytes())][:-8]
    with old.open("r+b") as file:
        file.truncate(whole_end)
    shutil.copytree(tmp_path / "db", tmp_path / "plain")
    database = plyvel.DB(str(tmp_path / "plain"), paranoid_checks=True)
    assert database.get(b"index") == b"%d" % written
    present = sum(1 for _ in database.iterator(stop=b"index"))
    database.close()
    assert present < written + 1  # The index says that all is there.
    assert index_of(tmp_path / "db") < present
    assert not new.exists()


def test_the_manifest_tells_the_oldest_log_that_counts(tmp_path: Path) -> None:
    filled(tmp_path / "db")
    first = log_number_of(tmp_path / "db")
    LevelEngine.open(tmp_path / "db", create=False).close()
    second = log_number_of(tmp_path / "db")
    assert first is not None
    assert second is not None
    assert second > first
    (log,) = (tmp_path / "db").glob("*.log")
    assert int(log.stem) == second
    (tmp_path / "db" / "CURRENT").write_text("MANIFEST-999999\n")
    assert log_number_of(tmp_path / "db") is None


def test_a_record_that_crosses_its_block_is_none() -> None:
    with pytest.raises(Broken):
        list(read_parts(b"\0\0\0\0\xff\xff\x01" + bytes(70_000)))
    assert list(read_parts(b"")) == []
