"""Clients write and read through any member while members are killed, cut off and stalled; then all is counted.

Every value is written once, and etcd gives every write its revision: so the order that a linearizability checker would
have to search for is known, and what was seen is held against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

import pytest
import trio

from trioetcd.api import messages as m
from trioetcd.client import EtcdError
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode
from trioetcd.testing.member import MemoryMember
from trioetcd.testing.simulation import simulate
from trioetcd.testing.watch_recorder import revision_of, true_history

KEYS = [b"a", b"b", b"c"]
CLIENTS = 5
SETTINGS: dict[str, Any] = {"snapshot_count": 25, "snapshot_catchup_entries": 5}


class Seen(NamedTuple):
    """One answered call. `written` is what a put wrote; a get has None there, and in `value` what it found."""

    began: float
    ended: float
    key: bytes
    written: bytes | None
    value: bytes | None
    mod_revision: int
    header_revision: int


class Clients:
    """Put and get through random members, one after the other each, and note what was answered."""

    def __init__(self, cluster: MemoryCluster, random: Random) -> None:
        self.seen: list[Seen] = []
        self.attempted: dict[bytes, bytes] = {}
        self._cluster = cluster
        self._random = random

    async def run(self) -> None:
        while True:
            await trio.sleep(self._random.uniform(0, 1))
            if running := self._cluster.running:
                member = self._random.choice(running)
                with suppress(EtcdError), trio.move_on_after(10):
                    await self._call(member, self._random.choice(KEYS))

    async def _call(self, member: MemoryMember, key: bytes) -> None:
        began = trio.current_time()
        if self._random.random() < 0.5:
            value = b"%d" % len(self.attempted)
            self.attempted[value] = key
            put = await member.client.put(key, value)
            revision = header_revision(put.header)
            self.seen.append(Seen(began, trio.current_time(), key, value, None, revision, revision))
        else:
            got = await member.client.get(key)
            found = got.kvs[0] if got.kvs else m.KeyValue()
            seen = (found.value, found.mod_revision, header_revision(got.header))
            self.seen.append(Seen(began, trio.current_time(), key, None, *seen))


class Watching:
    """Watches everything from the beginning, through whichever member is there."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.events: list[m.Event] = []
        self._cluster = cluster

    async def run(self) -> None:
        async with self._cluster.client.watch("", prefix=True, start_revision=1) as watch:
            async for event in watch:
                self.events.append(event)

    def has_reached(self, revision: int) -> bool:
        return bool(self.events) and revision_of(self.events[-1]) >= revision


class Faults:
    """Does to the cluster what the world does, one thing after the other."""

    def __init__(self, cluster: MemoryCluster, random: Random) -> None:
        self._cluster = cluster
        self._random = random
        self.done: list[str] = []

    async def run(self) -> None:
        faults = (self._kill, self._stop, self._isolate, self._cut_one_way, self._stall, self._drop, self._kill_all)
        while True:
            await trio.sleep(self._random.uniform(0, 4))
            fault = self._random.choice(faults)
            self.done.append(fault.__name__)
            await fault(self._random.choice(self._cluster.members))

    async def _kill(self, member: MemoryMember) -> None:
        await member.kill(self._random.choice(list(CrashMode)))
        await self._pause()
        await member.start()

    async def _kill_all(self, _: MemoryMember) -> None:
        mode = self._random.choice(list(CrashMode))
        for member in self._cluster.members:
            member.power_off(mode)
        for member in self._cluster.members:
            await member.wait_ended()
        await self._cluster.start_all()

    async def _stop(self, member: MemoryMember) -> None:
        await member.stop()
        await self._pause()
        await member.start()

    async def _isolate(self, member: MemoryMember) -> None:
        self._cluster.isolate(member)
        await self._pause()
        if self._random.random() < 0.5:
            for other in self._cluster.members:
                self._cluster.network.drop_connections(member.name, other.name)
        self._cluster.heal()

    async def _cut_one_way(self, member: MemoryMember) -> None:
        other = self._random.choice(self._cluster.members)
        self._cluster.network.partition(member.name, other.name, one_way=True)
        await self._pause()
        self._cluster.heal()

    async def _stall(self, member: MemoryMember) -> None:
        member.stall_disk()
        await self._pause()
        member.release_disk()

    async def _drop(self, member: MemoryMember) -> None:
        for other in self._cluster.members:
            self._cluster.network.drop_connections(member.name, other.name)
        await trio.lowlevel.checkpoint()

    async def _pause(self) -> None:
        await trio.sleep(self._random.choice([0.1, 1, 3, 8]))


def header_revision(header: m.ResponseHeader | None) -> int:
    assert header is not None
    return header.revision


async def run_cluster(seed: int, seconds: float, size: int = 3) -> list[Seen]:
    """Run clients and faults, then let everything come to rest and check it. Returns what the clients saw."""
    random = Random(f"{seed} test")
    async with (
        MemoryCluster(size, seed=seed, disk_seconds=0.02, wal_segment_bytes=20_000, **SETTINGS) as cluster,
        trio.open_nursery() as nursery,
    ):
        clients, faults, watching = Clients(cluster, random), Faults(cluster, random), Watching(cluster)
        nursery.start_soon(watching.run)
        async with trio.open_nursery() as calls:
            for _ in range(CLIENTS):
                calls.start_soon(clients.run)
            with trio.move_on_after(seconds):
                await faults.run()
            calls.cancel_scope.cancel()
        await come_to_rest(cluster)
        history = await true_history(cluster.members[0])
        check(clients.seen, clients.attempted, history)
        last = revision_of(history[-1])
        await cluster.wait_for(lambda: watching.has_reached(last), "the last event")
        assert watching.events == [m.Event(event.type, event.kv) for event in history]
        nursery.cancel_scope.cancel()
    return clients.seen


async def come_to_rest(cluster: MemoryCluster) -> None:
    """Undo all faults and wait until all members are alike."""
    cluster.heal()
    for member in cluster.members:
        member.release_disk()
        if not member.is_running:
            await member.wait_ended()  # the faults may have ended in the middle of one
    await cluster.start_all()
    await cluster.wait_converged()


def check(seen: Sequence[Seen], attempted: dict[bytes, bytes], history: Sequence[m.Event]) -> None:
    """Hold what clients saw against what happened."""
    happened = {revision_of(event): event.kv for event in history}
    values = [kv.value for kv in happened.values() if kv is not None]
    assert len(set(values)) == len(values), "nothing was written twice"
    assert set(values) <= attempted.keys(), "nothing was made up"
    for one in seen:
        kv = happened.get(one.mod_revision)
        if one.written is not None:
            assert kv is not None, f"an acknowledged write is lost: {one}"
            assert (kv.key, kv.value) == (one.key, one.written), f"another write has the revision of {one}"
        elif one.mod_revision:
            assert kv is not None, f"what was read did not happen: {one}"
            assert (kv.key, kv.value) == (one.key, one.value), f"what was read is not what was written: {one}"
    check_real_time(seen)


def check_real_time(seen: Sequence[Seen]) -> None:
    """Whatever began after something was answered has seen it: its key's newest write, and the store's revision."""
    by_end = sorted(seen, key=lambda one: one.ended)
    newest_revision = 0
    newest_write: dict[bytes, int] = {}
    passed = 0
    for one in sorted(seen, key=lambda each: each.began):
        while by_end[passed].ended < one.began:
            before = by_end[passed]
            newest_revision = max(newest_revision, before.header_revision)
            newest_write[before.key] = max(newest_write.get(before.key, 0), before.mod_revision)
            passed += 1
        assert one.mod_revision >= newest_write.get(one.key, 0), f"stale: {one}"
        assert one.header_revision >= newest_revision, f"the revision went back: {one}"


@pytest.mark.parametrize("seed", range(2))
def test_nothing_acknowledged_is_lost_and_nothing_read_is_stale(seed: int) -> None:
    seen = simulate(run_cluster, seed, 40.0, seed=seed)
    assert len([one for one in seen if one.written is not None]) > 40


@pytest.mark.parametrize("size", [1, 5])
def test_other_sizes(size: int) -> None:
    simulate(run_cluster, 1, 20.0, size, seed=1)


def test_a_seed_replays_exactly() -> None:
    assert simulate(run_cluster, 7, 10.0, seed=7) == simulate(run_cluster, 7, 10.0, seed=7)
