"""Every write that the bench's clients saw acknowledged survives `kill -9` and a lost page cache.

In memory, over every way in which a disk may lose what was not synced; and once with a real process.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from random import Random

import pytest
import trio
from trio.testing import MockClock

from bench.durability import Case, lose_database_tail, request_of, run_case, value_of
from bench.generator import answer_end
from bench.page_cache import WriteBackFileSystem
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode
from trioetcd.testing.member import MemoryMember

WRITERS = 16


async def write(cluster: MemoryCluster, member: MemoryMember, numbers: itertools.count[int], done: set[int]) -> None:
    """One connection of the bench: write, wait for the answer, note it; until the member is gone."""
    stream = await cluster.network.host("client").dial(member.client_url)
    async with stream:
        for number in numbers:
            try:
                await stream.send_all(request_of(number))
                data = b""
                while not answer_end(data):
                    received = await stream.receive_some()
                    if not received:
                        return
                    data += received
            except trio.BrokenResourceError:
                return
            assert data.startswith(b"HTTP/1.1 200"), data
            done.add(number)


async def write_until(cluster: MemoryCluster, count: int, mode: CrashMode, numbers: itertools.count[int]) -> set[int]:
    """Write through the leader until so many writes are acknowledged, then take the power from all members."""
    done: set[int] = set()
    leader = await cluster.wait_leader()
    async with trio.open_nursery() as nursery:
        for _ in range(WRITERS):
            nursery.start_soon(write, cluster, leader, numbers, done)
        await cluster.wait_for(lambda: len(done) >= count or None, f"{count} acknowledged writes")
        for member in cluster.members:
            member.power_off(mode)
    for member in cluster.members:
        await member.wait_ended()
    return done


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("mode", CrashMode)
async def test_no_acknowledged_write_is_lost_with_the_page_cache(
    members: int, mode: CrashMode, autojump_clock: MockClock
) -> None:
    chance, numbers, acknowledged = Random(f"{members} {mode.name}"), itertools.count(), set[int]()
    async with MemoryCluster(members, seed=members, disk_seconds=0.005) as cluster:
        for _ in range(2):
            acknowledged |= await write_until(cluster, chance.randint(20, 120), mode, numbers)
            await cluster.start_all()
        await cluster.wait_leader()
        kvs = (await cluster.client.get("d", prefix=True)).kvs
    found = {int(kv.key[1:]): kv.value for kv in kvs}
    assert acknowledged - found.keys() == set()
    assert all(value == value_of(number) for number, value in found.items())


@pytest.mark.process
def test_no_acknowledged_write_is_lost_with_a_real_process() -> None:
    result = run_case(Case(members=1, kills=1, lose_page_cache=True), after=(0.3, 0.5))
    assert result["acknowledged"] > 0
    assert result["database_bytes_lost"] > 0


def test_what_was_not_synced_is_not_in_the_file(tmp_path: Path) -> None:
    path, fs = tmp_path / "file", WriteBackFileSystem()
    file = fs.create(path)
    file.write(0, b"durable.")
    file.sync()
    file.write(4, b"XX")
    file.write(10, b"end")
    assert (file.size(), file.read(2, 100)) == (13, b"raXXe.\0\0end")
    assert fs.open(path).read(0, 100) == b"duraXXe.\0\0end"
    assert path.read_bytes() == b"durable."
    fs.rename(path, tmp_path / "renamed")
    assert fs.open(tmp_path / "renamed").size() == 13
    file.sync()
    assert (tmp_path / "renamed").read_bytes() == b"duraXXe.\0\0end"
    file.close()
    fs.unlink(tmp_path / "renamed")


def test_the_database_is_cut_to_what_was_synced(tmp_path: Path) -> None:
    folder = tmp_path / "member" / "db"
    folder.mkdir(parents=True)
    for name, size in (("000003.log", 10), ("000005.log", 20), ("000007.log", 30)):
        (folder / name).write_bytes(bytes(size))
    (folder / "SYNCED").write_bytes((5).to_bytes(8, "little") + (8).to_bytes(8, "little") + bytes(4))
    assert lose_database_tail(tmp_path) == 12 + 30
    assert [path.stat().st_size for path in sorted(folder.glob("*.log"))] == [10, 8, 0]
