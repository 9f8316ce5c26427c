"""Engines on their way in: several at once, and what is left of those that nobody waits for."""

from __future__ import annotations

from pathlib import Path

import pytest

from trioetcd.log import null_logger
from trioetcd.storage.engine import EngineClosed
from trioetcd.storage.engine_folder import LevelEngineFolder
from trioetcd.storage.engine_transfer import write_engine
from trioetcd.storage.filesystem import OsFileSystem
from trioetcd.storage.memory_engine import MemoryEngine


@pytest.fixture
def folder(tmp_path: Path) -> LevelEngineFolder:
    return LevelEngineFolder(directory=tmp_path, filesystem=OsFileSystem(), log=null_logger())


def stream_of(value: bytes) -> list[bytes]:
    engine = MemoryEngine()
    engine.write([(b"key", value)])
    return list(write_engine(engine))


@pytest.mark.parametrize("second", [7, 8])
def test_two_engines_that_come_at_once_do_not_disturb_each_other(folder: LevelEngineFolder, second: int) -> None:
    early, late = folder.receive(7), folder.receive(second)
    head, *rest = stream_of(b"state")
    early.feed(head)
    late.feed(head)
    for piece in rest:
        early.feed(piece)
    early.finish()
    late.abort()
    assert folder.has_received(7)
    folder.swap_in(7)
    engine = folder.open(create=False)
    assert engine.get(b"key") == b"state"
    engine.close()


def test_an_engine_that_comes_twice_is_kept_as_it_came_first(folder: LevelEngineFolder) -> None:
    receivers = [folder.receive(7), folder.receive(7)]
    for receiver in receivers:
        for piece in stream_of(b"state"):
            receiver.feed(piece)
        receiver.finish()
    folder.swap_in(7)
    engine = folder.open(create=False)
    assert engine.get(b"key") == b"state"
    engine.close()


def test_a_start_removes_what_nobody_waits_for(folder: LevelEngineFolder, tmp_path: Path) -> None:
    folder.open(create=True).close()
    whole = folder.receive(7)
    for piece in stream_of(b"state"):
        whole.feed(piece)
    whole.finish()
    folder.receive(8).feed(stream_of(b"state")[0])
    (tmp_path / "db.old").mkdir()
    folder.discard_received()
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


def receive_whole(folder: LevelEngineFolder, index: int) -> None:
    receiver = folder.receive(index)
    for piece in stream_of(b"%d" % index):
        receiver.feed(piece)
    receiver.finish()


def test_what_was_received_and_passed_over_is_removed(folder: LevelEngineFolder, tmp_path: Path) -> None:
    folder.open(create=True).close()
    for index in (7, 8, 9, 10):
        receive_whole(folder, index)
    coming = folder.receive(6)
    coming.feed(stream_of(b"state")[0])
    folder.swap_in(9)
    names = ["db", "db.snap-0000000000000006.5", "db.snap-000000000000000a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names, "what is newer, or under way, stays"
    folder.discard_passed(9)
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    folder.discard_passed(10)
    coming.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["db"]
    engine = folder.open(create=False)
    assert engine.get(b"key") == b"9"
    engine.close()


def test_a_state_on_its_way_out_ends_when_another_takes_the_place_of_its_engine(folder: LevelEngineFolder) -> None:
    engine = folder.open(create=True)
    engine.write([(b"%d" % number, bytes(40_000)) for number in range(4)])
    view = engine.view()
    pieces = write_engine(view)
    assert [len(next(pieces)) > 0 for _ in range(2)]
    engine.close()
    with pytest.raises(EngineClosed, match="was closed while it was read"):
        list(pieces)
    view.close()
