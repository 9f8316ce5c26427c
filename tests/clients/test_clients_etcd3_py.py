"""etcd3-py (module `etcd3`) against a member and against a real etcd: the same tests pass on both.

Its last release is of 2018 and knows the API of etcd 3.3. On a Python of today it works, but warns, and its thread that
keeps a lease alive ends with "release unlocked lock" when it is told to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import etcd3
import pytest
from etcd3.models import EventEventType
from etcd3.stateful.lock import EtcdLockAcquireTimeout

from tests.conformance.servers import Server

pytestmark = [
    pytest.mark.process,
    pytest.mark.filterwarnings("ignore:setDaemon:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]


@pytest.fixture
def etcd(server: Server) -> Iterator[etcd3.Client]:
    with etcd3.Client("127.0.0.1", server.client_port, timeout=10) as client:
        yield client


def test_version_health_status_and_members(etcd: etcd3.Client, server: Server) -> None:
    assert etcd.version().etcdserver.startswith("3.5.")
    assert etcd.health() == "true"
    assert etcd.status().version.startswith("3.5.")
    (member,) = etcd.member_list().members
    assert (member.name, member.clientURLs) == ("m1", [f"http://127.0.0.1:{server.client_port}"])
    assert etcd.status().header.member_id == member.ID


def test_keys(etcd: etcd3.Client) -> None:
    first = etcd.put("py/a", "1").header.revision
    assert etcd.put("py/a", "2", prev_kv=True).prev_kv.value == b"1"
    etcd.put(b"py/\xff", b"\x00\xff")
    (found,) = etcd.range("py/a").kvs
    assert (found.key, found.value, found.version, found.create_revision) == (b"py/a", b"2", 2, first)
    assert etcd.range("py/a", revision=first).kvs[0].value == b"1"
    assert etcd.range("py/", prefix=True, count_only=True).count == 2
    descending = etcd.range("py/", prefix=True, sort_order="DESCEND", sort_target="KEY")
    assert [one.key for one in descending.kvs] == [b"py/\xff", b"py/a"]
    page = etcd.range("py/", prefix=True, limit=1)
    assert (page.more, len(page.kvs)) == (True, 1)
    assert {one.key for one in etcd.range(all=True).kvs} >= {b"py/a", b"py/\xff"}
    with pytest.raises(etcd3.errors.ErrKeyNotFound):
        etcd.put("py/none", "", ignore_value=True)
    with pytest.raises(etcd3.errors.ErrFutureRev):
        etcd.range("py/a", revision=1 << 40)
    assert etcd.delete_range("py/", prefix=True, prev_kv=True).deleted == 2
    etcd.compact(first + 1)
    with pytest.raises(etcd3.errors.ErrCompacted):
        etcd.range("py/a", revision=first)


def test_transactions(etcd: etcd3.Client) -> None:
    txn = etcd.Txn()
    txn.If(txn.key("py-t").version == 0)
    txn.Then(txn.put("py-t", "1"))
    txn.Then(txn.range("py-t"))
    txn.Else(txn.delete("py-t"))
    made = txn.commit()
    assert made.succeeded
    assert made.responses[1].response_range.kvs[0].value == b"1"
    assert not txn.commit().succeeded
    assert "kvs" not in etcd.range("py-t")
    etcd.put("py-t", "5")
    for guard, holds in ((txn.key("py-t").value == "5", True), (txn.key("py-t").mod > 1 << 40, False)):
        asked = etcd.Txn()
        asked.If(guard)
        assert bool(asked.commit().succeeded) is holds
    etcd.delete_range("py-t")


def test_leases(etcd: etcd3.Client) -> None:
    with etcd.Lease(ttl=60) as lease:
        etcd.put("py-l", "1", lease=lease.ID)
        assert 50 <= lease.ttl() <= 60
        assert lease.alive()
        assert lease.time_to_live(keys=True).keys == [b"py-l"]
        answer = lease.keepalive_once()
        assert (answer.ID, answer.TTL) == (lease.ID, 60)
    assert "kvs" not in etcd.range("py-l")
    assert etcd.lease_time_to_live(lease.ID).TTL == -1
    with pytest.raises(etcd3.errors.ErrLeaseNotFound):
        etcd.lease_revoke(lease.ID)
    assert etcd.lease_grant(60, ID=4711).ID == 4711
    with pytest.raises(etcd3.errors.ErrLeaseExist):
        etcd.lease_grant(60, ID=4711)
    etcd.lease_revoke(4711)


def test_its_own_locks(etcd: etcd3.Client) -> None:
    """It writes a key of its own and waits for its deletion."""
    with etcd.Lock("py-lock", lock_ttl=60) as lock:
        assert lock.is_acquired
        other = etcd.Lock("py-lock", lock_ttl=60)
        with pytest.raises(EtcdLockAcquireTimeout):
            other.acquire(timeout=0.3)
        waiter = threading.Thread(target=other.acquire)
        waiter.start()
        waiter.join(0.3)  # it looks first and watches then, and would miss a release between
    waiter.join(10)
    assert other.is_acquired
    other.release()
    assert not other.is_acquired


def test_locks_of_the_server(etcd: etcd3.Client) -> None:
    for lease in (51, 52):
        etcd.lease_grant(60, ID=lease)
    assert etcd.lock("py-s", lease=51).key == b"py-s/33"
    turns = []
    waiter = threading.Thread(target=lambda: turns.append(etcd.lock("py-s", lease=52).key))
    waiter.start()
    waiter.join(0.2)
    assert turns == []
    etcd.unlock(b"py-s/33")
    waiter.join(10)
    assert turns == [b"py-s/34"]
    etcd.unlock(b"py-s/34")
    assert etcd.lock("py-s").key.startswith(b"py-s/")
    for lease in (51, 52):
        etcd.lease_revoke(lease)


def test_watches(etcd: etcd3.Client) -> None:
    start = etcd.put("py-w/a", "1").header.revision
    etcd.put("py-w/b", "2")
    etcd.delete_range("py-w/a")
    told = []
    with etcd.Watcher(key="py-w/", prefix=True, start_revision=start, prev_kv=True) as watcher:
        for event in watcher:
            told.append((event.type, event.key, event.value))
            if len(told) == 3:
                assert event.prev_kv.value == b"1"
                break
    put, delete = EventEventType.PUT, EventEventType.DELETE
    assert told == [(put, b"py-w/a", b"1"), (put, b"py-w/b", b"2"), (delete, b"py-w/a", None)]


def test_a_watch_in_the_background(etcd: etcd3.Client) -> None:
    seen, keys = threading.Event(), []
    start = etcd.status().header.revision + 1
    watcher = etcd.Watcher(key="py-bg/", prefix=True, start_revision=start, no_delete=True)

    def note(event: Any) -> None:
        keys.append(event.key)
        seen.set()

    watcher.onEvent(note)
    watcher.runDaemon()
    etcd.put("py-bg/a", "1")
    assert seen.wait(10)
    watcher.stop()
    assert keys == [b"py-bg/a"]
    assert etcd.Watcher(key="py-bg/none").watch_once(timeout=0.2) is None


def test_auth(etcd: etcd3.Client, server: Server) -> None:
    etcd.user_add("root", "secret")
    etcd.role_add("root")
    etcd.user_grant_role("root", "root")
    etcd.user_add("alice", "word")
    etcd.role_add("reader")
    etcd.role_grant_permission("reader", key="py-auth/", prefix=True, permType="READ")
    etcd.user_grant_role("alice", "reader")
    assert etcd.user_get("alice").roles == ["reader"]
    assert sorted(etcd.user_list().users) == ["alice", "root"]
    assert sorted(etcd.role_list().roles) == ["reader", "root"]
    etcd.auth_enable()
    try:
        with pytest.raises(etcd3.errors.ErrUserEmpty):
            etcd.put("py-auth/a", "1")
        with etcd3.Client("127.0.0.1", server.client_port) as alice:
            with pytest.raises(etcd3.errors.ErrAuthFailed):
                alice.auth("alice", "wrong")
            alice.auth("alice", "word")
            assert "kvs" not in alice.range("py-auth/a")
            with pytest.raises(etcd3.errors.ErrPermissionDenied):
                alice.put("py-auth/a", "1")
            with pytest.raises(etcd3.errors.ErrPermissionDenied):
                alice.range("elsewhere")
    finally:
        etcd.auth("root", "secret")
        etcd.put("py-auth/a", "1")
        assert etcd.range("py-auth/a").kvs[0].value == b"1"
        etcd.auth_disable()
