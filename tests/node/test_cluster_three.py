"""Three members: leaders that go and come back, handovers, and what a vote or a write may rest on."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.raft import RaftInvariantError
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode

ELECTION_SECONDS = 1.0
TICK_SECONDS = 0.1


async def test_writes_through_each_member_are_read_through_each(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        for writer in cluster.members:
            await writer.client.put("key", writer.name)
            for reader in cluster.members:
                assert (await reader.client.get("key")).kvs[0].value == writer.name.encode()
        await cluster.wait_converged()
        hashes = {(await member.client.call(m.HashKVRequest())).hash for member in cluster.members}
        assert len(hashes) == 1


@pytest.mark.parametrize("mode", [CrashMode.DROP, CrashMode.ZEROED])
@pytest.mark.parametrize("seed", range(3))
async def test_a_killed_leader_is_replaced_and_comes_back(
    autojump_clock: MockClock, mode: CrashMode, seed: int
) -> None:
    async with MemoryCluster(3, seed=seed) as cluster:
        await cluster.client.put("before", "1")
        old = await cluster.wait_leader()
        await old.kill(mode)
        killed_at = trio.current_time()
        new = await cluster.wait_leader()
        assert trio.current_time() - killed_at <= 2 * ELECTION_SECONDS + 2 * TICK_SECONDS
        await new.client.put("after", "2")
        await old.start()
        await cluster.wait_converged()
        assert {kv.key for kv in (await old.client.get("", prefix=True)).kvs} == {b"before", b"after"}
        assert cluster.leader() is new


async def test_an_orderly_stop_hands_leadership_over(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        await cluster.client.put("key", "value")
        old = await cluster.wait_leader()
        stopped_at = trio.current_time()
        await old.stop()
        await cluster.wait_leader()
        assert trio.current_time() - stopped_at < ELECTION_SECONDS / 2
        await old.start()
        await cluster.wait_converged()


async def test_all_members_crash_at_once(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, snapshot_count=5, snapshot_catchup_entries=2) as cluster:
        for number in range(20):
            await cluster.client.put(f"{number}", "value")
        for member in cluster.members:
            member.power_off(CrashMode.SUBSET)
        for member in cluster.members:
            await member.wait_ended()
        await cluster.start_all()
        await cluster.wait_leader()
        assert (await cluster.client.get("", prefix=True, count_only=True)).count == 20
        await cluster.wait_converged()


async def test_a_disk_that_stalls_holds_up_its_member_alone(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, disk_seconds=0.02) as cluster:
        leader = await cluster.wait_leader()
        follower = next(member for member in cluster.members if member is not leader)
        follower.stall_disk()
        for number in range(10):
            await leader.client.put(f"{number}", "value")
        assert follower.parts.applier.applied_index < leader.parts.applier.applied_index
        follower.release_disk()
        await cluster.wait_converged()
        assert cluster.leader() is leader


async def test_a_sync_that_fails_ends_the_member_and_no_write_is_lost(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        await leader.client.put("before", "1")
        leader.may_fail = True
        leader.filesystem.fail_sync()
        with pytest.raises(Exception, match="may or may not"):
            await leader.client.put("during", "2")
        await leader.wait_ended()
        assert isinstance(leader.failure, ExceptionGroup)
        assert "syncing /data/member/wal" in str(leader.failure.exceptions)
        await cluster.wait_leader()
        await cluster.client.put("after", "3")
        await leader.start()
        await cluster.wait_converged()
        keys = {kv.key for kv in (await leader.client.get("", prefix=True)).kvs}
        assert keys >= {b"before", b"after"}


async def test_a_member_whose_disk_lost_what_it_had_synced_ends_and_says_what_to_do(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        victim = next(member for member in cluster.members if member is not leader)
        victim.filesystem.syncs_lie = True
        for number in range(20):
            await leader.client.put(f"{number}", "value")
        await cluster.wait_converged()
        await victim.kill(CrashMode.DROP)
        victim.filesystem.syncs_lie = False
        victim.may_fail = True
        await victim.start()
        await victim.wait_ended()
        with pytest.RaisesGroup(
            pytest.RaisesExc(RaftInvariantError, match="Remove this member from its cluster, and add it anew"),
            flatten_subgroups=True,
        ):
            assert victim.failure is not None
            raise victim.failure
        assert (await leader.client.get("", prefix=True, count_only=True)).count == 20


async def test_the_cluster_version_and_the_members_are_published(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        await cluster.wait_for(
            lambda: all(member.view.version().etcdcluster == "3.5.0" for member in cluster.members),
            "a cluster version",
        )
        listed = (await cluster.client.call(m.MemberListRequest(linearizable=True))).members
        assert sorted((one.name, tuple(one.clientURLs)) for one in listed) == [
            (member.name, (member.client_url,)) for member in cluster.members
        ]
