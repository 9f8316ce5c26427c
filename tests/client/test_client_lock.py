"""Locks and elections of the library, over members in memory: one at a time, in order, beside etcd's own services."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

from tests.client.fake_cluster import Call, cluster_of
from trioetcd import client as etcd
from trioetcd.api import messages as m
from trioetcd.testing.cluster import MemoryCluster


async def line(cluster: MemoryCluster, name: str = "l") -> int:
    """How many keys there are under a name."""
    return (await cluster.client.get(f"{name}/", prefix=True, count_only=True)).count


def has_told(told: list[bytes], count: int) -> bool:
    return len(told) >= count


async def note_leaders(client: etcd.Client, told: list[bytes]) -> None:
    async with client.election("e").observe() as leaders:
        async for leader in leaders:
            told.append(leader.value)  # noqa: PERF401 # it never ends, and is looked at meanwhile


async def test_one_at_a_time_in_the_order_of_coming(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        turns: list[int] = []
        revisions: list[int] = []
        inside: list[int] = []

        async def work(number: int) -> None:
            async with cluster.members[number % 3].client.lock("l", ttl=5) as lock:
                inside.append(number)
                assert inside == [number]
                turns.append(number)
                revisions.append(lock.revision)
                await trio.sleep(6)  # longer than the lease, which is kept alive
                done = await cluster.client.txn(compare=[lock.guard], success=[etcd.put_op("done", str(number))])
                assert done.succeeded
                inside.remove(number)

        for number in range(6):
            nursery.start_soon(work, number)
            await trio.sleep(0.5)
        await cluster.wait_for(lambda: len(turns) == 6, "all turns", timeout_seconds=60)
        assert turns == list(range(6))
        assert revisions == sorted(revisions)


async def test_waiting_goes_on_over_leaders_and_members_that_fail(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        held = trio.Event()
        async with cluster.client.lock("l", ttl=10):

            async def wait() -> None:
                async with cluster.client.lock("l", ttl=10):
                    held.set()

            nursery.start_soon(wait)
            await trio.sleep(1)
            for _ in range(3):
                leader = await cluster.wait_leader()
                await leader.kill()
                await trio.sleep(5)
                await leader.start()
            assert not held.is_set()
            assert await line(cluster) == 2
        with trio.fail_after(5):
            await held.wait()


async def test_who_gives_up_leaves_the_line(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster, cluster.client.lock("l"):
        with trio.move_on_after(3) as scope:
            async with cluster.client.lock("l"):
                raise AssertionError("two hold it")
        assert scope.cancelled_caught
        assert await line(cluster) == 1


async def test_a_lock_that_is_lost_ends_its_block(autojump_clock: MockClock) -> None:
    async def block(client: etcd.Client) -> None:
        async with client.lock("l", ttl=6) as lock:
            await client.lease_revoke(lock.lease.id)
            late = await client.txn(compare=[lock.guard], success=[etcd.put_op("late", "1")])
            assert not late.succeeded
            await trio.sleep_forever()

    async with MemoryCluster(1) as cluster:
        with pytest.raises(etcd.LeaseLost):
            await block(cluster.client)
        assert (await cluster.client.get("late")).count == 0


async def test_a_turn_without_a_key_is_none(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster, trio.open_nursery() as nursery:
        refused = trio.Event()

        async def wait_in_vain() -> None:
            with pytest.raises(etcd.LeaseLost, match="gone when its turn came"):
                async with cluster.client.lock("l"):
                    raise AssertionError("it has no key")
            refused.set()

        async with cluster.client.lock("l") as lock:
            nursery.start_soon(wait_in_vain)
            await trio.sleep(1)
            await cluster.client.delete(lock.key + b"\0", range_end="l0")
            await cluster.client.delete("l/", range_end=lock.key)
            assert await line(cluster) == 1
            assert not refused.is_set()
        await refused.wait()


async def test_it_is_the_lock_that_the_server_knows(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        answers: list[m.LockResponse] = []

        async def ask_the_server() -> None:
            answers.append(await cluster.client.call(m.LockRequest(name=b"l", lease=7)))

        await cluster.client.lease_grant(60, lease_id=7)
        async with cluster.client.lock("l"):
            nursery.start_soon(ask_the_server)
            await trio.sleep(2)
            assert answers == []
        await cluster.wait_for(lambda: answers, "the server's turn")
        with trio.move_on_after(2) as scope:
            async with cluster.client.lock("l"):
                raise AssertionError("two hold it")
        assert scope.cancelled_caught
        await cluster.client.call(m.UnlockRequest(key=answers[0].key))
        async with cluster.client.lock("l"):
            assert await line(cluster) == 1


async def test_an_election(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        election = cluster.client.election("e")
        assert await election.leader() is None
        told: list[bytes] = []

        async def stand(value: str) -> None:
            async with election.campaign(value, ttl=5) as leadership:
                leader = await election.leader()
                assert leader is not None
                assert (leader.value, leader.create_revision) == (value.encode(), leadership.revision)
                await leadership.proclaim(value + " speaks")
                await trio.sleep(6)

        nursery.start_soon(note_leaders, cluster.members[0].client, told)
        async with trio.open_nursery() as candidates:
            for value in ("a", "b", "c"):
                candidates.start_soon(stand, value)
                await trio.sleep(0.5)
        await cluster.wait_for(lambda: len(told) == 6, "all that was said")
        assert told == [b"a", b"a speaks", b"b", b"b speaks", b"c", b"c speaks"]
        assert await election.leader() is None
        nursery.cancel_scope.cancel()


async def test_a_leadership_that_is_lost(autojump_clock: MockClock) -> None:
    async def block(client: etcd.Client) -> None:
        async with client.election("e").campaign("a") as leadership:
            await client.delete(leadership.key)
            await leadership.proclaim("b")

    async with MemoryCluster(1) as cluster:
        with pytest.raises(etcd.LeaseLost, match=r"the key b'e/.*' is gone"):
            await block(cluster.client)
        assert (await cluster.client.leases()).leases == []


async def test_observing_goes_on_over_members_that_fail_and_compactions(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        told: list[bytes] = []

        nursery.start_soon(note_leaders, cluster.client, told)
        client = cluster.client
        for number in range(3):
            async with client.election("e").campaign(str(number)):
                await cluster.wait_for(partial(has_told, told, number + 1), "the leader")
                if number == 1:
                    for member in cluster.members:
                        cluster.network.partition("client", member.name)
                await trio.sleep(1)
                leader = await cluster.wait_leader()
                cluster.heal()
                written = (await client.put("other")).header
                assert written is not None
                await client.compact(written.revision)
                await leader.kill()
                await leader.start()
                await cluster.wait_leader()
        assert told == [b"0", b"1", b"2"]
        nursery.cancel_scope.cancel()


async def test_an_attempt_to_enter_that_arrives_late_takes_nothing_back(autojump_clock: MockClock) -> None:
    """The first attempt is applied, but not answered; the second comes in; then the first comes once more."""
    sent: list[m.TxnRequest] = []

    async def handle(call: Call) -> None:
        if call.path == "/v3/kv/txn":
            sent.append(await call.read(m.TxnRequest))
            if len(sent) == 1:
                await call.hang_up()
            own = m.RangeResponse(kvs=[m.KeyValue(key=b"e/7", create_revision=3)])
            await call.answer(m.TxnResponse(responses=[m.ResponseOp(response_range=own)]))
        elif call.path == "/v3/lease/grant":
            await call.answer(m.LeaseGrantResponse(ID=7, TTL=10))
        elif call.path == "/v3/lease/revoke":
            await call.answer(m.LeaseRevokeResponse())
        else:
            asked = await call.read(m.RangeRequest)
            kvs = [] if asked.range_end else [m.KeyValue(key=b"e/7", create_revision=3)]
            await call.answer(m.RangeResponse(kvs=kvs))

    async with cluster_of(handle) as (client, _), client.election("e").campaign("first"):
        assert len(sent) == 2
    assert sent[0] == sent[1]
    assert [op.request_put for op in sent[0].failure] == [None]
