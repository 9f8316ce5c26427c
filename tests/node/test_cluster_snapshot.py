"""A member that is too far behind is sent the whole state, and no crash on the way leaves it with half of one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.raft.types import Message, MessageType, Snapshot, SnapshotMetadata
from trioetcd.storage.engine_folder import Receiver
from trioetcd.storage.engine_transfer import write_engine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode
from trioetcd.testing.member import MemoryMember
from trioetcd.testing.watch_recorder import WatchRecorder, what_was_told_wrong

SETTINGS: dict[str, Any] = {"snapshot_count": 5, "snapshot_catchup_entries": 2}


async def put_many(cluster: MemoryCluster, number: int, *, prefix: str = "") -> None:
    leader = await cluster.wait_leader()
    for one in range(number):
        await leader.client.put(f"{prefix}{one % 7}", f"{one}")


async def follower_of(cluster: MemoryCluster) -> MemoryMember:
    leader = await cluster.wait_leader()
    return next(member for member in cluster.members if member is not leader)


async def fall_behind(cluster: MemoryCluster, behind: MemoryMember) -> None:
    """Cut a member off until others have what it lacks in a snapshot alone, and lose what is on its way."""
    cluster.isolate(behind)
    await put_many(cluster, 20)
    for member in cluster.members:
        cluster.network.drop_connections(member.name, behind.name)


def installs(member: MemoryMember, seen: list[str]) -> None:
    """Note the operations by which a received state is kept and swapped in."""
    member.before_operation = lambda what: seen.append(what) if "db" in what else None


@asynccontextmanager
async def one_far_behind(**settings: Any) -> AsyncIterator[tuple[MemoryCluster, MemoryMember]]:
    """Three members, of which one was cut off for so long that only a snapshot can bring it back."""
    async with MemoryCluster(3, **(SETTINGS | settings)) as cluster:
        behind = await follower_of(cluster)
        await put_many(cluster, 3, prefix="early")
        await cluster.wait_converged()
        await fall_behind(cluster, behind)
        yield cluster, behind


async def test_a_member_far_behind_is_caught_up_by_a_snapshot(autojump_clock: MockClock) -> None:
    async with one_far_behind() as (cluster, behind):
        seen: list[str] = []
        installs(behind, seen)
        cluster.heal()
        await cluster.wait_converged()
        assert any("db.snap" in what for what in seen)
        await put_many(cluster, 30)
        await cluster.wait_converged()
        await behind.stop()
        await behind.start()
        await cluster.wait_converged()


async def test_watchers_of_the_member_live_through_the_snapshot(autojump_clock: MockClock) -> None:
    async with one_far_behind() as (cluster, behind), trio.open_nursery() as nursery:
        revision = behind.parts.machine.store.revision
        everything = m.WatchCreateRequest(key=b"\0", range_end=b"\0", start_revision=1, prev_kv=True)
        from_now = m.WatchCreateRequest(key=b"\0", range_end=b"\0")
        future = m.WatchCreateRequest(key=b"3", start_revision=revision + 20)
        watchers = [WatchRecorder(behind, request) for request in (everything, from_now, future)]
        for watcher in watchers:
            await nursery.start(watcher.run)
        cluster.heal()
        await put_many(cluster, 8)
        await cluster.wait_converged()
        revision = behind.parts.machine.store.revision
        leader = await cluster.wait_leader()
        await leader.client.put("3", "last")
        await cluster.wait_for(lambda: all(one.has_reached(revision + 1) for one in watchers), "the last event")
        for watcher in watchers:
            assert await what_was_told_wrong(watcher, leader) == []
        nursery.cancel_scope.cancel()


class CrashInInstallation:
    """Lets a member go off before the n-th operation after a received state has begun to get its name."""

    def __init__(self, member: MemoryMember, mode: CrashMode) -> None:
        self._member = member
        self._mode = mode
        self._left: int | None = None
        self._begun = False

    def arm(self, distance: int) -> None:
        self._left = distance
        self._begun = False
        self._member.before_operation = self._operation

    def _operation(self, what: str) -> None:
        self._begun = self._begun or "db.snap" in what
        if not self._begun or self._left is None:
            return
        self._left -= 1
        if self._left == 0:
            self._member.power_off(self._mode)


@pytest.mark.parametrize("mode", [CrashMode.DROP, CrashMode.SUBSET])
async def test_a_crash_at_any_step_of_an_installation(autojump_clock: MockClock, mode: CrashMode) -> None:
    async with one_far_behind() as (cluster, behind):
        crash = CrashInInstallation(behind, mode)
        for distance in range(1, 40):
            crash.arm(distance)
            cluster.heal()
            with trio.move_on_after(20) as waited:
                await behind.wait_ended()
            if waited.cancelled_caught:
                break
            await behind.start()
            await fall_behind(cluster, behind)
        assert distance > 15
        behind.before_operation = None
        await cluster.wait_converged()


@pytest.mark.parametrize("mode", CrashMode)
async def test_a_crash_after_an_installation(autojump_clock: MockClock, mode: CrashMode) -> None:
    async with one_far_behind() as (cluster, behind):
        cluster.heal()
        await cluster.wait_converged()
        await behind.kill(mode)
        await behind.start()
        await cluster.wait_converged()


async def test_two_snapshots_in_quick_succession(autojump_clock: MockClock) -> None:
    async with one_far_behind() as (cluster, behind):
        for _ in range(3):
            cluster.heal()
            await cluster.wait_for(
                lambda: behind.parts.machine.store.revision > 20, "the first of the state", timeout_seconds=10
            )
            await fall_behind(cluster, behind)
        cluster.heal()
        await cluster.wait_converged()


async def test_a_snapshot_that_got_stuck_is_sent_again_when_the_network_is_back(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, **SETTINGS) as cluster:
        behind = await follower_of(cluster)
        cluster.isolate(behind)
        leader = await cluster.wait_leader()
        for number in range(20):
            await leader.client.put(f"{number}", "v" * 100_000)
        cluster.network.drop_connections(leader.name, behind.name)
        cluster.heal()
        received = behind.parts.snapshotter.open_incoming

        def cut_now(message: Message) -> Receiver:
            cluster.isolate(behind)
            return received(message)

        behind.parts.snapshotter.open_incoming = cut_now  # type: ignore[method-assign] # the moment to cut
        await trio.sleep(20)
        assert cluster.network.is_cut(leader.name, behind.name)
        behind.parts.snapshotter.open_incoming = received  # type: ignore[method-assign] # as it was
        cluster.heal()
        await cluster.wait_converged(timeout_seconds=5)


async def test_a_killed_member_with_an_old_log_is_caught_up(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, **SETTINGS) as cluster:
        behind = await follower_of(cluster)
        await behind.kill(CrashMode.TORN)
        await put_many(cluster, 40)
        await behind.start()
        await cluster.wait_converged()
        await behind.kill(CrashMode.DROP)
        await behind.start()
        await cluster.wait_converged()


async def test_received_states_that_were_not_installed_are_gone_after_a_start(autojump_clock: MockClock) -> None:
    async with one_far_behind() as (cluster, behind):
        for _ in range(3):
            cluster.heal()
            await cluster.wait_converged()
            await fall_behind(cluster, behind)
        cluster.heal()
        await cluster.wait_converged()
        await behind.stop()
        stray = behind.engines.receive(10**6)
        for piece in write_engine(MemoryEngine()):
            stray.feed(piece)
        stray.finish()
        await behind.start()
        names = behind.filesystem.list_directory(behind.config.data_dir / "member")
        assert [name for name in names if name.startswith("db")] == ["db"]


async def test_a_received_state_that_the_log_overtook_goes_with_the_next_snapshot(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, **SETTINGS) as cluster:
        await put_many(cluster, 3)
        member = await follower_of(cluster)
        await cluster.wait_converged()
        overtaken = SnapshotMetadata(index=member.parts.applier.applied_index)
        for _ in range(2):
            receiver = member.parts.snapshotter.open_incoming(
                Message(MessageType.SNAP, to=member.id, snapshot=Snapshot(overtaken))
            )
            for piece in write_engine(MemoryEngine()):
                receiver.feed(piece)
            receiver.finish()
        assert member.engines.has_received(overtaken.index)
        await put_many(cluster, 10)
        await cluster.wait_converged()
        names = member.filesystem.list_directory(member.config.data_dir / "member")
        assert [name for name in names if name.startswith("db")] == ["db"]
