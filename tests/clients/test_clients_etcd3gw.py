"""etcd3gw, the client of OpenStack, against a member and against a real etcd: the same tests pass on both."""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Iterator

import pytest
import requests
from etcd3gw import Etcd3Client, client
from etcd3gw.exceptions import Etcd3Exception
from etcd3gw.utils import _encode as encoded

from tests.conformance.servers import Server

pytestmark = [
    pytest.mark.process,
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # it leaves sockets of watches to the collector
]


@pytest.fixture
def etcd(server: Server) -> Iterator[Etcd3Client]:
    with requests.Session() as session:
        yield client(host="127.0.0.1", port=server.client_port, timeout=10, session=session)


def test_status_and_members(etcd: Etcd3Client, server: Server) -> None:
    assert etcd.status()["version"].startswith("3.5.")
    (member,) = etcd.members()
    assert (member["name"], member["clientURLs"]) == ("m1", [f"http://127.0.0.1:{server.client_port}"])


def test_the_version_tells_it_which_path_to_take(server: Server) -> None:
    with requests.Session() as session:
        found = client(host="127.0.0.1", port=server.client_port, api_path=None, session=session)
        assert found.api_path == "/v3/"


def test_keys(etcd: Etcd3Client) -> None:
    assert etcd.put("gw/a", "1")
    assert etcd.put(b"gw/\xff", b"\x00\xff")
    assert etcd.get("gw/a") == [b"1"]
    assert etcd.get("gw/none") == []
    ((value, kept),) = etcd.get("gw/a", metadata=True)
    assert (value, kept["key"], kept["version"]) == (b"1", b"gw/a", "1")
    assert etcd.get(b"gw/\xff") == [b"\x00\xff"]
    etcd.put("gw/b", "2")
    found = etcd.get_prefix("gw/", sort_order="descend", sort_target="create")
    assert [one["key"] for _, one in found] == [b"gw/b", b"gw/\xff", b"gw/a"]
    assert etcd.get("gw/a", range_end="gw/z", limit=1, keys_only=True) == [b""]
    assert {one["key"] for _, one in etcd.get_all()} >= {b"gw/a", b"gw/b", b"gw/\xff"}
    assert etcd.delete("gw/a")
    assert not etcd.delete("gw/a")
    assert etcd.delete_prefix("gw/")
    assert etcd.get_prefix("gw/") == []


def test_transactions(etcd: Etcd3Client) -> None:
    assert etcd.create("gw-t", "1")
    assert not etcd.create("gw-t", "2")
    assert etcd.replace("gw-t", "1", "3")
    assert not etcd.replace("gw-t", "1", "4")
    assert etcd.get("gw-t") == [b"3"]
    key = encoded("gw-t")
    result = etcd.transaction(
        {
            "compare": [{"key": key, "result": "GREATER", "target": "VERSION", "version": 1}],
            "success": [{"request_range": {"key": key}}, {"request_delete_range": {"key": key, "prev_kv": True}}],
        }
    )
    assert result["succeeded"]
    assert result["responses"][1]["response_delete_range"]["deleted"] == "1"


def test_leases(etcd: Etcd3Client) -> None:
    lease = etcd.lease(ttl=60)
    assert etcd.put("gw-l", "1", lease=lease)
    assert etcd.create("gw-m", "1", lease=lease)
    assert 50 <= lease.ttl() <= 60
    assert lease.refresh() == 60
    assert sorted(lease.keys()) == [b"gw-l", b"gw-m"]
    assert lease.revoke()
    assert etcd.get("gw-l") == []
    assert lease.refresh() == -1
    assert lease.ttl() == -1
    with pytest.raises(Etcd3Exception) as refused:
        etcd.put("gw-l", "1", lease=lease)
    assert "requested lease not found" in str(refused.value.detail_text)


def test_locks(etcd: Etcd3Client) -> None:
    with etcd.lock("gw-lock", ttl=60) as lock:
        assert lock.is_acquired()
        assert lock.refresh() == 60
        other = etcd.lock("gw-lock", ttl=60)
        assert not other.acquire()
        assert not other.is_acquired()
    assert not lock.is_acquired()
    assert other.acquire()
    assert other.release()
    assert not other.release()


def test_watches(etcd: Etcd3Client) -> None:
    events, cancel = etcd.watch_prefix("gw-w/")
    etcd.put("gw-w/a", "1")
    etcd.put("gw-w/a", "2")
    etcd.delete("gw-w/a")
    told = [next(events) for _ in range(3)]
    assert [(one.get("type", "PUT"), one["kv"].get("value")) for one in told] == [
        ("PUT", b"1"),
        ("PUT", b"2"),
        ("DELETE", None),
    ]
    cancel()
    start = int(told[0]["kv"]["mod_revision"])
    again, cancel = etcd.watch("gw-w/a", start_revision=start, prev_kv=True, filters=["NODELETE"])
    assert [next(again)["kv"]["value"] for _ in range(2)] == [b"1", b"2"]
    cancel()


def test_a_watch_for_one_event(etcd: Etcd3Client) -> None:
    told: queue.Queue[object] = queue.Queue()
    waiter = threading.Thread(target=lambda: told.put(etcd.watch_once("gw-once", timeout=10)))
    waiter.start()
    while told.empty():  # it cannot be asked whether its watch has begun
        etcd.put("gw-once", "1")
        waiter.join(0.05)
    event = told.get()
    assert isinstance(event, dict)
    assert event["kv"]["value"] == b"1"
    waiter.join()


def test_auth(etcd: Etcd3Client, server: Server) -> None:
    """It knows no users; who has a token gives it a session with that field."""
    post = etcd.post
    post(etcd.get_url("/auth/user/add"), json={"name": "root", "password": "secret"})
    post(etcd.get_url("/auth/role/add"), json={"name": "root"})
    post(etcd.get_url("/auth/user/grant"), json={"user": "root", "role": "root"})
    post(etcd.get_url("/auth/enable"), json={})
    with pytest.raises(Etcd3Exception) as refused:
        etcd.put("gw-auth", "1")
    assert "user name is empty" in str(refused.value.detail_text)
    answer = post(etcd.get_url("/auth/authenticate"), json={"name": "root", "password": "secret"})
    with requests.Session() as session:
        session.headers["Authorization"] = answer["token"]
        authorized = client(host="127.0.0.1", port=server.client_port, session=session)
        assert authorized.put("gw-auth", "1")
        assert authorized.get("gw-auth") == [b"1"]
        events, cancel = authorized.watch("gw-auth", start_revision=1)
        assert base64.b64encode(next(events)["kv"]["value"]) == b"MQ=="
        cancel()
        authorized.post(authorized.get_url("/auth/disable"), json={})
    assert etcd.get("gw-auth") == [b"1"]
