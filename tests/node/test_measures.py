"""What a member's metrics tell follows what happens in it."""

from __future__ import annotations

import re

from trio.testing import MockClock

from trioetcd.http11 import ClientConnection
from trioetcd.testing.cluster import MemoryCluster


async def page(cluster: MemoryCluster, path: str) -> str:
    stream = await cluster.network.host("client").dial("http://10.0.0.1:2379")
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
