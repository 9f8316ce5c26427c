"""Alarms, quota, snapshots, leadership, defragmentation and downgrades on whole clusters in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.client import EtcdError
from trioetcd.log import null_logger
from trioetcd.node.maintenance.snapshot_stream import BLOB_BYTES
from trioetcd.node.restore import restore
from trioetcd.node.service.context import ANYONE
from trioetcd.storage.machine import StateMachine
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

SEGMENT_BYTES = 4_000_000
ACTIVATE, DEACTIVATE = int(m.AlarmAction.ACTIVATE), int(m.AlarmAction.DEACTIVATE)
NOSPACE, CORRUPT = int(m.AlarmType.NOSPACE), int(m.AlarmType.CORRUPT)


def refusal(kind: ErrorKind) -> str:
    return str(kind.value[1])


async def followers_of(cluster: MemoryCluster) -> list[MemoryMember]:
    leader = await cluster.wait_leader()
    return [member for member in cluster.members if member is not leader]


async def put_many(member: MemoryMember, count: int) -> None:
    for _ in range(count):
        await member.client.put("k", bytes(10_000))


# -- alarms and quota


async def test_an_alarm_is_seen_by_all_members(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        one, other = await followers_of(cluster)
        raised = await one.client.call(m.AlarmRequest(action=ACTIVATE, memberID=5, alarm=NOSPACE))
        assert raised.alarms == [m.AlarmMember(memberID=5, alarm=NOSPACE)]
        await cluster.wait_converged()
        for member in cluster.members:
            assert (await member.client.status()).errors == ["memberID:5 alarm:NOSPACE "]
            assert member.view.active_alarms() == ["NOSPACE"]
        with pytest.raises(EtcdError, match="database space exceeded"):
            await other.client.put("k", "v")
        await other.stop()
        await other.start()
        assert (await other.client.call(m.AlarmRequest())).alarms == raised.alarms
        await other.client.call(m.AlarmRequest(action=DEACTIVATE, memberID=5, alarm=NOSPACE))
        await one.client.put("k", "v")


async def test_a_quota_that_a_follower_alone_has_reached_stops_the_writes_of_all(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, start=False) as cluster:
        small = cluster.members[0]
        small.config = replace(small.config, quota_backend_bytes=400_000)
        await cluster.start_all()
        leader = await cluster.wait_leader()
        if leader is small:
            leader = cluster.members[1]
            await small.client.call(m.MoveLeaderRequest(targetID=leader.id))
        with pytest.raises(EtcdError, match="database space exceeded"):
            await put_many(leader, 100)
        await cluster.wait_converged()
        assert (await leader.client.call(m.AlarmRequest())).alarms == [m.AlarmMember(memberID=small.id, alarm=NOSPACE)]
        assert (await leader.client.get("k")).count == 1

        # The way back: compact, defragment, disarm.
        revision = small.parts.machine.store.revision
        await small.client.compact(revision, physical=True)
        await small.client.call(m.DefragmentRequest())
        assert small.parts.machine.size_bytes() < 50_000
        await small.client.call(m.AlarmRequest(action=DEACTIVATE, memberID=small.id, alarm=NOSPACE))
        await small.client.put("k", "v")


async def test_disarming_without_making_room_lasts_until_the_next_write(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, quota_backend_bytes=100_000) as cluster:
        [member] = cluster.members
        with pytest.raises(EtcdError, match="database space exceeded"):
            await put_many(member, 20)
        disarm = m.AlarmRequest(action=DEACTIVATE, memberID=member.id, alarm=NOSPACE)
        assert (await cluster.client.call(disarm)).alarms
        assert (await cluster.client.call(m.AlarmRequest())).alarms == []
        await cluster.client.delete("k")
        assert (await cluster.client.call(m.AlarmRequest())).alarms == []
        with pytest.raises(EtcdError, match="database space exceeded"):
            await put_many(member, 1)
        assert (await cluster.client.call(m.AlarmRequest())).alarms


async def test_alarms_that_are_none_are_refused(autojump_clock: MockClock) -> None:
    """etcd 3.5.1 ends at both."""
    async with MemoryCluster(1) as cluster:
        for request in (m.AlarmRequest(action=7), m.AlarmRequest(action=ACTIVATE, alarm=7)):
            with pytest.raises(EtcdError, match="unknown alarm"):
                await cluster.client.call(request)
        assert (await cluster.client.call(m.AlarmRequest(alarm=7))).alarms == []


# -- snapshots


async def read_snapshot(member: MemoryMember) -> bytes:
    """The snapshot's stream, without the SHA-256, which is checked, as is what was said to remain."""
    answers = [one async for one in member.services.maintenance.snapshot(m.SnapshotRequest(), ANYONE)]
    *blobs, digest = answers
    total = sum(len(one.blob) for one in blobs)
    sent = 0
    for one in blobs:
        assert 0 < len(one.blob) <= BLOB_BYTES
        sent += len(one.blob)
        assert one.remaining_bytes == total - sent
    stream = b"".join(one.blob for one in blobs)
    assert digest == m.SnapshotResponse(blob=sha256(stream).digest())
    return stream


def make_from(stream: bytes, members: Iterable[MemoryMember]) -> None:
    for member in members:
        restore(
            [stream],
            config=member.config,
            filesystem=member.filesystem,
            engine_folder=member.engines,
            log=null_logger(),
            wal_segment_bytes=SEGMENT_BYTES,
        )


def what_clients_know(machine: StateMachine) -> list[object]:
    return [kind.digest_parts() for kind in (machine.leases, machine.alarms, machine.auth)] + [machine.store.hash_kv()]


async def fill(cluster: MemoryCluster) -> None:
    await cluster.client.call(m.LeaseGrantRequest(ID=9, TTL=3600))
    for number in range(40):
        await cluster.client.put(f"k{number % 13}", bytes(5_000), lease=9 if number % 2 else 0)
    await cluster.client.compact(20)
    await cluster.client.call(m.AlarmRequest(action=ACTIVATE, memberID=5, alarm=NOSPACE))
    await cluster.client.call(m.AlarmRequest(action=DEACTIVATE, memberID=5, alarm=NOSPACE))
    await cluster.client.call(m.AuthUserAddRequest(name="alice", options=m.UserAddOptions(no_password=True)))
    await cluster.wait_converged()


async def test_a_snapshot_taken_under_writes_becomes_a_new_cluster(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        await fill(cluster)
        member, _ = await followers_of(cluster)
        answers = member.services.maintenance.snapshot(m.SnapshotRequest(), ANYONE)
        before = member.parts.machine.store.revision
        expected = what_clients_know(member.parts.machine)
        blobs = []
        async for answer in answers:
            blobs.append(answer.blob)
            await cluster.client.put("k1", "of another time")
        assert len(blobs) > 3
        await cluster.wait_converged()
        assert member.parts.machine.store.revision == before + len(blobs)
        old_ids = {one.id for one in cluster.members}
    async with MemoryCluster(3, start=False, initial_cluster_token="another") as restored:
        make_from(b"".join(blobs[:-1]), restored.members)
        await restored.start_all()
        await restored.wait_leader()
        await restored.wait_converged()
        one = restored.members[0].parts.machine
        assert what_clients_know(one) == expected
        assert one.store.revision == before
        assert old_ids.isdisjoint(member.id for member in one.members.members())
        await restored.client.put("k", "v")
        assert (await restored.client.get("k")).kvs[0].mod_revision == before + 1
        await restored.members[0].stop()
        await restored.members[0].start()
        await restored.wait_converged()


async def test_a_member_without_the_restored_state_is_sent_it(autojump_clock: MockClock) -> None:
    """A forgotten restore on one member: it must not take its empty state for the one its log stands for."""
    async with MemoryCluster(1) as cluster:
        await fill(cluster)
        stream = await read_snapshot(cluster.members[0])
        expected = what_clients_know(cluster.members[0].parts.machine)
    async with MemoryCluster(3, start=False) as restored:
        make_from(stream, restored.members[:2])
        await restored.start_all()
        await restored.wait_leader()
        await restored.wait_converged()
        for member in restored.members:
            assert what_clients_know(member.parts.machine) == expected


# -- leadership


async def test_leadership_moves_to_the_member_that_is_named(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        one, other = await followers_of(cluster)
        for target in (0, 12345):
            with pytest.raises(EtcdError, match="bad leader transferee"):
                await leader.client.call(m.MoveLeaderRequest(targetID=target))
        for target in (12345, other.id):
            with pytest.raises(EtcdError, match="not leader"):
                await one.client.call(m.MoveLeaderRequest(targetID=target))
        assert await leader.client.call(m.MoveLeaderRequest(targetID=leader.id)) == m.MoveLeaderResponse()
        began = trio.current_time()
        assert await leader.client.call(m.MoveLeaderRequest(targetID=other.id)) == m.MoveLeaderResponse()
        assert other.is_leader
        assert trio.current_time() - began < 0.5


async def test_a_member_that_cannot_be_reached_does_not_come_to_lead(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        away, _ = await followers_of(cluster)
        cluster.isolate(away)
        with pytest.raises(ApiError, match="leader transfer took too long"):
            await leader.services.maintenance.move_leader(m.MoveLeaderRequest(targetID=away.id), ANYONE)
        cluster.heal()
        await cluster.wait_converged()


# -- defragmentation, hashes


async def test_writes_go_on_while_a_member_defragments(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, disk_seconds=0.02) as cluster:
        await fill(cluster)
        leader = await cluster.wait_leader()
        finished = trio.Event()

        async def defragment() -> None:
            assert await leader.client.call(m.DefragmentRequest()) == m.DefragmentResponse()
            finished.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(defragment)
            await cluster.client.put("k", "v")
            assert await cluster.client.get("k")
        assert finished.is_set()
        await cluster.wait_converged()


async def test_hashes_are_equal_on_all_members(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        await fill(cluster)
        hashes = [(await member.client.call(m.HashRequest())).hash for member in cluster.members]
        assert len(set(hashes)) == 1
        await cluster.client.call(m.LeaseRevokeRequest(ID=9))
        await cluster.wait_converged()
        changed = {(await member.client.call(m.HashRequest())).hash for member in cluster.members}
        assert len(changed) == 1
        assert changed.isdisjoint(hashes)


# -- downgrades


async def test_a_downgrade_is_known_to_all_members_and_after_a_start(autojump_clock: MockClock) -> None:
    enable, cancel = int(m.DowngradeAction.ENABLE), int(m.DowngradeAction.CANCEL)
    async with MemoryCluster(3) as cluster:
        one, other = await followers_of(cluster)
        with pytest.raises(EtcdError, match="no inflight downgrade job"):
            await one.client.call(m.DowngradeRequest(action=cancel))
        assert (await one.client.call(m.DowngradeRequest(action=enable, version="3.4"))).version == "3.5.0"
        for version, kind in (
            ("3.3", ErrorKind.INVALID_DOWNGRADE_TARGET_VERSION),
            ("3.4", ErrorKind.DOWNGRADE_IN_PROCESS),
        ):
            with pytest.raises(EtcdError, match=refusal(kind)):
                await other.client.call(m.DowngradeRequest(version=version))
        await cluster.wait_converged()
        await other.stop()
        await other.start()
        assert other.parts.machine.downgrade.target == "3.4.0"
        assert (await other.client.call(m.DowngradeRequest(action=cancel))).version == "3.5.0"
        assert (await one.client.call(m.DowngradeRequest(version="3.4.0"))).version == "3.5.0"
