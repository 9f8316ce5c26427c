"""Cut networks: no stale read, no lost write, and errors that say what was the matter."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.service.context import ANYONE, CallContext
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

REQUEST_SECONDS = 7.0
Cut = Callable[[MemoryCluster, int, list[int]], None]


def cut_both_ways(cluster: MemoryCluster, one: int, others: list[int]) -> None:
    cluster.partition([one], others)


def cut_from(cluster: MemoryCluster, one: int, others: list[int]) -> None:
    """Nothing that it says is heard."""
    cluster.partition([one], others, one_way=True)


def cut_to(cluster: MemoryCluster, one: int, others: list[int]) -> None:
    """It hears nothing."""
    cluster.partition(others, [one], one_way=True)


async def put(member: MemoryMember, key: bytes, value: bytes) -> m.PutResponse:
    return await member.services.kv.put(m.PutRequest(key=key, value=value), ANYONE)


async def read(member: MemoryMember, key: bytes) -> bytes | None:
    response = await member.services.kv.range(m.RangeRequest(key=key), ANYONE)
    return response.kvs[0].value if response.kvs else None


async def message_of(call: Callable[[], Awaitable[object]]) -> str:
    """The words with which a call fails."""
    with pytest.raises(ApiError) as caught:
        await call()
    return caught.value.message


def words(kind: ErrorKind) -> str:
    return kind.value[1]


def others_than(cluster: MemoryCluster, member: MemoryMember) -> list[int]:
    return [number for number, one in enumerate(cluster.members) if one is not member]


@pytest.mark.parametrize("cut", [cut_both_ways, cut_from, cut_to])
@pytest.mark.parametrize("seed", range(2))
async def test_a_leader_that_is_cut_off_never_answers_a_stale_read(
    autojump_clock: MockClock, cut: Cut, seed: int
) -> None:
    async with MemoryCluster(3, seed=seed) as cluster:
        old = await cluster.wait_leader()
        await put(old, b"key", b"old")
        acknowledged = b"old"
        others = others_than(cluster, old)

        async def read_all_the_time() -> None:
            """Whoever answers must know what was acknowledged before the read began."""
            while True:
                known = acknowledged
                found: bytes | None = known
                with suppress(ApiError):
                    found = await read(old, b"key")
                assert found is not None
                assert found >= known
                await trio.sleep(0.03)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(read_all_the_time)
            cut(cluster, cluster.members.index(old), others)
            await cluster.wait_for(lambda: any(cluster.members[one].is_leader for one in others), "a new leader")
            new = next(cluster.members[one] for one in others if cluster.members[one].is_leader)
            for number in range(20):
                await put(new, b"key", b"oldest, then %02d" % number)
                acknowledged = b"oldest, then %02d" % number
                await trio.sleep(0.5)
            cluster.heal()
            await trio.sleep(2)
            nursery.cancel_scope.cancel()
        assert await read(old, b"key") == acknowledged
        await cluster.wait_converged()


async def test_a_new_leader_reads_what_its_predecessor_acknowledged(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, disk_seconds=0.05) as cluster:
        for number in range(4):
            leader = await cluster.wait_leader()
            await put(leader, b"key", b"%d" % number)
            await leader.kill()
            new = await cluster.wait_leader()
            assert await read(new, b"key") == b"%d" % number
            await leader.start()
            assert await read(leader, b"key") == b"%d" % number


async def test_a_minority_serves_serializable_reads_and_those_that_need_no_leader(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        await cluster.client.put("key", "value")
        await cluster.wait_converged()
        lonely, *rest = cluster.members
        for member in rest:
            await member.kill()
        await cluster.wait_for(lambda: not lonely.parts.leadership.has_leader, "the loss of the leader")
        assert (await lonely.client.get("key", serializable=True)).kvs[0].value == b"value"
        assert (await lonely.client.status()).errors == [words(ErrorKind.NO_LEADER)]
        needs_leader = CallContext(require_leader=True)
        request = m.RangeRequest(key=b"key", serializable=True)
        assert await message_of(lambda: lonely.services.kv.range(request, needs_leader)) == words(ErrorKind.NO_LEADER)
        assert await message_of(lambda: read(lonely, b"key")) == words(ErrorKind.TIMEOUT)


async def test_a_write_without_a_leader_ends_with_the_deadline(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        lonely, *rest = cluster.members
        for member in rest:
            await member.kill()
        await cluster.wait_for(lambda: not lonely.parts.leadership.has_leader, "the loss of the leader")
        began = trio.current_time()
        message = await message_of(lambda: put(lonely, b"key", b"value"))
        assert message == words(ErrorKind.PROPOSAL_DEADLINE) == "context deadline exceeded"
        assert trio.current_time() - began == pytest.approx(REQUEST_SECONDS, abs=0.2)


async def test_a_write_that_was_lost_with_its_leader_says_so(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        old = await cluster.wait_leader()
        others = others_than(cluster, old)
        cluster.isolate(old)
        async with trio.open_nursery() as nursery:

            async def heal_when_another_leads() -> None:
                await cluster.wait_for(lambda: any(cluster.members[one].is_leader for one in others), "a new leader")
                for one in others:
                    cluster.network.drop_connections(old.name, cluster.members[one].name)
                cluster.heal()

            nursery.start_soon(heal_when_another_leads)
            message = await message_of(lambda: put(old, b"key", b"value"))
        assert message == words(ErrorKind.TIMEOUT_DUE_TO_LEADER_FAIL)
        assert await read(old, b"key") is None


async def test_a_write_that_was_lost_on_the_way_says_so(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        number = others_than(cluster, leader)[0]
        follower = cluster.members[number]
        async with trio.open_nursery() as nursery:

            async def lose_it() -> None:
                cluster.partition([number], [cluster.members.index(leader)], one_way=True)
                await trio.sleep(0.3)
                cluster.network.drop_connections(follower.name, leader.name)
                cluster.heal()

            nursery.start_soon(lose_it)
            await trio.sleep(0.1)
            message = await message_of(lambda: put(follower, b"key", b"value"))
        assert cluster.leader() is leader
        assert message == words(ErrorKind.TIMEOUT_DUE_TO_CONNECTION_LOST)


async def test_a_member_that_was_cut_off_does_not_disturb_the_others_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        term = leader.parts.leadership.term
        cluster.isolate(cluster.members[others_than(cluster, leader)[0]])
        await trio.sleep(30)
        cluster.heal()
        await trio.sleep(10)
        assert cluster.leader() is leader
        assert leader.parts.leadership.term == term
        await cluster.wait_converged()
