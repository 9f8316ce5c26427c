"""Members come, become voters, move and go, in clusters whose network and machines fail meanwhile."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.client import EtcdError
from trioetcd.config import InitialMember, StartRefused, Url
from trioetcd.node.service.context import ANYONE
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

HEALTH_SECONDS = 5.0


async def refusal_of(member: MemoryMember, request: object) -> str:
    """The words with which a member refuses a request."""
    with pytest.raises(EtcdError) as refused:
        await member.client.call(request)
    return refused.value.message.rpartition("; ")[2]  # the client says first that it has no other endpoint


def words(kind: ErrorKind) -> str:
    return kind.value[1]


async def listed(member: MemoryMember) -> list[tuple[str, bool]]:
    """Names, and who is a learner, as one member tells."""
    answer = await member.client.call(m.MemberListRequest())
    return sorted((one.name, one.isLearner) for one in answer.members)


def followers_of(cluster: MemoryCluster, leader: MemoryMember) -> list[MemoryMember]:
    return [member for member in cluster.members if member is not leader]


async def test_one_grows_to_three_and_each_has_everything(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        await cluster.client.put("before", "1")
        for _ in range(2):
            await cluster.add_member()
        await cluster.wait_converged()
        for member in cluster.members:
            await member.client.put(member.name, "value")
        await cluster.wait_converged()
        assert await listed(cluster.members[2]) == [("m0", False), ("m1", False), ("m2", False)]
        leader = await cluster.wait_leader()
        await leader.kill()
        await cluster.wait_leader()
        await followers_of(cluster, leader)[0].client.put("after", "2")
        for member in followers_of(cluster, leader):
            keys = {kv.key for kv in (await member.client.get("", prefix=True)).kvs}
            assert keys == {b"before", b"m0", b"m1", b"m2", b"after"}


async def test_a_member_joins_by_a_snapshot(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, snapshot_count=5, snapshot_catchup_entries=2) as cluster:
        for number in range(30):
            await cluster.client.put(f"{number}", "value")
        member = await cluster.add_member()
        await cluster.wait_converged()
        assert (await member.client.get("", prefix=True, count_only=True)).count == 30
        await member.kill()
        await member.start()
        await cluster.wait_converged()


async def test_a_learner_serves_little_until_it_is_promoted(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        follower = followers_of(cluster, leader)[0]
        await leader.client.put("key", "value")
        learner = await cluster.add_member(is_learner=True, through=follower.client)
        await cluster.wait_converged()
        refused = words(ErrorKind.NOT_SUPPORTED_FOR_LEARNER)
        for request in (
            *(m.RangeRequest(key=b"key"), m.PutRequest(key=b"key"), m.TxnRequest(), m.MemberListRequest()),
            *(m.LeaseGrantRequest(TTL=9), m.LeaseLeasesRequest(), m.AlarmRequest(), m.CompactionRequest()),
            *(m.MemberAddRequest(), m.MemberRemoveRequest(), m.MemberUpdateRequest(), m.MemberPromoteRequest()),
        ):
            assert await refusal_of(learner, request) == refused, request
        found = await learner.client.call(m.RangeRequest(key=b"key", serializable=True))
        assert found.kvs[0].value == b"value"
        assert (await learner.client.call(m.StatusRequest())).isLearner
        await learner.view.probe_read(serializable=False)  # so it is healthy
        assert await refusal_of(
            leader, m.MemberAddRequest(peerURLs=["http://10.0.0.77:2380"], isLearner=True)
        ) == words(ErrorKind.TOO_MANY_LEARNERS)
        await cluster.promote_member(learner, through=follower.client)
        await cluster.wait_converged()
        await learner.client.put("key", "newer")
        assert (await listed(learner))[3] == ("m3", False)
        for member in (leader, follower):
            assert await refusal_of(member, m.MemberPromoteRequest(ID=learner.id)) == words(
                ErrorKind.MEMBER_NOT_LEARNER
            )
            assert await refusal_of(member, m.MemberPromoteRequest(ID=77)) == words(ErrorKind.MEMBER_NOT_FOUND)
        assert leader.parts.promotion.succeeded == 1


async def test_a_learner_that_lags_is_not_promoted(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        leader = await cluster.wait_leader()
        learner = await cluster.add_member(is_learner=True)
        await cluster.wait_converged()
        cluster.isolate(learner)
        for number in range(20):
            await leader.client.put(f"{number}", "value")
        request = m.MemberPromoteRequest(ID=learner.id)
        assert await refusal_of(leader, request) == words(ErrorKind.LEARNER_NOT_READY)
        cluster.heal()
        await cluster.promote_member(learner)


async def test_a_learner_is_no_part_of_the_quorum(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        learner = await cluster.add_member(is_learner=True)
        await cluster.wait_converged()
        await learner.kill()
        await cluster.client.put("key", "value")
        await learner.start()
        await cluster.wait_converged()


async def test_a_removed_follower_ends_and_does_not_start_again(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        follower, other = followers_of(cluster, leader)
        removed_at = trio.current_time()
        await trio.sleep(HEALTH_SECONDS + 1)
        await cluster.remove_member(follower, through=other.client)
        assert trio.current_time() - removed_at < HEALTH_SECONDS + 5
        with suppress(StartRefused), trio.fail_after(10):  # the others dropped it, perhaps before it could apply that
            await follower.start()
            await follower.wait_ended()
        await other.client.put("key", "value")
        await cluster.wait_converged()
        assert await listed(other) == sorted([(leader.name, False), (other.name, False)])


async def test_one_that_ended_before_its_log_named_anyone_hears_that_it_was_removed(autojump_clock: MockClock) -> None:
    """Nobody calls it any more, so it has to call; whom, it asks again as when it joined."""
    async with MemoryCluster(2) as cluster:
        leader = await cluster.wait_leader()
        added = await cluster.call_member_add(is_learner=True)
        cluster.network.partition(leader.name, "m2")
        member = cluster.new_member(added)
        await member.start()
        await trio.sleep(1)
        assert member.parts.driver.status().last_index == 0
        await member.kill()
        await cluster.remove_member(member)
        cluster.heal()
        await member.start()
        with trio.fail_after(30):
            await member.wait_ended()


async def test_a_follower_that_was_away_hears_that_it_was_removed(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        follower = followers_of(cluster, leader)[0]
        await trio.sleep(HEALTH_SECONDS + 1)
        await follower.kill()
        await trio.sleep(HEALTH_SECONDS + 1)
        await leader.client.call(m.MemberRemoveRequest(ID=follower.id))
        await follower.start()
        with trio.fail_after(10):
            await follower.wait_ended()


@pytest.mark.parametrize("size", [2, 3])
async def test_a_removed_leader_leaves_a_cluster_that_goes_on(autojump_clock: MockClock, size: int) -> None:
    """Of two members the other must hear that the removal is committed, or nobody could decide any more."""
    async with MemoryCluster(size) as cluster:
        leader = await cluster.wait_leader()
        stays = followers_of(cluster, leader)[0]
        await leader.client.put("before", "1")
        await trio.sleep(HEALTH_SECONDS + 1)
        await cluster.remove_member(leader)
        ended_at = trio.current_time()
        await cluster.wait_leader()
        assert trio.current_time() - ended_at < 3
        await stays.client.put("after", "2")
        await cluster.wait_converged()
        assert len(await listed(stays)) == size - 1
        with pytest.raises(StartRefused, match="permanently removed"):
            await leader.start()


async def test_a_member_that_comes_back_is_another(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        old = followers_of(cluster, leader)[0]
        await trio.sleep(HEALTH_SECONDS + 1)
        await cluster.remove_member(old, through=leader.client)
        new = await cluster.add_member(through=leader.client)
        await cluster.wait_converged()
        assert len(await listed(new)) == 3


async def test_a_member_moves_to_another_address(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        mover = followers_of(cluster, leader)[0]
        moved = Url("http", "10.0.1.1", 2380)
        await mover.client.call(m.MemberUpdateRequest(ID=mover.id, peerURLs=[str(moved)]))
        await mover.stop()
        mover.config = replace(mover.config, listen_peer_urls=(moved,))
        await mover.start()
        await cluster.wait_converged()
        await mover.client.put("key", "value")
        await cluster.wait_converged()
        assert cluster.leader() is leader
        bad = m.MemberUpdateRequest(ID=mover.id, peerURLs=["http://[", "h\u00e9", "ftp://h:1", "http://h:99999"])
        assert (await leader.client.call(bad)).members is not None
        await leader.client.put("key", "it goes on")


async def test_changes_that_come_together_are_all_made(autojump_clock: MockClock) -> None:
    """etcd drops all but the first without a word, and their callers wait until they give up."""
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        urls = [f"http://10.0.2.{number}:2380" for number in range(6)]

        async def update(member: MemoryMember, url: str) -> None:
            await member.client.call(m.MemberUpdateRequest(ID=leader.id, peerURLs=[*leader_urls, url]))

        leader_urls = [str(url) for url in leader.config.initial_advertise_peer_urls]
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number, url in enumerate(urls):
                nursery.start_soon(update, cluster.members[number % 3], url)
        assert trio.current_time() - began < 5
        await cluster.wait_converged()


async def test_a_change_waits_for_a_quorum_and_is_made_once(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, strict_reconfig_check=False) as cluster:
        leader = await cluster.wait_leader()
        followers = followers_of(cluster, leader)
        for one in followers:
            await one.kill()
        answered = trio.Event()

        async def add() -> None:
            request = m.MemberAddRequest(peerURLs=["http://10.0.2.1:2380"], isLearner=True)
            await leader.services.cluster.member_add(request, ANYONE)
            answered.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(add)
            await trio.sleep(60)
            assert not answered.is_set()
            for one in followers:
                await one.start()
            with trio.fail_after(30):
                await answered.wait()
        await cluster.wait_converged()
        assert len((await leader.client.call(m.MemberListRequest())).members) == 4


async def test_the_leader_is_lost_while_it_makes_a_change(autojump_clock: MockClock) -> None:
    """What a follower passed on is gone with the leader; it asks the next one."""
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        follower, other = followers_of(cluster, leader)
        await trio.sleep(HEALTH_SECONDS + 1)
        cluster.partition([int(leader.name[1:])], [int(follower.name[1:]), int(other.name[1:])])
        members = await follower.services.cluster.member_update(
            m.MemberUpdateRequest(ID=other.id, peerURLs=[str(other.config.listen_peer_urls[0]), "http://10.0.3.1:1"]),
            ANYONE,
        )
        assert len(members.members) == 3
        cluster.heal()
        await cluster.wait_converged()


async def test_a_quorum_cannot_be_removed_piece_by_piece(autojump_clock: MockClock) -> None:
    """Two removals that are each right by themselves come together; the second is looked at again after the first."""
    async with MemoryCluster(2) as cluster:
        leader = await cluster.wait_leader()
        (other,) = followers_of(cluster, leader)
        await trio.sleep(HEALTH_SECONDS + 1)
        refused: list[str] = []

        async def remove(through: MemoryMember, member_id: int) -> None:
            try:
                await through.services.cluster.member_remove(m.MemberRemoveRequest(ID=member_id), ANYONE)
            except ApiError as error:
                refused.append(error.message)

        async with trio.open_nursery() as nursery:
            for number in (other.id, leader.id):
                nursery.start_soon(remove, leader, number)
        assert refused == [words(ErrorKind.MEMBER_NOT_ENOUGH_STARTED)]


async def test_who_was_not_added_does_not_join(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        leader = await cluster.wait_leader()
        added = await cluster.call_member_add(is_learner=True)
        member = cluster.new_member(added)
        assert added.member is not None
        await leader.client.call(m.MemberRemoveRequest(ID=added.member.ID))
        with pytest.raises(StartRefused, match="member count is unequal: --initial-cluster names 2; add the member"):
            await member.start()
        await leader.client.call(m.MemberAddRequest(peerURLs=["http://10.0.7.7:2380"], isLearner=True))
        with pytest.raises(StartRefused, match="no match found for existing member"):
            await member.start()
        await leader.stop()
        with pytest.raises(StartRefused, match=r"cannot fetch cluster info .* \(http://10\.0\.0\.1:2380\)"):
            await member.start()


async def test_a_member_joins_although_another_that_joined_knows_nothing_yet(autojump_clock: MockClock) -> None:
    """The quorum needs the one that starts, so the other gets nothing before: neither may wait for the other."""
    async with MemoryCluster(1) as cluster:
        (alone,) = cluster.members
        for _ in range(2):
            added = await cluster.call_member_add(through=alone.client, is_learner=len(cluster.members) == 1)
            cluster.new_member(added)
        learner, voter = cluster.members[1:]
        urls = {one.name: one.config.initial_advertise_peer_urls for one in cluster.members}
        initial = tuple(InitialMember(name, urls[name]) for name in ("m1", "m0", "m2"))  # the learner is asked first
        for member in (learner, voter):
            member.config = replace(member.config, initial_cluster=initial)
        await learner.start()
        assert not learner.parts.machine.members.members()
        await voter.start()
        await cluster.wait_converged()


async def test_a_member_joins_although_the_first_that_it_asks_is_behind(autojump_clock: MockClock) -> None:
    """Again the quorum needs the one that starts, so the learner does not hear of it before."""
    async with MemoryCluster(1) as cluster:
        (alone,) = cluster.members
        learner = await cluster.add_member(is_learner=True)
        await cluster.wait_converged()
        cluster.isolate(learner)
        voter = cluster.new_member(await cluster.call_member_add(through=alone.client))
        first, second, own = voter.config.initial_cluster
        if first.name == alone.name:
            first, second = second, first
        voter.config = replace(voter.config, initial_cluster=(first, second, own))
        await trio.sleep(HEALTH_SECONDS)
        assert not alone.is_leader
        cluster.heal()
        await voter.start()
        await cluster.wait_converged()


async def test_a_member_that_lost_its_disk_does_not_join_again_as_itself(autojump_clock: MockClock) -> None:
    """It has promised and acknowledged what it does not know of any more."""
    async with MemoryCluster(1) as cluster:
        for _ in range(2):
            member = await cluster.add_member()
        await cluster.wait_converged()
        await member.kill()
        member.wipe()
        with pytest.raises(StartRefused, match="has run before, but there is no write-ahead log"):
            await member.start()


@pytest.mark.parametrize("operations", range(1, 60, 6))
async def test_a_crash_while_it_joins(autojump_clock: MockClock, operations: int) -> None:
    """Wherever the power fails in the beginning, the member starts again and is the one that was added."""
    async with MemoryCluster(1) as cluster:
        await cluster.client.put("key", "value")
        added = await cluster.call_member_add(is_learner=True)
        member = cluster.new_member(added)
        left = operations

        def fail(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                member.power_off()

        member.before_operation = fail
        await member.start()
        await trio.sleep(2)
        if member.is_running:
            await member.kill()
        await member.wait_ended()
        member.before_operation = None
        await member.start()
        await cluster.wait_converged()
        assert added.member is not None
        assert member.id == added.member.ID
