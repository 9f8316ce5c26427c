"""Watches over leaders that change, members that start again, and compactions."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.client import Compacted
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.watch_recorder import WatchRecorder, what_was_told_wrong


async def test_watchers_on_all_members_are_told_all_over_a_change_of_the_leader(autojump_clock: MockClock) -> None:
    async with MemoryCluster(5) as cluster, trio.open_nursery() as nursery:
        old = await cluster.wait_leader()
        followers = [member for member in cluster.members if member is not old]
        request = m.WatchCreateRequest(key=b"\0", range_end=b"\0", prev_kv=True, progress_notify=True)
        watchers = [WatchRecorder(member, request) for member in followers]
        for watcher in watchers:
            await nursery.start(watcher.run)
        for number in range(20):
            await (await cluster.wait_leader()).client.put(f"{number % 3}", f"{number}")
            if number == 10:
                await old.kill()
                await cluster.wait_leader()
        revision = (await followers[0].client.delete("0")).header.revision  # type: ignore[union-attr] # there is a header
        await cluster.wait_for(lambda: all(one.has_reached(revision) for one in watchers), "the last event")
        for watcher in watchers:
            assert len(watcher.record.events()) == 21
            assert await what_was_told_wrong(watcher, followers[0]) == []
        nursery.cancel_scope.cancel()


async def test_a_client_watches_on_over_restarts(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        told: list[bytes] = []
        total = 40

        async def watch(*, task_status: trio.TaskStatus[None]) -> None:
            async with cluster.client.watch("key") as events:
                task_status.started()
                async for event in events:
                    assert event.kv is not None
                    told.append(event.kv.value)

        await nursery.start(watch)
        for number in range(total):
            await (await cluster.wait_leader()).client.put("key", f"{number}")
            if number % 7 == 3:
                member = cluster.members[number % 3]
                await (member.kill() if number % 2 else member.stop())
                await member.start()
        await cluster.wait_for(lambda: len(told) >= total, "the last event")
        assert told == [b"%d" % number for number in range(total)]
        nursery.cancel_scope.cancel()


async def test_history_is_compacted_on_all_members(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        for number in range(30):
            await cluster.client.put(f"{number % 3}", f"{number}")
        await cluster.client.delete("0")
        await cluster.client.compact(25, physical=True)
        await cluster.wait_converged()
        await cluster.wait_for(
            lambda: all(one.parts.machine.store.compaction.finished_revision == 25 for one in cluster.members),
            "the removal on all members",
        )
        hashes = set()
        for member in cluster.members:
            with pytest.raises(Compacted):
                await member.client.get("1", revision=24)
            with pytest.raises(Compacted) as caught:
                async with member.client.watch("1", start_revision=24) as watch:
                    await anext(watch)
            assert caught.value.revision == 25
            answer = await member.client.call(m.HashKVRequest())
            hashes.add((answer.hash, answer.compact_revision))
        assert len(hashes) == 1
        await cluster.members[0].kill()
        await cluster.members[0].start()
        await cluster.wait_converged()


async def test_leases_and_their_keys_are_alike_on_all_members(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        lease = (await cluster.client.call(m.LeaseGrantRequest(TTL=60))).ID
        for number in range(5):
            await cluster.members[number % 3].client.put(f"{number}", "value", lease=lease)
        await cluster.wait_converged()
        for member in cluster.members:
            await member.kill()
        await cluster.start_all()
        await cluster.wait_leader()
        revoked = await cluster.members[0].client.call(m.LeaseRevokeRequest(ID=lease))
        assert (await cluster.members[1].client.get("", prefix=True)).kvs == []
        assert revoked.header.revision == 7
        await cluster.wait_converged()
