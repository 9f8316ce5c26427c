"""Elections over members whose leaders fail: one is elected, who observes is told of all, none is without a key."""

from __future__ import annotations

from contextlib import aclosing

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.node.service.context import ANYONE, CallContext
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember


async def grant(member: MemoryMember, lease: int, ttl: int = 60) -> None:
    await member.services.lease.lease_grant(m.LeaseGrantRequest(ID=lease, TTL=ttl), ANYONE)


async def campaign(member: MemoryMember, lease: int, value: bytes) -> m.LeaderKey:
    request = m.CampaignRequest(name=b"e", lease=lease, value=value)
    leader = (await member.services.election.campaign(request, ANYONE)).leader
    assert leader is not None
    return leader


async def resign(member: MemoryMember, leader: m.LeaderKey) -> None:
    await member.services.election.resign(m.ResignRequest(leader=leader), ANYONE)


class Observer:
    """What one observation has told: revision and value, in order."""

    def __init__(self, member: MemoryMember, context: CallContext = ANYONE) -> None:
        self.told: list[tuple[int, bytes]] = []
        self.error = ""
        self._member = member
        self._context = context

    @property
    def values(self) -> list[bytes]:
        return [value for _, value in self.told]

    async def run(self) -> None:
        responses = self._member.services.election.observe(m.LeaderRequest(name=b"e"), self._context)
        try:
            async with aclosing(responses):
                async for response in responses:
                    assert response.header is not None
                    assert response.kv is not None
                    self.told.append((response.header.revision, response.kv.value))
        except ApiError as error:
            self.error = error.message


async def test_candidates_follow_each_other_while_leaders_fail(autojump_clock: MockClock) -> None:
    async with MemoryCluster(5) as cluster, trio.open_nursery() as nursery:
        raft_leader = await cluster.wait_leader()
        member, other, *_ = (one for one in cluster.members if one is not raft_leader)
        observer = Observer(other)
        nursery.start_soon(observer.run)
        elected: list[m.LeaderKey] = []

        async def stand(lease: int) -> None:
            elected.append(await campaign(member, lease, b"%d" % lease))

        for lease in (1, 2, 3):
            await grant(member, lease)
            nursery.start_soon(stand, lease)
            await trio.sleep(0.5)
        assert [one.lease for one in elected] == [1]
        await raft_leader.kill()
        await cluster.wait_leader()
        await resign(other, elected[0])
        await cluster.wait_for(lambda: len(elected) == 2, "the second")
        request = m.ProclaimRequest(leader=elected[1], value=b"2, a word")
        await other.services.election.proclaim(request, ANYONE)
        with pytest.raises(ApiError, match="election: not leader"):
            await other.services.election.proclaim(m.ProclaimRequest(leader=elected[0], value=b"late"), ANYONE)
        await resign(other, elected[1])
        await cluster.wait_for(lambda: len(observer.told) == 4, "all that was to be observed")
        assert observer.values == [b"1", b"2", b"2, a word", b"3"]
        assert sorted(observer.told) == observer.told
        nursery.cancel_scope.cancel()


async def test_who_observes_misses_no_leader_however_short_its_time(autojump_clock: MockClock) -> None:
    """The deletions are one batch: all have been applied before the observer's task runs again."""
    async with MemoryCluster(1) as cluster, trio.open_nursery() as nursery:
        (member,) = cluster.members
        kv = member.services.kv
        observer = Observer(member)
        nursery.start_soon(observer.run)
        keys = [b"e/%d" % number for number in range(6)]
        for key in keys:
            await kv.put(m.PutRequest(key=key, value=key), ANYONE)
        await cluster.wait_for(lambda: observer.values == [b"e/0"], "the first")
        async with trio.open_nursery() as batch:
            for key in keys[:5]:
                batch.start_soon(kv.delete_range, m.DeleteRangeRequest(key=key), ANYONE)
        leaders: list[bytes] = []
        for revision in range(7, 13):  # the deletions come in an order that is not ours to choose
            first = m.RangeRequest(key=b"e/", range_end=b"e0", revision=revision, sort_target=2, limit=1)
            leader = (await kv.range(first, ANYONE)).kvs[0].key
            if leader not in leaders:
                leaders.append(leader)
        await cluster.wait_for(lambda: observer.values == leaders, f"the leaders {leaders}")
        assert leaders[-1] == b"e/5"
        nursery.cancel_scope.cancel()


async def test_an_observation_goes_on_over_a_compaction(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster, trio.open_nursery() as nursery:
        (member,) = cluster.members
        observer = Observer(member)
        nursery.start_soon(observer.run)
        for lease in (1, 2):
            await grant(member, lease)
            leader = await campaign(member, lease, b"%d" % lease)
            for _ in range(10):
                await member.client.put("other")
            await member.client.compact((await member.client.put("other")).header.revision)  # type: ignore[union-attr] # there is a header
            await resign(member, leader)
        await campaign(member, 1, b"3")
        await cluster.wait_for(lambda: observer.values == [b"1", b"2", b"3"], "all three")
        nursery.cancel_scope.cancel()


async def test_nobody_is_elected_without_a_key(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        await cluster.wait_leader()
        member = cluster.members[0]
        await grant(member, 1)
        await grant(member, 2, ttl=5)
        leader = await campaign(member, 1, b"1")
        refused: list[str] = []

        async def stand() -> None:
            with pytest.raises(ApiError) as caught:
                await campaign(member, 2, b"2")
            refused.append(caught.value.message)

        nursery.start_soon(stand)
        await trio.sleep(8)
        assert refused == []
        await resign(member, leader)
        await cluster.wait_for(lambda: refused == ["election: not leader"], "the refusal")
        with pytest.raises(ApiError, match="election: no leader"):
            await member.services.election.leader(m.LeaderRequest(name=b"e"), ANYONE)


async def test_who_asks_for_a_leader_of_the_cluster_is_told_when_there_is_none(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        await cluster.wait_leader()
        member = cluster.members[0]
        patient = Observer(member)
        demanding = Observer(member, CallContext(require_leader=True))
        nursery.start_soon(patient.run)
        nursery.start_soon(demanding.run)
        await trio.sleep(1)
        cluster.isolate(member)
        await cluster.wait_for(lambda: demanding.error == "etcdserver: no leader", "the refusal")
        assert patient.error == ""
        nursery.cancel_scope.cancel()
