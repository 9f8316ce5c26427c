"""Snapshots in files: what they hold, and what is not taken for one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from trioetcd.api import messages as m
from trioetcd.raft.types import ConfState
from trioetcd.storage.backup import BackupDamage, read_stream, summarise
from trioetcd.storage.engine import MemoryEngine
from trioetcd.storage.engine_transfer import read_engine, stream_sizes, write_engine
from trioetcd.storage.machine import AppliedPosition, Committed, StateMachine
from trioetcd.storage.members import Member
from trioetcd.storage.requests import Proposal, RaftRequest


@pytest.fixture
def engine() -> MemoryEngine:
    """A state with 200 revisions of 50 keys."""
    engine = MemoryEngine()
    machine = StateMachine.open(engine=engine)
    puts = [RaftRequest(m.PutRequest(key=b"k%d" % (number % 50), value=bytes(1000))) for number in range(200)]
    machine.apply([Committed(1, 1, Proposal(1, tuple(puts)))])
    return engine


@pytest.fixture
def file(engine: MemoryEngine, tmp_path: Path) -> Path:
    stream = b"".join(write_engine(engine))
    path = tmp_path / "backup"
    path.write_bytes(stream + sha256(stream).digest())
    return path


def test_what_a_file_holds(file: Path, engine: MemoryEngine) -> None:
    summary = summarise(file)
    assert summary.revision == 201
    assert summary.total_keys == len(list(engine.range(b"", None)))
    assert summary.size_bytes == file.stat().st_size == summary.stream_bytes + 32
    copy = MemoryEngine()
    read_engine(read_stream(file, summary.stream_bytes), copy)
    assert list(copy.range(b"", None)) == list(engine.range(b"", None))


def test_the_sizes_of_a_stream_are_known_before(engine: MemoryEngine) -> None:
    for source in (engine, MemoryEngine()):
        assert list(stream_sizes(source)) == [len(piece) for piece in write_engine(source)]


def test_a_file_without_its_digest_is_taken_only_if_asked_for(file: Path) -> None:
    data = file.read_bytes()
    whole = summarise(file)
    for cut in (data[:-32], data[:-32] + bytes(32)):
        file.write_bytes(cut)
        with pytest.raises(BackupDamage, match="SHA-256"):
            summarise(file)
        found = summarise(file, check_hash=False)
        assert found._replace(size_bytes=0) == whole._replace(size_bytes=0)


@pytest.mark.parametrize("check_hash", [True, False])
def test_what_is_damaged_is_never_taken(file: Path, check_hash: bool) -> None:
    data = file.read_bytes()
    damaged = (
        b"",
        data[:5],
        data[:-33],
        data[: len(data) // 2],
        data[:1000] + b"?" + data[1001:],
        b"SQLite format 3" + bytes(5000),
        data[:-32] + b"more" + data[-32:],
    )
    for one in damaged:
        file.write_bytes(one)
        with pytest.raises(BackupDamage, match="cannot be used"):
            summarise(file, check_hash=check_hash)


def test_a_state_is_given_to_other_members(engine: MemoryEngine) -> None:
    machine = StateMachine.open(engine=engine)
    machine.members.replace([Member(id=1, name="old", peer_urls=("http://old:1",))])
    machine.members.set_cluster_version("3.5.0")
    machine.downgrade.begin("3.4.0")
    keys = machine.store.hash_kv()
    assert machine.applied.index == 1
    members = [Member(id=9, name="b", peer_urls=("http://b:1",)), Member(id=5, name="a", peer_urls=("http://a:1",))]
    position = machine.regroup(members)
    assert position == AppliedPosition(3, 1, ConfState(voters=(5, 9))), "behind what the members' own logs begin with"
    assert machine.regroup(members[:1]) == position._replace(conf_state=ConfState(voters=(9,)))
    machine.regroup(members)
    again = StateMachine.open(engine=engine)
    assert again.applied == machine.applied
    assert again.store.hash_kv() == keys
    assert [one.id for one in again.members.members()] == [5, 9]
    assert not again.members.is_removed(1)
    assert (again.members.cluster_version, again.downgrade.target) == (None, None)
    assert again.digest() == machine.digest()
