"""Clients write and read through any member while members are killed, cut off and stalled; then all is counted.

Every value is written once, and etcd gives every answer its revision: so the order that a linearizability checker would
have to search for is known, and what was seen is held against it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple

import pytest
import trio

from trioetcd.api import messages as m
from trioetcd.client import Client, EtcdError, get_op, mod_revision_of, put_op
from trioetcd.config import StartRefused
from trioetcd.raft.types import StateType
from trioetcd.storage.wal import DiskFailure
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode
from trioetcd.testing.member import MemoryMember
from trioetcd.testing.simulation import simulate
from trioetcd.testing.watch_recorder import revision_of, true_history

KEYS = [b"a", b"b", b"c"]
CLIENTS = 5
SETTINGS: dict[str, Any] = {"snapshot_count": 25, "snapshot_catchup_entries": 5}


class Seen(NamedTuple):
    """One answered call: what it asked, when, and what it was told.

    `revision` is that of the answer's header. A put and a swap that succeeded have what they wrote in `written`; a get
    and a swap that did not have in `value` and `mod_revision` what they found (nothing and 0 for a key that is not
    there). A swap writes if the key's mod revision is `expected`. A delete says how many keys it `deleted`.
    """

    began: float
    ended: float
    key: bytes
    revision: int
    written: bytes | None = None
    value: bytes = b""
    mod_revision: int = 0
    expected: int | None = None
    deleted: int | None = None


class Clients:
    """Put, get, swap and delete through random members, one after the other each, and note what was answered."""

    def __init__(self, cluster: MemoryCluster, random: Random) -> None:
        self.seen: list[Seen] = []
        self.attempted: dict[bytes, bytes] = {}
        self._cluster = cluster
        self._random = random
        self._found: dict[bytes, int] = {}

    async def run(self) -> None:
        calls = (self._put, self._put, self._get, self._get, self._swap, self._delete)
        while True:
            await trio.sleep(self._random.uniform(0, 1))
            if running := self._cluster.running:
                call, member = self._random.choice(calls), self._random.choice(running)
                with suppress(EtcdError), trio.move_on_after(10):
                    self.seen.append(await call(member.client, self._random.choice(KEYS), trio.current_time()))

    def _new_value(self, key: bytes) -> bytes:
        value = b"%d" % len(self.attempted)
        self.attempted[value] = key
        return value

    async def _put(self, client: Client, key: bytes, began: float) -> Seen:
        value = self._new_value(key)
        revision = header_revision((await client.put(key, value)).header)
        return Seen(began, trio.current_time(), key, revision, written=value)

    async def _get(self, client: Client, key: bytes, began: float) -> Seen:
        got = await client.get(key)
        return self._note_found(began, key, header_revision(got.header), got.kvs)

    async def _swap(self, client: Client, key: bytes, began: float) -> Seen:
        value, expected = self._new_value(key), self._found.get(key, 0)
        compare = [mod_revision_of(key) == expected]
        txn = await client.txn(compare=compare, success=[put_op(key, value)], failure=[get_op(key)])
        revision = header_revision(txn.header)
        if txn.succeeded:
            return Seen(began, trio.current_time(), key, revision, written=value, expected=expected)
        found = txn.responses[0].response_range
        assert found is not None
        return self._note_found(began, key, revision, found.kvs)._replace(expected=expected)

    async def _delete(self, client: Client, key: bytes, began: float) -> Seen:
        gone = await client.delete(key)
        return Seen(began, trio.current_time(), key, header_revision(gone.header), deleted=gone.deleted)

    def _note_found(self, began: float, key: bytes, revision: int, kvs: Sequence[m.KeyValue]) -> Seen:
        found = kvs[0] if kvs else m.KeyValue()
        self._found[key] = found.mod_revision
        return Seen(began, trio.current_time(), key, revision, value=found.value, mod_revision=found.mod_revision)


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
        faults = (
            *(self._kill, self._stop, self._isolate, self._cut_one_way, self._stall, self._drop, self._kill_all),
            *(self._fail_sync, self._fill_disk, self._slow_down, self._set_clock),
        )
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
        with trio.CancelScope(shield=True):  # else the member would end later, when all is at rest
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

    async def _fail_sync(self, member: MemoryMember) -> None:
        """A sync fails and the member ends. What it was to write can still be read, until the power goes."""
        member.may_fail = True
        member.filesystem.fail_sync(after=self._random.randint(1, 3))
        with trio.move_on_after(10):
            await member.wait_ended()
        member.filesystem.fail_sync(after=None)
        await self._start_failed(member)
        if self._random.random() < 0.5:
            await member.kill(CrashMode.DROP)
            await member.start()

    async def _fill_disk(self, member: MemoryMember) -> None:
        """Nothing can be written any more, and the member ends; it starts when there is room again."""
        member.may_fail = True
        member.filesystem.capacity_bytes = 0
        with trio.move_on_after(10):
            await member.wait_ended()
        if member.is_down:
            with pytest.raises((OSError, DiskFailure, StartRefused, ExceptionGroup)):
                await member.start()
        member.filesystem.capacity_bytes = None
        await self._start_failed(member)

    async def _start_failed(self, member: MemoryMember) -> None:
        await self._pause()
        if member.is_down:
            assert member.failure is not None
            await member.start()
        member.may_fail = False

    async def _slow_down(self, member: MemoryMember) -> None:
        before, member.disk_seconds = member.disk_seconds, self._random.choice([0.1, 0.5, 2])
        await self._pause()
        member.disk_seconds = before

    async def _set_clock(self, member: MemoryMember) -> None:
        member.wall_offset_seconds = self._random.choice([-1, 1]) * 10 ** self._random.uniform(-3, 6)
        await trio.lowlevel.checkpoint()

    async def _pause(self) -> None:
        await trio.sleep(self._random.choice([0.1, 1, 3, 8]))


class Invariants:
    """Looks at all members ten times a second, for what must hold at every moment."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.leaders: dict[int, int] = {}  # by term
        self._cluster = cluster

    async def run(self) -> None:
        positions: dict[object, tuple[int, int, int]] = {}  # of a run of a member, which its parts stand for
        while True:
            for member in self._cluster.running:
                self._check_leader(member)
                before = positions.get(member.parts, (0, 0, 0))
                positions[member.parts] = now = self._position_of(member)
                assert all(a <= b for a, b in zip(before, now, strict=True)), f"{member.name}: {before}, then {now}"
            await trio.sleep(0.1)

    def _check_leader(self, member: MemoryMember) -> None:
        """There is one leader a term at most."""
        leadership = member.parts.leadership
        if leadership.is_leader and leadership.state is StateType.LEADER:
            leader = self.leaders.setdefault(leadership.term, member.id)
            assert leader == member.id, f"term {leadership.term} has the leaders {leader:x} and {member.id:x}"

    @staticmethod
    def _position_of(member: MemoryMember) -> tuple[int, int, int]:
        """What never goes back while a member runs: term, applied index, revision."""
        log, applied = member.parts.driver.status(), member.parts.applier.applied_index
        assert applied <= log.commit <= log.last_index, f"{member.name}: applied {applied} of {log}"
        return log.term, applied, member.parts.machine.store.revision


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
        nursery.start_soon(Invariants(cluster).run)
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
        member.disk_seconds = 0.02
        member.filesystem.capacity_bytes = None
        member.filesystem.fail_sync(after=None)
        if not member.is_running:
            await member.wait_ended()  # the faults may have ended in the middle of one
    await cluster.start_all()
    await cluster.wait_converged()
    await cluster.wait_for(lambda: all(map(is_idle, cluster.members)), "requests that were given up to be forgotten")


def is_idle(member: MemoryMember) -> bool:
    """Nothing waits in it, and it holds nothing for those who waited."""
    proposals, applier = member.parts.proposals.status(), member.parts.applier.status()
    return (proposals.waiting, proposals.in_flight, applier.queued, applier.waiting) == (0, 0, 0, 0)


class History:
    """What happened, and so what every key was at every revision."""

    def __init__(self, events: Sequence[m.Event]) -> None:
        self.events = {revision_of(event): event for event in events}
        assert len(self.events) == len(events), "every request here writes one key"
        self._of_key: dict[bytes, list[m.Event]] = defaultdict(list)
        for event in events:
            assert event.kv is not None
            self._of_key[event.kv.key].append(event)

    def at(self, key: bytes, revision: int) -> m.KeyValue:
        """The key as of a revision; an empty one where it is not there."""
        events = self._of_key[key]
        count = bisect_right(events, revision, key=revision_of)
        found = events[count - 1] if count else m.Event(m.EventType.DELETE)
        return m.KeyValue() if found.type == m.EventType.DELETE or found.kv is None else found.kv

    def check_versions(self) -> None:
        """Versions count up from a key's creation, and every change of it has its create revision."""
        for events in self._of_key.values():
            version = created = 0
            for event in events:
                assert event.kv is not None
                if event.type == m.EventType.DELETE:
                    assert version, f"a key was deleted that was not there: {event}"
                    version = created = 0
                    continue
                version, created = version + 1, created or event.kv.mod_revision
                assert (event.kv.version, event.kv.create_revision) == (version, created), f"{event}"


def check(seen: Sequence[Seen], attempted: dict[bytes, bytes], events: Sequence[m.Event]) -> None:
    """Hold what clients saw against what happened.

    Each answer names its revision, and whatever began after an answer was given has a revision that is no lower: so
    the order in which everything happened once is known, and each answer must be what follows from it.
    """
    history = History(events)
    history.check_versions()
    values = [event.kv.value for event in events if event.type == m.EventType.PUT and event.kv is not None]
    assert len(set(values)) == len(values), "nothing was written twice"
    assert set(values) <= attempted.keys(), "nothing was made up"
    for one in seen:
        check_answer(one, history)
    check_real_time(seen)


def check_answer(one: Seen, history: History) -> None:
    """The answer is what the state at its revision, or just before it, makes it."""
    before, after = history.at(one.key, one.revision - 1), history.at(one.key, one.revision)
    if one.written is not None:
        written = (after.mod_revision, after.value)
        assert written == (one.revision, one.written), f"an acknowledged write is lost, or another's: {one}"
        assert one.expected in (None, before.mod_revision), f"it should not have been written: {one}, {before}"
    elif one.deleted is not None:
        assert not after.mod_revision, f"it should be gone: {one}, {after}"
        assert not one.deleted or before.mod_revision, f"there was nothing to delete: {one}"
    else:
        assert (after.mod_revision, after.value) == (one.mod_revision, one.value), f"not what was there: {one}, {after}"
        assert one.expected != one.mod_revision, f"it should have been written: {one}"


def check_real_time(seen: Sequence[Seen]) -> None:
    """Whatever began after something was answered has a revision that is no lower."""
    by_end = sorted(seen, key=lambda one: one.ended)
    newest = 0
    passed = 0
    for one in sorted(seen, key=lambda each: each.began):
        while by_end[passed].ended < one.began:
            newest = max(newest, by_end[passed].revision)
            passed += 1
        assert one.revision >= newest, f"stale, {newest} was told before: {one}"


@pytest.mark.parametrize("seed", range(2))
def test_nothing_acknowledged_is_lost_and_nothing_read_is_stale(seed: int) -> None:
    seen = simulate(run_cluster, seed, 40.0, seed=seed)
    assert len([one for one in seen if one.written is not None]) > 40


@pytest.mark.parametrize("size", [1, 5])
def test_other_sizes(size: int) -> None:
    simulate(run_cluster, 1, 20.0, size, seed=1)


def test_a_seed_replays_exactly() -> None:
    assert simulate(run_cluster, 7, 10.0, seed=7) == simulate(run_cluster, 7, 10.0, seed=7)
