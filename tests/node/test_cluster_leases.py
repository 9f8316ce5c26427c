"""Leases over three members: never gone early, gone in time, gone at once; and what is told of them by every member."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.node.service.context import ANYONE
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember


async def grant(member: MemoryMember, lease_id: int, ttl: int) -> None:
    await member.services.lease.lease_grant(m.LeaseGrantRequest(ID=lease_id, TTL=ttl), ANYONE)


async def keep_alive(member: MemoryMember, lease_id: int) -> int:
    return (await member.services.lease.lease_keep_alive(m.LeaseKeepAliveRequest(ID=lease_id), ANYONE)).TTL


async def time_to_live(member: MemoryMember, lease_id: int) -> m.LeaseTimeToLiveResponse:
    return await member.services.lease.lease_time_to_live(m.LeaseTimeToLiveRequest(ID=lease_id, keys=True), ANYONE)


async def put(member: MemoryMember, key: bytes, lease_id: int) -> None:
    await member.services.kv.put(m.PutRequest(key=key, value=b"v", lease=lease_id), ANYONE)


async def test_a_lease_expires_in_time_on_all_members(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        await grant(leader, 7, 10)
        await put(leader, b"a", 7)
        for member in cluster.members:
            assert await keep_alive(member, 7) == 10
            assert await time_to_live(member, 7)
        kept_at = trio.current_time()
        await trio.sleep(9.2)
        for member in cluster.members:
            response = await time_to_live(member, 7)
            assert (response.TTL, response.grantedTTL, response.keys) == (0, 10, [b"a"]), member.name
        await cluster.wait_for(lambda: all(7 not in one.parts.machine.leases for one in cluster.members), "its end")
        assert 10 <= trio.current_time() - kept_at < 11
        for member in cluster.members:
            assert await keep_alive(member, 7) == 0
            assert (await time_to_live(member, 7)).TTL == -1
        await cluster.wait_converged()
