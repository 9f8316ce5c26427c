"""What a member's metrics tell follows what happens in it."""

from __future__ import annotations

import re

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.client import DeadlineExceeded
from trioetcd.http11 import ClientConnection
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember


async def page(cluster: MemoryCluster, path: str, *, number: int = 0) -> str:
    stream = await cluster.network.host("client").dial(cluster.members[number].client_url)
    connection = ClientConnection(stream, host="member")
    response = await connection.request("GET", path)
    await connection.aclose()
    return response.body.decode()


async def values(cluster: MemoryCluster, *names: str) -> list[float]:
    text = await page(cluster, "/metrics")
    found = [re.search(rf"^{name} (\S+)$", text, re.MULTILINE) for name in names]
    return [float(one[1]) for one in found if one is not None]


async def test_watchers_are_counted_while_they_are_there(autojump_clock: MockClock) -> None:
    names = ("etcd_debugging_mvcc_watch_stream_total", "etcd_debugging_mvcc_watcher_total")
    async with MemoryCluster(1) as cluster:
        async with cluster.client.watch("a"), cluster.client.watch("b"):
            assert await values(cluster, *names) == [2, 2]
        await cluster.wait_for(lambda: not cluster.members[0].parts.machine.watch_hub.status().streams, "no stream")
        assert await values(cluster, *names) == [0, 0]


async def test_answers_of_health_are_counted(autojump_clock: MockClock) -> None:
    names = ("etcd_server_health_success", "etcd_server_health_failures")
    async with MemoryCluster(1) as cluster:
        assert await values(cluster, *names) == [0, 0]
        await page(cluster, "/health")
        await page(cluster, "/health?serializable=true")
        await page(cluster, "/readyz")
        assert await values(cluster, *names) == [2, 0]


NOT_FILLED_HERE = {
    "etcd_debugging_mvcc_pending_events_total": "everything is sent by the time it is looked at",
    "etcd_debugging_mvcc_slow_watcher_total": "nobody is slow",
    "etcd_disk_defrag_inflight": "it is over by the time it is looked at",
    "etcd_network_peer_received_failures_total": "nothing arrives damaged",
    "etcd_network_snapshot_receive_failures": "tests/peer",
    "etcd_network_snapshot_send_failures": "tests/peer",
    "etcd_server_heartbeat_send_failures_total": "no tick is late",
    "etcd_server_proposals_pending": "everything is committed by the time it is looked at",
    "etcd_server_slow_apply_total": "time stands still while something is applied; test_applier",
    "etcd_server_slow_read_indexes_total": "no answer is late; test_reads",
}
"""Families that stay at zero in the run below, and why, or where they are tested."""


async def test_no_family_stays_at_zero_that_says_so_of_nothing(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, snapshot_count=5, snapshot_catchup_entries=2) as cluster:
        leader = await cluster.wait_leader()
        behind = next(one for one in cluster.members if one is not leader)
        await fall_behind_and_catch_up(cluster, leader, behind)
        await use_everything(leader)
        learner = await cluster.add_member(is_learner=True)
        await cluster.wait_converged()
        seen = await nonzero_by_family(cluster)
        await cluster.promote_member(learner, through=leader.client)
        async with leader.client.watch("w"):
            await leader.client.put("w", "1")
            for family, is_filled in (await nonzero_by_family(cluster)).items():
                seen[family] |= is_filled
        empty = {family for family, is_filled in seen.items() if not is_filled}
        assert empty <= set(NOT_FILLED_HERE)
        assert set(NOT_FILLED_HERE) <= set(seen)


async def fall_behind_and_catch_up(cluster: MemoryCluster, leader: MemoryMember, behind: MemoryMember) -> None:
    """Cut a member off, ask it in vain, and let it come back by way of a snapshot."""
    cluster.isolate(behind)
    for number in range(20):
        await leader.client.put("a", f"{number}")
    await page(cluster, "/health", number=cluster.members.index(behind))
    with pytest.raises(DeadlineExceeded):
        await behind.client.put("b", "")
    cluster.heal()
    await cluster.wait_converged()
    await page(cluster, "/health")


async def use_everything(member: MemoryMember) -> None:
    """Do each thing that is counted, once."""
    client = member.client
    await client.get("a")
    written = await client.call(m.TxnRequest(success=[_put(b"c"), _put(b"d")]))
    await client.delete("c")
    await client.compact(written.header.revision, physical=True)
    await client.call(m.DefragmentRequest())
    renewed = await client.lease_grant(60)
    await client.lease_keep_alive(renewed.ID)
    await client.lease_revoke(renewed.ID)
    await client.lease_grant(1)
    await trio.sleep(30)
    async with client.watch("e") as watch:
        await client.put("e", "1")
        await anext(watch)


def _put(key: bytes) -> m.RequestOp:
    return m.RequestOp(request_put=m.PutRequest(key=key))


async def nonzero_by_family(cluster: MemoryCluster) -> dict[str, bool]:
    """Every family that a member shows, and whether any of its samples on any member is not zero."""
    found: dict[str, bool] = {}
    for number in range(len(cluster.members)):
        family = ""
        for line in (await page(cluster, "/metrics", number=number)).splitlines():
            if line.startswith("# TYPE "):
                family = line.split()[2]
                found.setdefault(family, False)
            elif not line.startswith("#"):
                found[family] |= bool(float(line.rpartition(" ")[2]))
    return found
