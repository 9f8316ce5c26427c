"""Users of the library: who logs in by itself, stays logged in, and takes locks with a user's permissions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from trioetcd import client as etcd
from trioetcd.api import messages as m
from trioetcd.config.auth import JwtTokens
from trioetcd.testing.cluster import MemoryCluster

TOKEN_SECONDS = 20


@asynccontextmanager
async def guarded_cluster(**options: Any) -> AsyncIterator[MemoryCluster]:
    """Three members with auth on. Alice may read and write `a` to `b`."""
    async with MemoryCluster(3, auth_token_ttl_seconds=TOKEN_SECONDS, bcrypt_cost=4, **options) as cluster:
        for request in (
            m.AuthUserAddRequest(name="root", password="rpw"),
            m.AuthUserGrantRoleRequest(user="root", role="root"),
            m.AuthUserAddRequest(name="alice", password="apw"),
            m.AuthRoleAddRequest(name="r"),
            m.AuthRoleGrantPermissionRequest(name="r", perm=m.Permission(m.PermissionType.READWRITE, b"a", b"b")),
            m.AuthUserGrantRoleRequest(user="alice", role="r"),
            m.AuthEnableRequest(),
        ):
            await cluster.client.call(request)
        yield cluster


@asynccontextmanager
async def alice(cluster: MemoryCluster, password: str = "apw", *, name: str = "alice") -> AsyncIterator[etcd.Client]:
    async def open_stream(endpoint: etcd.Endpoint) -> trio.abc.Stream:
        return await cluster.network.host("client").dial(endpoint.url)

    urls = [member.client_url for member in cluster.members]
    async with etcd.connect(urls, credentials=(name, password), open_stream=open_stream) as client:
        yield client


async def test_a_token_is_renewed_when_it_is_no_longer_valid(autojump_clock: MockClock) -> None:
    async with guarded_cluster() as cluster, alice(cluster) as client:
        await client.put("a/1", "1")
        with pytest.raises(etcd.PermissionDenied):
            await client.put("elsewhere", "1")
        await trio.sleep(3 * TOKEN_SECONDS)
        assert (await client.get("a/1")).count == 1
        leader = await cluster.wait_leader()
        await leader.kill()  # each member keeps its tokens in memory
        await leader.start()
        await cluster.wait_leader()
        assert (await client.get("a/1")).count == 1
        with pytest.raises(etcd.AuthFailed):
            async with alice(cluster, password="wrong") as stranger:
                await stranger.get("a/1")


async def test_a_watch_begins_with_a_token_that_is_no_longer_valid(autojump_clock: MockClock) -> None:
    async with guarded_cluster() as cluster, alice(cluster) as client:
        await client.put("a/1", "1")
        await trio.sleep(3 * TOKEN_SECONDS)
        with trio.fail_after(10):
            async with client.watch("a/", prefix=True, start_revision=1) as watch:
                event = await anext(watch)
        assert event.kv is not None
        assert event.kv.value == b"1"


async def test_a_watch_begins_with_a_token_from_before_a_change_of_users(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(b"k" * 32)
    signed = JwtTokens("HS256", tmp_path / "key", None, 300.0)
    async with guarded_cluster(auth_token=signed) as cluster, alice(cluster) as client, alice(cluster) as other:
        await client.put("a/1", "1")
        await other.put("a/2", "2")
        async with client.watch("a/", prefix=True) as watch:
            async with alice(cluster, "rpw", name="root") as root:
                await root.call(m.AuthRoleAddRequest(name="another"))
            async with other.watch("a/", prefix=True) as second:
                await client.put("a/3", "3")
                for one in (watch, second):
                    event = await anext(one)
                    assert event.kv is not None
                    assert event.kv.value == b"3"


async def test_a_lock_of_a_user(autojump_clock: MockClock) -> None:
    async with guarded_cluster() as cluster, alice(cluster) as client:
        async with client.lock("a/lock", ttl=5) as lock:
            await trio.sleep(2 * TOKEN_SECONDS)
            written = await client.txn(compare=[lock.guard], success=[etcd.put_op("a/done", "1")])
            assert written.succeeded
        with pytest.raises(etcd.PermissionDenied):
            async with client.lock("elsewhere"):
                raise AssertionError("it may not")
        assert (await client.get("a/lock/", prefix=True)).kvs == []


async def test_the_servers_locks_ask_for_permissions(autojump_clock: MockClock) -> None:
    async with guarded_cluster() as cluster, alice(cluster) as client:
        for name in (b"a/l", b"l"):
            with pytest.raises(etcd.EtcdError, match="user name is empty"):
                await cluster.client.call(m.LockRequest(name=name))
        assert len(cluster.members[0].parts.machine.leases) == 0, "nobody gets a lease either"
        with pytest.raises(etcd.EtcdError, match="permission denied"):
            await client.call(m.LockRequest(name=b"l"))
        held = await client.call(m.LockRequest(name=b"a/l"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call, m.LockRequest(name=b"a/l"))
            await trio.sleep(1)
            assert (await client.get("a/l/", prefix=True)).count == 2
            await client.call(m.UnlockRequest(key=held.key))
        with pytest.raises(etcd.EtcdError, match="permission denied"):
            await client.call(m.LeaderRequest(name=b"e"))
        won = await client.call(m.CampaignRequest(name=b"a/e", value=b"v"))
        assert (await client.call(m.LeaderRequest(name=b"a/e"))).kv.key == won.leader.key
