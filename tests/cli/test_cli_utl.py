"""`trioetcd utl`: etcdutl's outputs and exit codes."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trioetcd.api import messages as m
from trioetcd.cli import main
from trioetcd.cli.snapshot_files import readable_size
from trioetcd.storage.engine import LevelEngine, MemoryEngine
from trioetcd.storage.engine_transfer import write_engine
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.requests import Proposal, RaftRequest
from trioetcd.storage.schema import MEMBER_PREFIX, META_CLUSTER_VERSION, POSITION, REVISION_PREFIX


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["utl", "snapshot", *map(str, args)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    engine = MemoryEngine()
    put = RaftRequest(m.PutRequest(key=b"k", value=b"v"))
    StateMachine.open(engine=engine).apply([Committed(1, 1, Proposal(1, (put,))), Committed(2, 1, None)])
    stream = b"".join(write_engine(engine))
    path = tmp_path / "backup"
    path.write_bytes(stream + sha256(stream).digest())
    return path


def test_status(file: Path) -> None:
    simple = run("status", file)
    assert simple.exit_code == 0
    hash_text, revision, keys, size = simple.output.strip().split(", ")
    assert (revision, keys, size) == ("2", "2", f"{file.stat().st_size} B")
    as_json = run("status", file, "-w", "json").output
    assert as_json == (f'{{"hash":{int(hash_text, 16)},"revision":2,"totalKey":2,"totalSize":{file.stat().st_size}}}\n')
    table = run("status", file, "--write-out=table").output.splitlines()
    assert table[1].replace("|", " ").split() == ["HASH", "REVISION", "TOTAL", "KEYS", "TOTAL", "SIZE"]
    assert table[3].replace("|", " ").split() == [hash_text, "2", "2", str(file.stat().st_size), "B"]
    assert len({len(line) for line in table}) == 1


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (9, "9 B"),
        (569, "569 B"),
        (1000, "1.0 kB"),
        (40_960, "41 kB"),
        (999_999, "1.0 MB"),
        (2_100_000, "2.1 MB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert readable_size(size) == text


@pytest.mark.parametrize(
    "args", [("status",), ("restore",), ("restore", "a", "b"), ("restore", "a", "--nope"), ("nothing",)]
)
def test_a_command_line_that_cannot_be_read(args: tuple[str, ...]) -> None:
    assert run(*args).exit_code == 128


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for command in (("status",), ("restore", "--data-dir", tmp_path / "new")):
        result = run(*command, tmp_path / "none")
        assert result.exit_code == 1
        assert "No such file" in result.output
    assert not (tmp_path / "new").exists()


def test_restore(file: Path, tmp_path: Path) -> None:
    args = ("restore", file, "--data-dir", tmp_path / "new", "--name", "n")
    assert run(*args).exit_code == 0
    machine = StateMachine.open(engine=LevelEngine.open(tmp_path / "new" / "member" / "db", create=False))
    assert machine.store.revision == 2
    assert machine.applied.index == 2
    assert [member.name for member in machine.members.members()] == ["n"]
    machine.close()
    again = run(*args)
    assert again.exit_code == 1
    assert f'data-dir "{tmp_path / "new"}" not empty' in again.output


def test_nothing_is_made_of_a_damaged_file(file: Path, tmp_path: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    result = run("restore", file, "--data-dir", tmp_path / "new")
    assert result.exit_code == 1
    assert "save it anew" in result.output
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (POSITION, b"\xc1"),
        (POSITION, b"\x03"),
        (MEMBER_PREFIX + bytes(8), b"\x01"),
        (REVISION_PREFIX + b"short", b""),
        (META_CLUSTER_VERSION, b"\xff"),
    ],
)
def test_a_whole_file_of_something_else(tmp_path: Path, key: bytes, value: bytes) -> None:
    engine = MemoryEngine()
    engine.write([(key, value)])
    stream = b"".join(write_engine(engine))
    path = tmp_path / "backup"
    path.write_bytes(stream + sha256(stream).digest())
    result = run("restore", path, "--data-dir", tmp_path / "new")
    assert result.exit_code == 1
    assert "is not the state of a member" in result.output


def test_a_member_that_its_cluster_does_not_name(file: Path, tmp_path: Path) -> None:
    result = run("restore", file, "--data-dir", tmp_path / "new", "--name", "x", "--initial-cluster", "y=http://a:1")
    assert result.exit_code == 1
    assert "couldn't find local name 'x'" in result.output
