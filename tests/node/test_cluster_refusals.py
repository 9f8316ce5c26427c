"""Starts that are refused: with one line that names the file, and nothing changed on the disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from trioetcd.config import StartRefused
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

DATA = Path("/data")
WAL = DATA / "member" / "wal"
SNAP = DATA / "member" / "snap"


@asynccontextmanager
async def stopped_member(**settings: Any) -> AsyncIterator[MemoryMember]:
    """A member alone that has written some keys and was stopped."""
    async with MemoryCluster(1, **settings) as cluster:
        (member,) = cluster.members
        for number in range(20):
            await member.client.put(f"{number}", "value")
        await member.stop()
        yield member


def on_disk(member: MemoryMember) -> dict[Path, bytes]:
    """All files with their bytes."""
    disk = member.filesystem
    directories = (DATA, DATA / "member", WAL, SNAP)
    return {
        directory / name: disk.content(directory / name)
        for directory in directories
        for name in disk.list_directory(directory)
    }


async def refusal(member: MemoryMember) -> str:
    """What a start is refused with; nothing on the disk is changed by it, nor by the second attempt."""
    before = on_disk(member)
    with pytest.raises(StartRefused) as caught:
        await member.start()
    assert on_disk(member) == before
    with pytest.raises(StartRefused) as again:
        await member.start()
    assert str(again.value) == str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def segment(member: MemoryMember) -> Path:
    """The only segment of the log."""
    (name,) = member.filesystem.list_directory(WAL)
    return WAL / name


async def test_a_log_without_its_engine(autojump_clock: MockClock) -> None:
    async with stopped_member() as member:
        member.engines.remove()
        assert "/data/member/db" in await refusal(member)


async def test_an_engine_without_its_log(autojump_clock: MockClock) -> None:
    async with stopped_member() as member:
        member.filesystem.unlink(segment(member))
        assert "no write-ahead log in /data/member/wal" in await refusal(member)


async def test_damage_in_the_middle_of_the_log(autojump_clock: MockClock) -> None:
    async with stopped_member() as member:
        path = segment(member)
        member.filesystem.flip_bit(path, 700)
        assert str(path) in await refusal(member)


async def test_a_segment_that_is_missing(autojump_clock: MockClock) -> None:
    async with stopped_member(wal_segment_bytes=1024) as member:
        names = member.filesystem.list_directory(WAL)
        assert len(names) >= 3
        member.filesystem.unlink(WAL / names[1])
        assert "/data/member/wal" in await refusal(member)


async def test_damage_of_the_only_snapshot_that_the_log_goes_on_from(autojump_clock: MockClock) -> None:
    async with stopped_member(snapshot_count=9, snapshot_catchup_entries=1, wal_segment_bytes=1024) as member:
        for name in member.filesystem.list_directory(WAL)[:-2]:
            member.filesystem.unlink(WAL / name)
        for name in member.filesystem.list_directory(SNAP):
            member.filesystem.flip_bit(SNAP / name, 20)
        message = await refusal(member)
        assert f"/data/member/snap/{name}" in message
        assert "/data/member/wal" in message


async def test_damage_of_a_snapshot_is_got_over_while_the_log_has_all(autojump_clock: MockClock) -> None:
    async with stopped_member(snapshot_count=9, snapshot_catchup_entries=1) as member:
        newest = member.filesystem.list_directory(SNAP)[-1]
        member.filesystem.flip_bit(SNAP / newest, 20)
        await member.start()
        assert (await member.client.get("", prefix=True, count_only=True, serializable=True)).count == 20
        assert newest + ".broken" in member.filesystem.list_directory(SNAP)


async def test_an_engine_that_is_ahead_of_the_log(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        await member.client.put("a", "1")
        position = member.filesystem.content(segment(member)).rstrip(b"\0")
        await member.client.put("b", "2")
        await member.stop()
        path = segment(member)
        after = len(member.filesystem.content(path).rstrip(b"\0"))
        end = -(-len(position) // 8) * 8
        member.filesystem.overwrite(path, end, bytes(after - end))
        message = await refusal(member)
        assert "/data/member/wal" in message
        assert "/data/member" in message
        assert "do not belong together" in message


async def test_files_of_something_else(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, start=False) as cluster:
        (member,) = cluster.members
        member.filesystem.make_directory(DATA)
        member.filesystem.create(DATA / "thesis.tex").write(0, b"precious")
        assert "thesis.tex" in await refusal(member)


async def test_the_directory_of_an_etcd(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, start=False) as cluster:
        (member,) = cluster.members
        member.filesystem.make_directory(SNAP)
        member.filesystem.create(SNAP / "db").write(0, b"bbolt")
        assert "/data is the data directory of etcd" in await refusal(member)


async def test_a_directory_in_use(autojump_clock: MockClock) -> None:
    async with stopped_member() as member:
        with member.filesystem.lock(DATA):
            assert "data directory /data is in use" in await refusal(member)
        await member.start()


async def test_another_format(autojump_clock: MockClock) -> None:
    async with stopped_member() as member:
        (name,) = member.filesystem.list_directory(DATA)
        member.filesystem.overwrite(DATA / name, 0, b"another")
        assert f"/data/{name}" in await refusal(member)
