"""Both engines agree; LevelDB's own defaults are not in force; damage is named."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trioetcd.storage.engine import BLOCK_BYTES, Engine, EngineDamage, EngineMissing, LevelEngine, MemoryEngine, Reader

keys = st.binary(max_size=3)
values = st.binary(max_size=8)
batches = st.lists(st.tuples(keys, st.none() | values), max_size=6)
ranges = st.tuples(st.just("range"), keys, st.none() | keys, st.booleans())
steps = st.lists(
    st.tuples(st.just("write"), batches, st.booleans())
    | st.tuples(st.just("get"), keys)
    | ranges
    | st.tuples(st.just("view"))
    | st.tuples(st.just("compact")),
    max_size=20,
)


@given(steps=steps, queries=st.lists(ranges, max_size=3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_engines_answer_alike(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], queries: list[Any]
) -> None:
    level = LevelEngine.open(tmp_path_factory.mktemp("db") / "db", create=True)
    memory = MemoryEngine()
    views = []
    for step in steps:
        if step[0] == "view":
            views.append((level.view(), memory.view()))
        else:
            assert do(level, *step) == do(memory, *step)
    for level_view, memory_view in views:
        for query in queries:
            assert do(level_view, *query) == do(memory_view, *query)
        with level_view, memory_view:
            assert list(level_view.range(b"", None)) == list(memory_view.range(b"", None))
    level.close()


def do(engine: Any, verb: str, *args: Any) -> object:
    match verb, args:
        case "write", (batch, sync):
            return engine.write(batch, sync=sync)
        case "range", (start, end, reverse):
            return list(engine.range(start, end, reverse=reverse))
        case _:
            return getattr(engine, verb)(*args)


@pytest.fixture(params=["level", "memory"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return LevelEngine.open(tmp_path / "db", create=True) if request.param == "level" else MemoryEngine()


def test_a_range_does_not_see_what_is_written_while_it_runs(engine: Engine) -> None:
    engine.write([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")])
    pairs = engine.range(b"", None)
    assert next(pairs) == (b"a", b"1")
    engine.write([(b"b", b"2"), (b"c", None), (b"d", b"1")])
    assert list(pairs) == [(b"b", b"1"), (b"c", b"1")]
    assert list(engine.range(b"", None)) == [(b"a", b"1"), (b"b", b"2"), (b"d", b"1")]


def test_a_view_stays_as_it_was(engine: Engine) -> None:
    engine.write([(b"a", b"1")])
    with engine.view() as view:
        engine.write([(b"a", b"2"), (b"b", b"2")])
        assert (view.get(b"a"), view.get(b"b")) == (b"1", None)
    assert engine.get(b"a") == b"2"
    assert engine.size_bytes() > 0
    assert isinstance(engine, MemoryEngine) or engine.size_bytes() % BLOCK_BYTES == 0
    engine.compact()
    engine.compact(b"a", b"b")
    engine.close()
    engine.close()


def test_a_failed_write_is_final(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = LevelEngine.open(tmp_path / "db", create=True)

    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("trioetcd.storage.engine.sync_logs", fail)
    with pytest.raises(EngineDamage, match="Input/output error") as caught:
        engine.write([(b"a", b"1")], sync=True)
    with pytest.raises(EngineDamage) as again:
        engine.write([(b"a", b"1")])
    assert again.value is caught.value
    engine.close()


def filled(path: Path, batches: int = 300) -> None:
    engine = LevelEngine.open(path, create=True)
    for n in range(batches):
        engine.write([(b"%06d" % n, b"v" * 200), (b"index", b"%d" % n)])
    engine.close()


def only_file(path: Path, pattern: str) -> Path:
    (file,) = path.glob(pattern)
    return file


def flip(file: Path, offset: int) -> None:
    data = bytearray(file.read_bytes())
    data[offset] ^= 0x10
    file.write_bytes(data)


def test_reopening_finds_everything_and_cuts_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "db")
    engine = LevelEngine.open(tmp_path / "db", create=False)
    assert engine.cut is None
    assert len(list(engine.range(b"", None))) == 301
    engine.close()


def test_a_missing_database_is_never_made_anew(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match="no CURRENT file"):
        LevelEngine.open(tmp_path / "db", create=False)
    filled(tmp_path / "db")
    (tmp_path / "db" / "CURRENT").unlink()
    with pytest.raises(EngineMissing):
        LevelEngine.open(tmp_path / "db", create=False)
    with pytest.raises(EngineMissing):
        LevelEngine.open(tmp_path / "db", create=True)


def test_a_creation_that_a_crash_interrupted_is_begun_anew_and_a_database_is_opened_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "MANIFEST-000001").write_bytes(b"half")
    (tmp_path / "db" / "000003.log").touch()
    engine = LevelEngine.open(tmp_path / "db", create=True)
    assert list(engine.range(b"", None)) == []
    engine.write([(b"a", b"1")])
    engine.close()
    engine = LevelEngine.open(tmp_path / "db", create=True)
    assert engine.get(b"a") == b"1"
    engine.close()


def test_a_flipped_bit_in_a_table_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    filled(tmp_path / "db")
    engine = LevelEngine.open(tmp_path / "db", create=False)
    engine.compact()
    engine.close()
    flip(only_file(tmp_path / "db", "*.ldb"), 1000)
    engine = LevelEngine.open(tmp_path / "db", create=False)
    with pytest.raises(EngineDamage, match="checksum"):
        list(engine.range(b"", None))
    with engine.view() as view:
        for reader in (engine, view):
            answers = [answer(reader, b"%06d" % n) for n in range(300)]
            assert "damage" in answers
            assert set(answers) == {"damage", b"v" * 200}
    engine.close()


def answer(reader: Reader, key: bytes) -> bytes | str | None:
    try:
        return reader.get(key)
    except EngineDamage:
        return "damage"


@pytest.mark.parametrize("pattern", ["MANIFEST-*", "CURRENT"])
def test_a_flipped_bit_in_what_names_the_files_refuses(tmp_path: Path, pattern: str) -> None:
    filled(tmp_path / "db")
    flip(only_file(tmp_path / "db", pattern), 10)
    with pytest.raises(EngineDamage, match="database"):
        LevelEngine.open(tmp_path / "db", create=False)


def test_files_and_directory_are_the_owners_alone(tmp_path: Path) -> None:
    filled(tmp_path / "db")
    LevelEngine.open(tmp_path / "db", create=False).close()
    assert stat.S_IMODE((tmp_path / "db").stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "db").iterdir()} == {0o600}


def test_the_empty_key_is_found_in_both_directions(tmp_path: Path) -> None:
    with closing(LevelEngine.open(tmp_path / "db", create=True)) as engine:
        engine.write([(b"", b"first"), (b"a", b"second")])
        forwards = list(engine.range(b"", None))
        assert forwards == [(b"", b"first"), (b"a", b"second")]
        assert list(engine.range(b"", None, reverse=True)) == forwards[::-1]


@pytest.mark.parametrize("bounds", [(), (None, b"050"), (b"050", None), (b"040", b"060")])
def test_a_compaction_gives_back_the_room_of_what_was_only_in_memory(
    tmp_path: Path, bounds: tuple[bytes | None, ...]
) -> None:
    """LevelDB's own leaves the last level as it is, and that is where it flushes to when there is no other."""
    random = Random(1)
    with closing(LevelEngine.open(tmp_path / "db", create=True)) as engine:
        for number in range(100):
            engine.write([(b"%03d" % number, random.randbytes(10_000))])
        engine.write([(b"%03d" % number, None) for number in range(95)])
        engine.compact(*bounds)
        assert engine.size_bytes() < 80_000
        assert [key for key, _ in engine.range(b"", None)] == [b"%03d" % number for number in range(95, 100)]
