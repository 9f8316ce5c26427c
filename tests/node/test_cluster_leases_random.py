"""Leases kept alive through any member while leaders are killed, cut off, slowed down: what a lease promises, counted.

A lease lives for its TTL from the moment at which the last answered keep-alive was asked for; while a keep-alive is
answered its keys are there; and its keys go in one revision, once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

import pytest
import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.node.service.context import ANYONE
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode
from trioetcd.testing.member import MemoryMember
from trioetcd.testing.simulation import simulate
from trioetcd.testing.watch_recorder import revision_of, true_history

TENANTS = 8
RUN_SECONDS = 60.0
TTL_SECONDS_MAX = 12
CALL_SECONDS = 8.0
LOOK_SECONDS = 0.05
ELECTION_SECONDS = 1.0
SLACK_SECONDS = 3.0


class World:
    """A cluster, the members of it that can be asked, and what was found wrong."""

    def __init__(self, cluster: MemoryCluster, random: Random) -> None:
        self.cluster = cluster
        self.random = random
        self.serving = set(cluster.members)
        self.wrong: list[str] = []

    async def ask(self, call: Callable[[MemoryMember], Awaitable[Any]]) -> Any:
        """The answer of some member; None when it refused, or was killed meanwhile."""
        serving = sorted(self.serving, key=lambda member: member.name)
        with trio.move_on_after(CALL_SECONDS):
            try:
                return await call(self.random.choice(serving))
            except ApiError:
                await trio.sleep(0.2)
        return None

    async def disturb(self) -> None:
        """One fault at a time, most of them the leader's."""
        while True:
            await trio.sleep(self.random.uniform(1, 6))
            victim = self.cluster.leader() or self.random.choice(self.cluster.members)
            faults = (self._kill, self._stop, self._cut_off, self._stall, self._cut_one_way, self._slow_down)
            self._set_clock()
            await self.random.choice(faults)(victim)

    async def _kill(self, victim: MemoryMember) -> None:
        self.serving.discard(victim)
        await victim.kill(self.random.choice(list(CrashMode)))
        await self._start_again(victim)

    async def _stop(self, victim: MemoryMember) -> None:
        self.serving.discard(victim)
        with trio.CancelScope(shield=True):  # else the member would end later, when all is mended
            await victim.stop()
        await self._start_again(victim)

    async def _start_again(self, victim: MemoryMember) -> None:
        await trio.sleep(self.random.uniform(0, 4))
        await victim.start()
        self.serving.add(victim)

    async def _cut_off(self, victim: MemoryMember) -> None:
        self.cluster.isolate(victim)
        await trio.sleep(self.random.uniform(0, 8))
        self.cluster.heal()

    async def _cut_one_way(self, victim: MemoryMember) -> None:
        """The others hear it and it does not hear them, or the other way round."""
        here = [self.cluster.members.index(victim)]
        there = [number for number in range(len(self.cluster.members)) if number not in here]
        self.cluster.partition(*self.random.choice([(here, there), (there, here)]), one_way=True)
        await trio.sleep(self.random.uniform(0, 8))
        self.cluster.heal()

    async def _slow_down(self, victim: MemoryMember) -> None:
        before, victim.disk_seconds = victim.disk_seconds, self.random.choice([0.1, 0.5])
        await trio.sleep(self.random.uniform(0, 8))
        victim.disk_seconds = before

    def _set_clock(self) -> None:
        """The time of day of some member jumps, which no lease goes by."""
        member = self.random.choice(self.cluster.members)
        member.wall_offset_seconds = self.random.choice([-1, 1]) * 10 ** self.random.uniform(-3, 6)

    async def _stall(self, victim: MemoryMember) -> None:
        victim.stall_disk()
        await trio.sleep(self.random.uniform(0, 8))
        victim.release_disk()


class Tenant:
    """Holds one lease after the other: two keys on it, kept alive for a while, let go."""

    def __init__(self, world: World, number: int) -> None:
        self._world = world
        self._number = number
        self.leases: dict[int, float] = {}  # until when each has to live
        self.current = 0

    async def run(self) -> None:
        while True:
            self.current += 1
            lease_id = self._number * 1000 + self.current
            ttl = self._world.random.randint(2, TTL_SECONDS_MAX)
            if await self._hold(lease_id, ttl):
                await self._keep(lease_id, ttl, seconds=self._world.random.uniform(0, 20))
            await trio.sleep(self._world.random.uniform(0, 5))

    async def _hold(self, lease_id: int, ttl: int) -> bool:
        asked_at = trio.current_time()
        if not await self._world.ask(lambda one: grant(one, lease_id, ttl)):
            return False
        self.leases[lease_id] = asked_at + ttl
        for key in keys_of(lease_id):
            if not await self._world.ask(lambda one, key=key: put(one, key, lease_id)):  # type: ignore[misc] # mypy knows no default here
                return False
        return True

    async def _keep(self, lease_id: int, ttl: int, *, seconds: float) -> None:
        end = trio.current_time() + seconds
        while trio.current_time() < end:
            asked_at = trio.current_time()
            answer = await self._world.ask(lambda one: keep_alive(one, lease_id))
            if answer is not None and not answer.TTL:
                if trio.current_time() < self.leases[lease_id]:
                    self._world.wrong.append(f"{lease_id} was denied while it had to live")
                return
            if answer is not None:
                self.leases[lease_id] = asked_at + ttl
                await self._look(lease_id)
            await trio.sleep(ttl / 3)

    async def _look(self, lease_id: int) -> None:
        """The keys of a lease that lives are there."""
        for key in keys_of(lease_id):
            found = await self._world.ask(lambda one, key=key: get(one, key))  # type: ignore[misc] # as above
            if found is not None and not found.kvs and trio.current_time() < self.leases[lease_id]:
                self._world.wrong.append(f"{key!r} was gone while its lease had to live")


class Observer:
    """Looks all the time at what every member has applied: no lease may be seen to end before its time."""

    def __init__(self, world: World, tenants: Sequence[Tenant]) -> None:
        self._world = world
        self._tenants = tenants
        self._seen: set[tuple[int, int]] = set()

    async def run(self) -> None:
        while True:
            for member in self._world.serving:
                self._look(member)
            await trio.sleep(LOOK_SECONDS)

    def _look(self, member: MemoryMember) -> None:
        machine = member.parts.machine
        for tenant in self._tenants:
            for lease_id, until in tenant.leases.items():
                entry = (id(machine), lease_id)
                if lease_id in machine.leases:
                    self._seen.add(entry)
                elif entry in self._seen:
                    self._seen.remove(entry)
                    if (left := until - trio.current_time()) > 0:
                        self._world.wrong.append(f"{lease_id} ended {left:.2f} s early")


def keys_of(lease_id: int) -> list[bytes]:
    return [b"%d/%d" % (lease_id, number) for number in range(2)]


async def grant(member: MemoryMember, lease_id: int, ttl: int) -> m.LeaseGrantResponse:
    return await member.services.lease.lease_grant(m.LeaseGrantRequest(ID=lease_id, TTL=ttl), ANYONE)


async def keep_alive(member: MemoryMember, lease_id: int) -> m.LeaseKeepAliveResponse:
    return await member.services.lease.lease_keep_alive(m.LeaseKeepAliveRequest(ID=lease_id), ANYONE)


async def put(member: MemoryMember, key: bytes, lease_id: int) -> m.PutResponse:
    return await member.services.kv.put(m.PutRequest(key=key, value=b"v", lease=lease_id), ANYONE)


async def get(member: MemoryMember, key: bytes) -> m.RangeResponse:
    return await member.services.kv.range(m.RangeRequest(key=key), ANYONE)


async def run_tenants(seed: int, checkpoint_interval_seconds: float | None) -> None:
    random = Random(f"{seed} tenants")
    settings: dict[str, Any] = {"lease_checkpoint_interval_seconds": checkpoint_interval_seconds}
    async with MemoryCluster(3, seed=seed, disk_seconds=0.02, **settings) as cluster:
        world = World(cluster, random)
        tenants = [Tenant(world, number + 1) for number in range(TENANTS)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Observer(world, tenants).run)
            async with trio.open_nursery() as busy:
                for tenant in tenants:
                    busy.start_soon(tenant.run)
                with trio.move_on_after(RUN_SECONDS):
                    await world.disturb()
                busy.cancel_scope.cancel()
            await mend(cluster)
            await trio.sleep(TTL_SECONDS_MAX + ELECTION_SECONDS + SLACK_SECONDS)
            nursery.cancel_scope.cancel()
        assert world.wrong == []
        leader = await cluster.wait_leader()
        assert not leader.parts.machine.leases, "every lease ends in time"
        held = {lease_id for tenant in tenants for lease_id in tenant.leases}
        assert len(held) > TENANTS
        check_ends(await true_history(leader))
        await cluster.wait_converged()


async def mend(cluster: MemoryCluster) -> None:
    """No fault any more, and a leader that all follow."""
    cluster.heal()
    for member in cluster.members:
        member.release_disk()
        member.disk_seconds = 0.02
        if not member.is_running:
            await member.start()
    await cluster.wait_converged()


def check_ends(events: Sequence[m.Event]) -> None:
    """The keys of each lease went in one revision, each once."""
    ends: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
    puts: dict[int, set[bytes]] = defaultdict(set)
    for event in events:
        assert event.kv is not None
        lease_id = int(event.kv.key.split(b"/")[0])
        if event.type == m.EventType.DELETE:
            ends[lease_id].append((event.kv.key, revision_of(event)))
        else:
            puts[lease_id].add(event.kv.key)
    for lease_id, keys in puts.items():
        deleted = ends.pop(lease_id)
        assert sorted(key for key, _ in deleted) == sorted(keys)
        assert len({revision for _, revision in deleted}) == 1
    assert not ends


@pytest.mark.parametrize("seed", [0, 5, 8, 11])
def test_what_a_lease_promises_holds_whatever_fails(seed: int) -> None:
    simulate(run_tenants, seed, (None, 1.0)[seed % 2], seed=seed)
