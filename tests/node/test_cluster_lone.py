"""A member alone: what it does, and what it keeps."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode


async def test_what_was_put_is_read(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        await cluster.client.put("a", "1")
        assert (await cluster.client.get("a")).kvs[0].value == b"1"


@pytest.mark.parametrize("mode", CrashMode)
async def test_a_crash_loses_no_acknowledged_write(autojump_clock: MockClock, mode: CrashMode) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        for round_ in range(3):
            for number in range(10):
                await member.client.put(f"{round_}/{number}", f"{number}")
            await member.kill(mode)
            await member.start()
            await cluster.wait_leader()
            assert (await member.client.get("", prefix=True, count_only=True)).count == 10 * (round_ + 1)


async def test_three_members(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        for member in cluster.members:
            await member.client.put(member.name, "1")
        await cluster.wait_converged()
