"""Streams that asked for a leader end when their member has none for three election timeouts, and no others."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.http11 import ClientConnection
from trioetcd.node.leadership import Leadership
from trioetcd.node.service.context import ANYONE
from trioetcd.node.upkeep.leaderless import LeaderlessStreams
from trioetcd.raft.types import NO_NODE, StateType
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember, open_client

ELECTION_SECONDS = 1.0


async def test_streams_end_after_three_election_timeouts(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    leadership = Leadership(member_id=1, clock=trio.current_time)
    streams = LeaderlessStreams(leadership=leadership, election_timeout_seconds=ELECTION_SECONDS)
    ended: list[float] = []
    await nursery.start(streams.run)

    def lead(member: int) -> None:
        leadership.update(lead=member, state=StateType.FOLLOWER, term=1)

    with streams.following(lambda: ended.append(trio.current_time())):
        await trio.sleep(2.9)
        lead(2)
        await trio.sleep(10)
        lead(NO_NODE)
        await trio.sleep(2.9)
        lead(2)
        await trio.sleep(10)
        assert ended == []
        lead(NO_NODE)
        lost_at = trio.current_time()
        await trio.sleep(100)
        assert ended == [lost_at + 3 * ELECTION_SECONDS]
        lead(2)
        await trio.sleep(1)
    lead(NO_NODE)
    await trio.sleep(100)
    assert len(ended) == 1


async def _isolated_follower(cluster: MemoryCluster) -> MemoryMember:
    leader = await cluster.wait_leader()
    follower = next(member for member in cluster.members if member is not leader)
    for other in cluster.members:
        if other is not follower:
            cluster.network.partition(follower.name, other.name)
    return follower


async def test_a_watch_of_a_member_that_is_cut_off(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        follower = await _isolated_follower(cluster)
        watch = follower.services.watch
        async with watch.open(ANYONE._replace(require_leader=True)) as asking, watch.open(ANYONE) as content:
            for session in (asking, content):
                session.handle(m.WatchRequest(create_request=m.WatchCreateRequest(key=b"key")))
                await session.receive()
            with trio.fail_after(6 * ELECTION_SECONDS), pytest.raises(ApiError) as caught:
                await asking.receive()
            assert caught.value == ApiError.of(ErrorKind.NO_LEADER)
            with trio.move_on_after(60) as scope:
                await content.receive()
            assert scope.cancelled_caught


@pytest.mark.parametrize("asks", [True, False])
async def test_a_keep_alive_stream_of_a_member_that_is_cut_off(autojump_clock: MockClock, asks: bool) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        await leader.client.call(m.LeaseGrantRequest(ID=7, TTL=1000))
        follower = next(member for member in cluster.members if member is not leader)
        stream = await cluster.network.host("client").dial(follower.client_url)
        connection = ClientConnection(stream, host="etcd")
        headers = [(b"Grpc-Metadata-hasleader", b"true")] if asks else []
        async with connection.stream("POST", "/v3/lease/keepalive", headers) as exchange:
            await exchange.send(b'{"ID":7}')
            assert (await exchange.receive_head())[0] == 200
            assert b'"TTL":"1000"' in await exchange.receive_some()
            await _isolated_follower(cluster)
            told = b""
            with trio.move_on_after(6 * ELECTION_SECONDS):
                told = await exchange.receive_some()
            assert (b"etcdserver: no leader" in told) is asks
        await connection.aclose()


async def test_an_observation_of_a_member_that_is_cut_off(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        follower = await _isolated_follower(cluster)
        stream = await cluster.network.host("client").dial(follower.client_url)
        connection = ClientConnection(stream, host="etcd")
        headers = [(b"Grpc-Metadata-hasleader", b"true")]
        with trio.fail_after(6 * ELECTION_SECONDS):
            response = await connection.request("POST", "/v3/election/observe", headers, b'{"name":"bmFtZQ=="}')
        assert b"etcdserver: no leader" in response.body
        await connection.aclose()


async def test_the_library_goes_on_at_a_member_that_has_a_leader(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        follower = next(member for member in cluster.members if member is not leader)
        urls = [follower.client_url, leader.client_url]
        async with open_client(cluster.network, urls, Random(1)) as client, client.watch("key") as watch:
            await _isolated_follower(cluster)
            await leader.client.put("key", "value")
            with trio.fail_after(10 * ELECTION_SECONDS):
                event = await anext(watch)
            assert event.kv is not None
            assert event.kv.value == b"value"
