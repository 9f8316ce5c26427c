"""Locks over members whose leaders fail, clients leave and leases end: one holder, in order, with a lease."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import attrgetter

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.client import Unavailable
from trioetcd.node.service.concurrency import LEAVE_SECONDS
from trioetcd.node.service.context import ANYONE
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

EXPIRED = "mutex: session is expired"
SLACK_SECONDS = 1.5  # a look at leases each half second, and the way through the log


async def grant(member: MemoryMember, lease: int, ttl: int = 60) -> None:
    await member.services.lease.lease_grant(m.LeaseGrantRequest(ID=lease, TTL=ttl), ANYONE)


async def revoke(member: MemoryMember, lease: int) -> None:
    await member.services.lease.lease_revoke(m.LeaseRevokeRequest(ID=lease), ANYONE)


async def lock(member: MemoryMember, lease: int) -> m.LockResponse:
    return await member.services.lock.lock(m.LockRequest(name=b"l", lease=lease), ANYONE)


async def unlock(member: MemoryMember, lease: int) -> None:
    await member.services.lock.unlock(m.UnlockRequest(key=b"l/%x" % lease), ANYONE)


def line_at(member: MemoryMember, revision: int = 0) -> list[bytes]:
    """The keys in the line, the first one first: at a revision, or as far as a member has applied."""
    found = member.parts.machine.store.range(m.RangeRequest(key=b"l/", range_end=b"l0", revision=revision))
    return [one.key for one in sorted(found.kvs, key=attrgetter("create_revision"))]


class Turns:
    """Who got the lock, in order, or why not."""

    def __init__(self, cluster: MemoryCluster, nursery: trio.Nursery) -> None:
        self.told: list[int | tuple[int, str]] = []
        self._cluster = cluster
        self._nursery = nursery

    async def wait(self, member: MemoryMember, lease: int) -> None:
        """Ask for the lock on a member; return when the request is in the line."""
        self._nursery.start_soon(self._ask, member, lease)
        await self._cluster.wait_for(lambda: b"l/%x" % lease in line_at(member), f"{lease:x} in the line")

    async def expect(self, *told: int | tuple[int, str]) -> None:
        """Wait for turns, and see that no more come than these."""
        await self._cluster.wait_for(lambda: len(self.told) >= len(told), f"the turns {told}")
        await trio.sleep(0.5)
        assert self.told == list(told)

    async def _ask(self, member: MemoryMember, lease: int) -> None:
        try:
            response = await lock(member, lease)
        except ApiError as error:
            self.told.append((lease, error.message))
        else:
            assert response.key == b"l/%x" % lease
            self.told.append(lease)


async def test_turns_come_in_order_while_leaders_fail(autojump_clock: MockClock) -> None:
    async with MemoryCluster(5) as cluster, trio.open_nursery() as nursery:
        first = await cluster.wait_leader()
        stays, *others = (member for member in cluster.members if member is not first)
        turns = Turns(cluster, nursery)
        for lease in (1, 2, 3, 4):
            await grant(stays, lease)
        await turns.wait(first, 1)
        for lease in (2, 3, 4):
            await turns.wait(stays, lease)
        await turns.expect(1)
        await first.kill()
        second = await cluster.wait_leader()
        await turns.expect(1)
        await unlock(stays, 1)
        await turns.expect(1, 2)
        if second is not stays:
            await second.kill()
            await first.start()
            await cluster.wait_leader()
        await unlock(others[0] if others[0].is_running else first, 2)
        await turns.expect(1, 2, 3)
        await unlock(stays, 3)
        await turns.expect(1, 2, 3, 4)
        await cluster.wait_converged()


async def test_the_end_of_the_holders_lease_passes_the_lock_on(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        leader = await cluster.wait_leader()
        here, there = (member for member in cluster.members if member is not leader)
        await grant(here, 1, ttl=10)
        await grant(here, 2)
        turns = Turns(cluster, nursery)
        await turns.wait(here, 1)
        granted_at = trio.current_time()
        await turns.wait(there, 2)
        await trio.sleep(8)
        await leader.kill()  # the next one gives the lease its whole time again
        await turns.expect(1)
        await cluster.wait_leader()
        await trio.sleep(8)
        await turns.expect(1)
        await turns.expect(1, 2)
        assert trio.current_time() - granted_at >= 18


async def test_a_lock_is_not_told_to_be_held_once_its_lease_is_gone(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        await cluster.wait_leader()
        turns = Turns(cluster, nursery)
        member = cluster.members[0]
        for lease, ttl in ((1, 60), (2, 5), (3, 60)):
            await grant(member, lease, ttl=ttl)
            await turns.wait(member, lease)
        await trio.sleep(5 + SLACK_SECONDS + 1)
        assert set(line_at(member)) == {b"l/1", b"l/3"}
        await turns.expect(1)
        await unlock(member, 1)
        await cluster.wait_for(lambda: len(turns.told) == 3, "the answers")
        assert set(turns.told) == {1, (2, EXPIRED), 3}
        with pytest.raises(ApiError, match="requested lease not found"):
            await lock(member, 2)


async def test_a_key_that_was_made_anew_is_another_one(autojump_clock: MockClock) -> None:
    """Who waited had the place of the first key; the second one is behind whoever came between."""
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        await cluster.wait_leader()
        turns = Turns(cluster, nursery)
        member, other, _ = cluster.members
        for lease in (1, 2):
            await grant(member, lease)
            await turns.wait(member, lease)
        await revoke(member, 2)
        await grant(member, 2)
        await turns.wait(other, 2)
        await unlock(member, 1)
        await cluster.wait_for(lambda: len(turns.told) == 3, "the answers")
        assert turns.told[0] == 1
        assert set(turns.told[1:]) == {2, (2, EXPIRED)}
        assert set(line_at(member)) == {b"l/2"}


@pytest.mark.parametrize("after_seconds", [0.1, 2.0])
async def test_a_client_that_hangs_up_leaves_the_line(autojump_clock: MockClock, after_seconds: float) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        await cluster.wait_leader()
        turns = Turns(cluster, nursery)
        member = cluster.members[0]
        for lease in (1, 2, 3):
            await grant(member, lease)
        await turns.wait(member, 1)
        async with trio.open_nursery() as leaver:
            leaver.start_soon(member.client.call, m.LockRequest(name=b"l", lease=2))
            await cluster.wait_for(lambda: b"l/2" in line_at(member), "its key")
            await turns.wait(member, 3)
            await trio.sleep(after_seconds)
            assert set(line_at(member)) == {b"l/1", b"l/2", b"l/3"}
            leaver.cancel_scope.cancel()
        await trio.sleep(1)
        assert set(line_at(member)) == {b"l/1", b"l/3"}
        await unlock(member, 1)
        await turns.expect(1, 3)


async def test_who_leaves_while_there_is_no_majority_is_kept_for_a_moment_only(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        await cluster.wait_leader()
        turns = Turns(cluster, nursery)
        member = cluster.members[0]
        for lease in (1, 2):
            await grant(member, lease)
        await turns.wait(member, 1)
        cancelled_at = []
        with trio.move_on_after(2):
            async with trio.open_nursery() as callers:
                callers.start_soon(lock, member, 2)
                await trio.sleep(1)
                cluster.isolate(member)
                cancelled_at.append(trio.current_time() + 1)
        assert trio.current_time() - cancelled_at[0] <= LEAVE_SECONDS
        cluster.heal()
        await trio.sleep(62)  # what it could not delete ends with the lease
        assert line_at(member) == []


async def test_a_stop_takes_those_who_wait_out_of_the_line(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        await cluster.wait_leader()
        turns = Turns(cluster, nursery)
        member, other, _ = cluster.members
        for lease in (1, 2):
            await grant(other, lease)
        await turns.wait(other, 1)

        async def wait_in_vain() -> None:
            with pytest.raises(Unavailable):
                await member.client.call(m.LockRequest(name=b"l", lease=2))

        nursery.start_soon(wait_in_vain)
        await cluster.wait_for(lambda: b"l/2" in line_at(other), "its key")
        await member.stop()
        await cluster.wait_for(lambda: set(line_at(other)) == {b"l/1"}, "its leaving", timeout_seconds=2)


async def test_there_is_never_more_than_one_holder(autojump_clock: MockClock) -> None:
    """Workers on all members, who ask again when they are refused, while leaders are killed and cut off.

    Whoever has the lock is first in line at the revision of his answer, and nobody who had it at an earlier one is in
    the line any more. He may have left it without knowing: a call that was given up takes its key out, through a
    member that was cut off perhaps only later, and that is the key of the same worker's next call (as with etcd).
    """
    async with MemoryCluster(3) as cluster:
        holders: dict[int, int] = {}  # and the revision at which each was first
        held: list[int] = []

        async def take(member: MemoryMember, number: int) -> None:
            response = await lock(member, 100 + number)
            assert response.header is not None
            revision = response.header.revision
            in_line = line_at(member, revision)
            assert in_line[0] == response.key == key_of(number)
            assert not [one for one, then in holders.items() if then <= revision and key_of(one) in in_line]
            holders[number] = revision
            held.append(number)

        async def work(number: int) -> None:
            lease = 100 + number
            await try_until_done(cluster, partial(grant, lease=lease, ttl=600), number)
            for _ in range(3):
                await try_until_done(cluster, partial(take, number=number), number)
                await trio.sleep(0.3)
                del holders[number]
                await try_until_done(cluster, partial(unlock, lease=lease), number)

        async def trouble() -> None:
            for turn in range(4):
                await trio.sleep(1)
                leader = await cluster.wait_leader()
                if turn % 2:
                    cluster.isolate(leader)
                    await trio.sleep(4)
                    cluster.heal()
                else:
                    await leader.kill()
                    await leader.start()

        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trouble)
                for number in range(8):
                    nursery.start_soon(work, number)
        assert len(held) == 24
        await cluster.wait_converged()
        assert line_at(cluster.members[0]) == []


def key_of(number: int) -> bytes:
    return b"l/%x" % (100 + number)


async def try_until_done(cluster: MemoryCluster, call: Callable[..., object], number: int) -> None:
    """Call on one member or another over its client, however often it fails. A killed member never answers."""
    while True:
        member = cluster.members[number % 3]
        number += 1
        if member.is_running:
            with trio.move_on_after(3):
                try:
                    await call(member)
                except ApiError as error:
                    if "lease already exists" in error.message:
                        return
                else:
                    return
        await trio.sleep(0.1)
