"""Leases that live as long as a block, over members in memory."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trioetcd import client as etcd
from trioetcd.api import messages as m
from trioetcd.testing.cluster import MemoryCluster


async def test_a_lease_lives_as_long_as_its_block(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        async with cluster.client.lease(5) as lease:
            await cluster.client.put("k", "v", lease=lease.id)
            await trio.sleep(60)
            assert (await cluster.client.get("k")).count == 1
            assert lease.ttl_seconds == 5
            assert not lease.lost.is_set()
        assert (await cluster.client.get("k")).count == 0
        assert (await cluster.client.leases()).leases == []


async def test_a_lease_outlives_leaders(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, cluster.client.lease(5) as lease:
        await cluster.client.put("k", "v", lease=lease.id)
        for _ in range(3):
            leader = await cluster.wait_leader()
            await leader.kill()
            await trio.sleep(7)
            await leader.start()
        assert (await cluster.client.get("k")).count == 1


async def test_a_block_is_cancelled_when_its_lease_is_gone(autojump_clock: MockClock) -> None:
    async def block(client: etcd.Client) -> None:
        async with client.lease(6, lease_id=0x42) as lease:
            kept.append(lease)
            await trio.sleep(3)
            await client.lease_revoke(0x42)
            revoked_at.append(trio.current_time())
            await trio.sleep_forever()

    kept: list[etcd.Lease] = []
    revoked_at: list[float] = []
    async with MemoryCluster(3) as cluster:
        with pytest.raises(etcd.LeaseLost, match="ended, or could not be kept alive for its 6 s"):
            await block(cluster.client)
        assert kept[0].id == 0x42
        assert kept[0].lost.is_set()
        assert trio.current_time() - revoked_at[0] <= 2.1


async def test_a_block_ends_before_its_lease_may_when_nobody_answers(autojump_clock: MockClock) -> None:
    async def block(cluster: MemoryCluster) -> None:
        async with cluster.client.lease(9) as lease:
            await cluster.client.put("k", "v", lease=lease.id)
            await trio.sleep(4)  # a keep-alive has been answered
            for member in cluster.members:
                cluster.network.partition("client", member.name)
            cut_at.append(trio.current_time())
            await trio.sleep_forever()

    cut_at: list[float] = []
    async with MemoryCluster(3) as cluster:
        with pytest.raises(etcd.LeaseLost):
            await block(cluster)
        assert trio.current_time() - cut_at[0] <= 9
        assert [kv.key for kv in keys_at(cluster)] == [b"k"], "it is gone only after"
        await trio.sleep(12)
        assert keys_at(cluster) == []


def keys_at(cluster: MemoryCluster) -> list[m.KeyValue]:
    store = cluster.members[0].parts.machine.store
    return list(store.range(m.RangeRequest(key=b"\0", range_end=b"\0")).kvs)


async def test_errors_of_a_block_come_out_as_they_are(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        with pytest.raises(ValueError, match="of the block"):
            async with cluster.client.lease(5):
                raise ValueError("of the block")
        with pytest.raises(ExceptionGroup) as caught:
            async with cluster.client.lease(5), trio.open_nursery():
                raise ValueError("of a nursery in the block")
        assert [str(error) for error in caught.value.exceptions] == ["of a nursery in the block"]
        assert (await cluster.client.leases()).leases == []


async def test_a_cancelled_block_revokes_its_lease(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        with trio.move_on_after(7) as scope:
            async with cluster.client.lease(5):
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert (await cluster.client.leases()).leases == []


async def test_leases_without_a_block_and_members(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        client = cluster.client
        granted = await client.lease_grant(20, lease_id=7)
        assert (granted.ID, granted.TTL) == (7, 20)
        await client.put("k", "v", lease=7)
        await trio.sleep(5)
        left = await client.lease_time_to_live(7, keys=True)
        assert (left.TTL, left.grantedTTL, left.keys) in [(14, 20, [b"k"]), (15, 20, [b"k"])]
        assert (await client.lease_keep_alive(7)).TTL == 20
        assert [one.ID for one in (await client.leases()).leases] == [7]
        await client.lease_revoke(7)
        assert (await client.lease_keep_alive(7)).TTL == 0
        assert (await client.lease_time_to_live(7)).TTL == -1
        with pytest.raises(etcd.LeaseNotFound):
            await client.lease_revoke(7)
        assert sorted(one.name for one in (await client.member_list()).members) == ["m0", "m1", "m2"]
