"""Leases over three members whose leaders fail: never gone early, gone in time, gone at once, told alike everywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.service.context import ANYONE
from trioetcd.storage.internal_ops import LeaseExpired, LeasesRemaining
from trioetcd.storage.requests import RaftRequest
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

REQUEST_SECONDS = 7.0
ELECTION_SECONDS = 1.0
SLACK_SECONDS = 1.5  # a look each half second, and the way through the log


async def grant(member: MemoryMember, lease_id: int, ttl: int) -> None:
    await member.services.lease.lease_grant(m.LeaseGrantRequest(ID=lease_id, TTL=ttl), ANYONE)


async def keep_alive(member: MemoryMember, lease_id: int) -> int:
    return (await member.services.lease.lease_keep_alive(m.LeaseKeepAliveRequest(ID=lease_id), ANYONE)).TTL


async def time_to_live(member: MemoryMember, lease_id: int) -> m.LeaseTimeToLiveResponse:
    return await member.services.lease.lease_time_to_live(m.LeaseTimeToLiveRequest(ID=lease_id, keys=True), ANYONE)


async def leases(member: MemoryMember) -> list[int]:
    return [one.ID for one in (await member.services.lease.lease_leases(m.LeaseLeasesRequest(), ANYONE)).leases]


async def put(member: MemoryMember, key: bytes, lease_id: int) -> None:
    await member.services.kv.put(m.PutRequest(key=key, value=b"v", lease=lease_id), ANYONE)


async def has_key(member: MemoryMember, key: bytes) -> bool:
    return bool((await member.services.kv.range(m.RangeRequest(key=key), ANYONE)).kvs)


def is_gone(cluster: MemoryCluster, lease_id: int) -> bool:
    """Whether no running member has the lease."""
    return all(lease_id not in member.parts.machine.leases for member in cluster.running)


def is_gone_somewhere(cluster: MemoryCluster, lease_id: int) -> bool:
    """Whether a running member has applied its end."""
    return any(lease_id not in member.parts.machine.leases for member in cluster.running)


async def message_of(call: Callable[[], Awaitable[object]]) -> str:
    with pytest.raises(ApiError) as caught:
        await call()
    return caught.value.message


def followers(cluster: MemoryCluster, leader: MemoryMember) -> list[MemoryMember]:
    return [member for member in cluster.members if member is not leader]


async def test_every_member_keeps_alive_and_tells_and_the_lease_ends_in_time(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        await grant(leader, 7, 10)
        await put(leader, b"a", 7)
        await cluster.wait_converged()
        for member in cluster.members:
            await trio.sleep(5)
            assert await keep_alive(member, 7) == 10
        kept_at = trio.current_time()
        await trio.sleep(8.5)
        for member in cluster.members:
            response = await time_to_live(member, 7)
            assert (response.TTL, response.grantedTTL, response.keys) == (1, 10, [b"a"]), member.name
            assert await leases(member) == [7]
        await cluster.wait_for(lambda: is_gone_somewhere(cluster, 7), "its end")
        assert 10 <= trio.current_time() - kept_at < 10 + SLACK_SECONDS
        for member in cluster.members:
            assert await keep_alive(member, 7) == 0
            assert (await time_to_live(member, 7)).TTL == -1
            assert not await has_key(member, b"a")
            assert await leases(member) == []
        await cluster.wait_converged()
        assert leader.parts.lessor.status().expired == 1


async def test_a_change_of_the_leader_gives_the_whole_time_again(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        old = await cluster.wait_leader()
        await grant(old, 7, 10)
        await trio.sleep(8)
        await old.kill()
        new = await cluster.wait_leader()
        elected_at = trio.current_time()
        assert (await time_to_live(new, 7)).TTL == 10
        await cluster.wait_for(lambda: is_gone_somewhere(cluster, 7), "its end")
        since = trio.current_time() - elected_at
        assert 10 <= since < 10 + ELECTION_SECONDS + SLACK_SECONDS


async def test_leases_that_are_recorded_end_however_often_leaders_change(autojump_clock: MockClock) -> None:
    """Without checkpoints the first would never end: each leader would begin its time anew."""
    async with MemoryCluster(3, lease_checkpoint_interval_seconds=5.0) as cluster:
        leader = await cluster.wait_leader()
        await grant(leader, 7, 30)
        await grant(leader, 8, 30)
        granted_at = trio.current_time()
        for number in range(3):
            await trio.sleep(8)
            leader = await cluster.wait_leader()
            assert await keep_alive(cluster.members[number], 8) == 30
            kept_at = trio.current_time()
            await (leader.stop() if number == 1 else leader.kill())
            await cluster.wait_leader()
            await leader.start()
            await cluster.wait_converged()
        await cluster.wait_for(lambda: is_gone_somewhere(cluster, 7), "its end", timeout_seconds=20)
        assert 30 <= trio.current_time() - granted_at < 50
        await trio.sleep_until(kept_at + 29.9)
        assert not is_gone_somewhere(cluster, 8)


async def test_a_keep_alive_takes_back_what_was_recorded(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, lease_checkpoint_interval_seconds=5.0) as cluster:
        leader = await cluster.wait_leader()
        await grant(leader, 7, 30)
        await trio.sleep(29)
        assert leader.parts.machine.leases.all[7].remaining_ttl_seconds == 5
        follower = followers(cluster, leader)[0]
        assert await keep_alive(follower, 7) == 30
        kept_at = trio.current_time()
        await leader.kill()
        await cluster.wait_leader()
        await cluster.wait_for(lambda: is_gone_somewhere(cluster, 7), "its end", timeout_seconds=60)
        assert trio.current_time() - kept_at >= 30


async def test_a_leader_that_hangs_at_its_disk_ends_no_lease_that_another_kept_alive(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, disk_seconds=0.02) as cluster:
        old = await cluster.wait_leader()
        await grant(old, 7, 5)
        await put(old, b"a", 7)
        old.stall_disk()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(message_of, lambda: put(old, b"b", 0))  # something to save
            others = followers(cluster, old)
            await cluster.wait_for(lambda: any(one.is_leader for one in others), "another leader")
            new = next(one for one in others if one.is_leader)
            nursery.start_soon(message_of, lambda: keep_alive(old, 7))
            for number in range(8):
                assert await keep_alive(others[number % 2], 7) == 5
                await trio.sleep(2)
            assert old.parts.leadership.is_leader, "it does not know yet"
            assert old.parts.proposals.status().waiting, "it took the lease for expired"
            old.release_disk()
        for _ in range(5):
            assert await keep_alive(old, 7) == 5
            await trio.sleep(2)
        assert await has_key(new, b"a")


async def test_what_a_deposed_leader_says_of_time_is_not_applied(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        old = await cluster.wait_leader()
        await grant(old, 7, 60)
        term = old.parts.leadership.term
        others = followers(cluster, old)
        cluster.isolate(old)
        await cluster.wait_for(lambda: any(one.is_leader for one in others), "another leader")
        cluster.heal()
        new = await cluster.wait_leader()
        await cluster.wait_converged()
        half = LeasesRemaining(term=term, checkpoints=[m.LeaseCheckpoint(ID=7, remaining_TTL=1)])
        for op in (LeaseExpired(term=term, lease_id=7), half):
            for member in cluster.members:
                outcome = await message_of(partial(member.parts.proposals.submit, RaftRequest(op)))
                assert outcome == ErrorKind.NOT_LEADER.value[1]
        assert (await time_to_live(new, 7)).grantedTTL == 60
        await cluster.wait_converged()


async def test_a_leader_that_is_cut_off_keeps_nothing_alive(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        old = await cluster.wait_leader()
        await grant(old, 7, 60)
        others = followers(cluster, old)
        cluster.isolate(old)
        before = trio.current_time()
        assert await message_of(lambda: keep_alive(old, 7)) == ErrorKind.NO_LEADER.value[1]
        assert trio.current_time() - before == pytest.approx(REQUEST_SECONDS)
        assert await message_of(lambda: time_to_live(old, 7)) == ErrorKind.NO_LEADER.value[1]
        assert await leases(old) == [7]
        assert await keep_alive(others[0], 7) == 60
        cluster.heal()
        assert await keep_alive(old, 7) == 60


async def test_a_keep_alive_waits_for_the_next_leader(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        old = await cluster.wait_leader()
        await grant(old, 7, 60)
        await cluster.wait_converged()
        asked, other = followers(cluster, old)
        cluster.partition([cluster.members.index(old)], [cluster.members.index(one) for one in (asked, other)])
        assert await keep_alive(asked, 7) == 60  # its leader does not answer; the next one does


async def test_without_a_quorum_nothing_ends(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        await grant(leader, 7, 5)
        await put(leader, b"a", 7)
        await cluster.wait_converged()
        for member in followers(cluster, leader):
            await member.kill()
        await trio.sleep(60)
        assert 7 in leader.parts.machine.leases
        await cluster.start_all()
        new = await cluster.wait_leader()
        assert await keep_alive(new, 7) == 5
        assert await has_key(new, b"a")


async def test_one_that_has_expired_is_not_kept_alive_any_more(autojump_clock: MockClock) -> None:
    """Between its time and its revocation a keep-alive waits, and then tells that it is gone."""
    async with MemoryCluster(1) as cluster:
        (leader,) = cluster.members
        await grant(leader, 7, 5)
        timer = leader.parts.lessor.find(7)
        assert timer is not None
        await trio.sleep_until(timer.expires_at)
        assert 7 in leader.parts.machine.leases
        assert (await time_to_live(leader, 7)).TTL == 0
        assert await keep_alive(leader, 7) == 0
        assert 7 not in leader.parts.machine.leases


async def test_thousands_end_at_a_bounded_rate_and_puts_go_on(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (leader,) = cluster.members
        async with trio.open_nursery() as nursery:
            for number in range(1, 2001):
                nursery.start_soon(grant, leader, number, 10)
        await trio.sleep(9.9)
        left = [len(leader.parts.machine.leases)]
        while left[-1]:
            await trio.sleep(0.5)
            await put(leader, b"k", 0)
            left.append(len(leader.parts.machine.leases))
            assert left[-2] - left[-1] <= 500
        assert len(left) <= 7
