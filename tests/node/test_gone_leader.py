"""A leader whose process is gone is followed at once; one that only seems to be gone loses nothing by it."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
import structlog
import trio
from structlog.testing import LogCapture
from trio.testing import MockClock, wait_all_tasks_blocked

from trioetcd.api import messages as m
from trioetcd.node.gone_leader import CHANCE_HEARTBEATS, GoneLeader
from trioetcd.node.leadership import Leadership
from trioetcd.node.service.context import ANYONE
from trioetcd.peer.transport import Transport
from trioetcd.raft.types import NO_NODE, StateType
from trioetcd.testing.cluster import MemoryCluster

ONE, LEADER, THIRD = 1, 2, 3
HEARTBEAT_SECONDS = 0.1
ELECTION_SECONDS = 1.0


class Core:
    """A follower that does as it is told, and campaigns without success."""

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership
        self.campaigns: list[float] = []

    def forget_leader(self) -> None:
        self._leadership.update(lead=NO_NODE, state=StateType.FOLLOWER, term=1)

    def campaign(self) -> None:
        self.campaigns.append(trio.current_time())


class Case:
    """One follower of `LEADER`, with its clock at 0."""

    def __init__(self, *, pre_vote: bool = True) -> None:
        self.leadership = Leadership(member_id=ONE, clock=trio.current_time)
        self.leadership.update(lead=LEADER, state=StateType.FOLLOWER, term=1)
        self.core = Core(self.leadership)
        self.gone = GoneLeader(
            driver=self.core,
            leadership=self.leadership,
            random=Random(7),
            clock=trio.current_time,
            pre_vote=pre_vote,
            heartbeat_seconds=HEARTBEAT_SECONDS,
            election_seconds=ELECTION_SECONDS,
            log=structlog.wrap_logger(None, processors=[LogCapture()]),
        )


@pytest.fixture
async def case(nursery: trio.Nursery) -> Case:
    case = Case()
    await nursery.start(case.gone.run)
    return case


async def test_it_is_forgotten_at_once_and_a_campaign_follows_within_a_heartbeat(
    autojump_clock: MockClock, case: Case
) -> None:
    case.gone.note(LEADER)
    assert not case.leadership.has_leader
    assert not case.core.campaigns, "the others are to find out as well"
    await trio.sleep(HEARTBEAT_SECONDS)
    assert len(case.core.campaigns) == 1


async def test_attempts_end_with_the_election_timeout(autojump_clock: MockClock, case: Case) -> None:
    begin = trio.current_time()
    for _ in range(30):
        case.gone.note(LEADER)
        await trio.sleep(2 * HEARTBEAT_SECONDS)
    assert len(case.core.campaigns) > 1
    assert max(case.core.campaigns) - begin < ELECTION_SECONDS


async def test_another_member_that_is_gone_changes_nothing(autojump_clock: MockClock, case: Case) -> None:
    case.gone.note(THIRD)
    await trio.sleep(HEARTBEAT_SECONDS)
    assert case.leadership.lead == LEADER
    case.gone.note(LEADER)
    case.leadership.update(lead=THIRD, state=StateType.FOLLOWER, term=2)
    case.gone.note(LEADER)
    await trio.sleep(HEARTBEAT_SECONDS)
    assert case.leadership.lead == THIRD
    assert not case.core.campaigns


async def test_a_leader_that_is_heard_again_is_followed(autojump_clock: MockClock, case: Case) -> None:
    case.gone.note(LEADER)
    case.leadership.update(lead=LEADER, state=StateType.FOLLOWER, term=1)
    await trio.sleep(HEARTBEAT_SECONDS)
    assert not case.core.campaigns


async def test_without_pre_votes_the_election_timeout_is_waited_for(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    case = Case(pre_vote=False)
    await nursery.start(case.gone.run)
    case.gone.note(LEADER)
    await wait_all_tasks_blocked()
    await trio.sleep(ELECTION_SECONDS)
    assert case.leadership.lead == LEADER
    assert not case.core.campaigns


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("members", [3, 5])
async def test_a_killed_leader_is_followed_before_an_election_timeout(
    autojump_clock: MockClock, members: int, seed: int
) -> None:
    async with MemoryCluster(members, seed=seed) as cluster:
        old = await cluster.wait_leader()
        await old.services.kv.put(m.PutRequest(key=b"key", value=b"old"), ANYONE)
        await old.kill()
        begin = trio.current_time()
        new = await cluster.wait_leader()
        assert trio.current_time() - begin < ELECTION_SECONDS
        found = await new.services.kv.range(m.RangeRequest(key=b"key"), ANYONE)
        assert found.kvs[0].value == b"old"


async def test_a_leader_that_is_only_cut_off_is_waited_for(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        old = await cluster.wait_leader()
        others = [number for number, one in enumerate(cluster.members) if one is not old]
        begin = trio.current_time()
        cluster.partition([cluster.members.index(old)], others)
        await cluster.wait_for(lambda: any(cluster.members[one].is_leader for one in others), "a new leader")
        assert trio.current_time() - begin >= ELECTION_SECONDS - HEARTBEAT_SECONDS


async def test_who_alone_believes_it_gone_disturbs_nobody(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        follower = next(one for one in cluster.members if one is not leader)
        term = leader.parts.leadership.term
        for _ in range(20):
            follower.parts.gone_leader.note(leader.parts.leadership.member_id)
            await trio.sleep(0.15)
        await cluster.wait_for(lambda: follower.parts.leadership.has_leader, "the leader is heard again")
        assert leader.is_leader
        assert leader.parts.leadership.term == follower.parts.leadership.term == term


async def test_a_leader_that_refuses_connections_and_is_heard_is_lost_once_in_its_term(
    autojump_clock: MockClock,
) -> None:
    """Nobody listens where one follower looks for it; it leads on, and posts to this one."""
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        follower = next(one for one in cluster.members if one is not leader)
        before = follower.parts.leadership.changes_seen
        transport = follower.parts._transport
        assert isinstance(transport, Transport)
        peer = transport.peer(leader.id)
        assert peer is not None
        peer.link.update_urls(["http://nowhere:1"])
        cluster.network.drop_connections(leader.name, follower.name)
        for number in range(20):
            await trio.sleep(0.5)
            await follower.services.kv.put(m.PutRequest(key=b"key", value=b"%d" % number), ANYONE)
        assert leader.is_leader
        assert follower.parts.leadership.changes_seen - before <= 1


async def test_who_was_heard_again_in_its_term_is_not_gone(autojump_clock: MockClock, case: Case) -> None:
    case.gone.note(LEADER)
    case.leadership.update(lead=LEADER, state=StateType.FOLLOWER, term=1)
    case.gone.note(LEADER)
    assert case.leadership.lead == LEADER
    await trio.sleep(ELECTION_SECONDS)
    assert not case.core.campaigns
    case.leadership.update(lead=THIRD, state=StateType.FOLLOWER, term=2)
    case.leadership.update(lead=LEADER, state=StateType.FOLLOWER, term=3)
    case.gone.note(LEADER)
    assert not case.leadership.has_leader, "it leads another term, of which nothing is known"


async def test_a_campaign_has_its_chance_before_the_next(autojump_clock: MockClock, case: Case) -> None:
    """However often the leader is found gone: a campaign takes two round trips, and it syncs."""
    for _ in range(int(ELECTION_SECONDS / 0.01)):
        case.gone.note(LEADER)
        await trio.sleep(0.01)
    campaigns = case.core.campaigns
    assert len(campaigns) > 1
    assert min(b - a for a, b in pairwise(campaigns)) >= CHANCE_HEARTBEATS[0] * HEARTBEAT_SECONDS


@pytest.mark.parametrize("seed", range(3))
async def test_slow_disks_do_not_keep_an_election_from_its_end(autojump_clock: MockClock, seed: int) -> None:
    async with MemoryCluster(3, seed=seed, disk_seconds=0.15) as cluster:
        await (await cluster.wait_leader()).kill()
        begin = trio.current_time()
        await cluster.wait_leader()
        assert trio.current_time() - begin < ELECTION_SECONDS


async def test_two_dead_of_five_are_enough_to_go_on(autojump_clock: MockClock) -> None:
    async with MemoryCluster(5) as cluster:
        old = await cluster.wait_leader()
        begin = trio.current_time()
        for dead in (old, next(one for one in cluster.members if one is not old)):
            await dead.kill()
        await cluster.wait_leader()
        assert trio.current_time() - begin < ELECTION_SECONDS


async def test_a_learner_forgets_it_and_does_not_campaign(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        learner = await cluster.add_member(is_learner=True)
        await cluster.wait_converged()
        for _ in range(2):
            leader = await cluster.wait_leader()
            assert leader is not learner
            await leader.kill()
            begin = trio.current_time()
            if len(cluster.running) > 2:
                await cluster.wait_for(lambda: learner.parts.leadership.has_leader, "a leader, as the learner sees it")
                assert trio.current_time() - begin < ELECTION_SECONDS
        await trio.sleep(3 * ELECTION_SECONDS)
        assert not learner.is_leader
        assert learner.parts.leadership.state is StateType.FOLLOWER


async def test_one_leader_after_the_other_that_dies_and_comes_back_is_replaced_as_fast(
    autojump_clock: MockClock,
) -> None:
    async with MemoryCluster(3) as cluster:
        for number in range(10):
            leader = await cluster.wait_leader()
            await leader.services.kv.put(m.PutRequest(key=b"key", value=b"%d" % number), ANYONE)
            await leader.kill()
            begin = trio.current_time()
            await cluster.wait_leader()
            assert trio.current_time() - begin < ELECTION_SECONDS
            await leader.start()
            await cluster.wait_converged()


@pytest.mark.parametrize("down_seconds", [0.0, 0.05, 0.15])
async def test_a_leader_that_is_back_at_once_is_no_reason_to_wait_longer_than_ever(
    autojump_clock: MockClock, down_seconds: float
) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        begin = trio.current_time()
        await leader.kill()
        await trio.sleep(down_seconds)
        await leader.start()
        await cluster.wait_leader()
        assert trio.current_time() - begin < 2.5 * ELECTION_SECONDS


async def test_a_lease_lives_its_time_from_a_fast_election_on(autojump_clock: MockClock) -> None:
    """No part of it rests on an election timeout between two leaders."""
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        await leader.services.lease.lease_grant(m.LeaseGrantRequest(ID=7, TTL=4), ANYONE)
        await leader.services.kv.put(m.PutRequest(key=b"key", lease=7), ANYONE)
        await trio.sleep(3)
        answer = await leader.services.lease.lease_keep_alive(m.LeaseKeepAliveRequest(ID=7), ANYONE)
        kept_at = trio.current_time()
        assert answer.TTL == 4
        await leader.kill()
        new = await cluster.wait_leader()
        assert trio.current_time() - kept_at < ELECTION_SECONDS
        await trio.sleep_until(kept_at + 3.9)
        assert 7 in new.parts.machine.leases
        await cluster.wait_for(lambda: 7 not in new.parts.machine.leases, "its end")
        assert trio.current_time() - kept_at < 4 + 3 * ELECTION_SECONDS
