"""A member whose keys differ is found: by the leader while it runs, by itself when it starts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.client import EtcdError
from trioetcd.config import StartRefused
from trioetcd.storage.schema import REVISION_PREFIX, prefix_end
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember


def rot(member: MemoryMember) -> None:
    """Change the newest value in a member's engine behind its back."""
    engine = member.parts.machine.engine
    key, value = next(iter(engine.range(REVISION_PREFIX, prefix_end(REVISION_PREFIX), reverse=True)))
    engine.write([(key, value[:-1] + b"?")], sync=True)


async def test_the_leader_finds_who_differs_and_nothing_is_changed_any_more(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, corrupt_check_interval_seconds=8.0) as cluster:
        for number in range(5):
            await cluster.client.put(f"k{number}", "value")
        await cluster.wait_converged()
        await trio.sleep(20)
        assert (await cluster.client.call(m.AlarmRequest())).alarms == []
        leader = await cluster.wait_leader()
        odd = next(member for member in cluster.members if member is not leader)
        rot(odd)
        await trio.sleep(12)
        expected = [m.AlarmMember(memberID=odd.id, alarm=int(m.AlarmType.CORRUPT))]
        assert (await cluster.client.call(m.AlarmRequest())).alarms == expected
        with pytest.raises(EtcdError, match="corrupt cluster"):
            await cluster.client.put("k", "v")
        assert (await cluster.client.get("k1")).count == 1


async def test_a_member_that_differs_does_not_start(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        await cluster.client.put("k", "value")
        await cluster.wait_converged()
        odd = cluster.members[0]
        odd.config = replace(odd.config, initial_corrupt_check=True)
        await odd.stop()
        await odd.start()
        rot(odd)
        await odd.stop()
        with pytest.raises(StartRefused, match="found data inconsistency with peers"):
            await odd.start()


async def test_a_member_that_cannot_ask_the_others_starts(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, initial_corrupt_check=True) as cluster:
        await cluster.client.put("k", "value")
        for member in cluster.members:
            await member.stop()
        await cluster.start_all()
        assert (await cluster.client.get("k")).count == 1
