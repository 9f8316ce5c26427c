"""The disk begins with a table while it grows, with each part of it once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from trioetcd.storage import engine, growing_table
from trioetcd.storage.engine import LevelEngine
from trioetcd.storage.growing_table import LOOK_BYTES, GrowingTable


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """File, offset and size of what the disk was told to begin with."""
    told: list[tuple[str, int, int]] = []

    def begin(descriptor: int, offset: int, size: int) -> None:
        told.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, offset, size))

    monkeypatch.setattr(growing_table, "begin_writing", begin)
    return told


def test_each_part_of_the_newest_table_once(tmp_path: Path, begun: list[tuple[str, int, int]]) -> None:
    table = GrowingTable(tmp_path)
    table.note_written(LOOK_BYTES)
    (tmp_path / "000007.ldb").write_bytes(b"x" * 100)
    (tmp_path / "000009.log").write_bytes(b"x" * 100)
    table.note_written(LOOK_BYTES)
    table.note_written(LOOK_BYTES)
    with (tmp_path / "000007.ldb").open("ab") as file:
        file.write(b"x" * 50)
    table.note_written(LOOK_BYTES)
    (tmp_path / "000010.ldb").write_bytes(b"x" * 10)
    table.note_written(LOOK_BYTES)
    (tmp_path / "1000000.ldb").write_bytes(b"x" * 20)
    table.note_written(LOOK_BYTES)
    assert begun == [
        ("000007.ldb", 0, 100),
        ("000007.ldb", 100, 50),
        ("000010.ldb", 0, 10),
        ("1000000.ldb", 0, 20),
    ]


def test_it_looks_when_enough_was_written(tmp_path: Path, begun: list[tuple[str, int, int]]) -> None:
    (tmp_path / "000007.ldb").write_bytes(b"x")
    table = GrowingTable(tmp_path)
    table.note_written(LOOK_BYTES - 1)
    assert begun == []
    table.note_written(1)
    assert begun == [("000007.ldb", 0, 1)]


def test_a_table_that_was_removed_meanwhile_is_passed_over(
    tmp_path: Path, begun: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing_table.os, "listdir", lambda _: ["000007.ldb"])
    GrowingTable(tmp_path).note_written(LOOK_BYTES)
    assert begun == []


def test_a_database_under_load_has_its_tables_begun(
    tmp_path: Path, begun: list[tuple[str, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WRITE_BUFFER_BYTES", 1 << 20)
    random = Random(1)
    with closing(LevelEngine.open(tmp_path / "db", create=True)) as level:
        for number in range(200):
            level.write([(b"r%06d" % number, random.randbytes(32 << 10))])
    assert {Path(name).suffix for name, _, _ in begun} == {".ldb"}
    assert all(size > 0 for _, _, size in begun)
