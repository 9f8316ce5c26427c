from __future__ import annotations

import errno
import json
import os

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from trioetcd.http11 import ClientConnection
from trioetcd.peer.framing import encode_frame
from trioetcd.peer.listener import PeerListener
from trioetcd.raft.types import Message, MessageType

GOOD = {
    "X-Server-From": "2",
    "X-Raft-To": "1",
    "X-Etcd-Cluster-ID": "c1",
    "X-Server-Version": "3.5.1",
    "X-Min-Cluster-Version": "3.0.0",
    "X-PeerURLs": "http://m2:2380",
}
UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


async def ask(cluster, method, path, fields=None, body=b"", to=1):
    """A request to member 1 from a stranger's connection."""
    stream = await cluster.network.host("stranger").dial(cluster.url(to))
    connection = ClientConnection(stream, host="m1")
    headers = [(name.encode(), value.encode()) for name, value in (fields or {}).items() if value is not None]
    response = await connection.request(method, path, headers, body)
    await connection.aclose()
    return response


async def ask_stream(cluster, changes, path="/raft/stream/append/2"):
    return await ask(cluster, "GET", path, {**GOOD, **UPGRADE, **changes})


@pytest.fixture
async def one(cluster):
    return await cluster.add(1, peers=[1, 2], removed=[9])


STREAM_REFUSALS = [
    ({"X-Server-Version": None}, 412, b"incompatible version"),
    ({"X-Server-Version": "2.3.8"}, 412, b"incompatible version"),
    ({"X-Min-Cluster-Version": "3.6.0"}, 412, b"incompatible version"),
    ({"X-Etcd-Cluster-ID": "c2"}, 412, b"cluster ID mismatch"),
    ({"X-Etcd-Cluster-ID": None}, 412, b"cluster ID mismatch"),
    ({"X-Etcd-Cluster-ID": "c2", "X-Server-Version": "2.3.8"}, 412, b"incompatible version"),
    ({"X-Raft-To": "3"}, 412, b"to field mismatch"),
    ({"X-Raft-To": None}, 412, b"to field mismatch"),
    ({"X-Server-From": "9"}, 410, b"removed member"),
    ({"X-Server-From": "7"}, 404, b"error sender not found"),
    ({"X-Server-From": None}, 404, b"error sender not found"),
    ({"X-Server-From": "xyz"}, 400, b"bad header"),
    ({"X-Server-From": "1" * 17}, 400, b"bad header"),
    ({"X-Server-Version": "three"}, 400, b"bad header"),
    ({"X-Server-Version": "2.3.\xff"}, 412, b"incompatible version"),
    ({"Upgrade": None}, 426, b"this path is a WebSocket"),
]


@pytest.mark.parametrize(("changes", "status", "reason"), STREAM_REFUSALS)
async def test_streams_are_refused_with_the_reason(autojump_clock, cluster, one, changes, status, reason) -> None:
    response = await ask_stream(cluster, changes)
    assert (response.status, response.body) == (status, reason + b"\n")
    assert response.headers[b"x-etcd-cluster-id"] == b"c1"


@pytest.mark.parametrize("path", ["/raft/stream/append/3", "/raft/stream/append/zz"])
async def test_a_stream_for_another_than_the_sender_is_refused(autojump_clock, cluster, one, path) -> None:
    response = await ask_stream(cluster, {}, path)
    assert (response.status, response.body) == (404, b"invalid from\n")


MESSAGE_REFUSALS = [
    ({"X-Server-Version": "2.3.8"}, 412, b"incompatible version"),
    ({"X-Etcd-Cluster-ID": "c2"}, 412, b"cluster ID mismatch"),
    ({"X-Raft-To": "3"}, 412, b"to field mismatch"),
    ({"X-Server-From": "9"}, 403, b"cannot process message from removed member"),
    ({"X-Server-From": "7", "X-PeerURLs": None}, 404, b"error sender not found"),
    ({"X-Server-From": "7", "X-PeerURLs": "gopher://x:1,http://y:port"}, 404, b"error sender not found"),
]


@pytest.mark.parametrize("path", ["/raft", "/raft/snapshot"])
@pytest.mark.parametrize(("changes", "status", "reason"), MESSAGE_REFUSALS)
async def test_messages_and_snapshots_are_refused_with_the_reason(
    autojump_clock, cluster, one, path, changes, status, reason, make
) -> None:
    frame = encode_frame([make.beat(1, to=1, from_=2)])
    response = await ask(cluster, "POST", path, {**GOOD, **changes}, frame)
    assert (response.status, response.body) == (status, reason + b"\n")
    assert one.handler.received == []
    assert one.handler.sinks == []


async def test_refusals_are_counted_each_and_logged_at_a_bounded_rate(autojump_clock, cluster, one) -> None:
    for _ in range(50):
        await ask_stream(cluster, {"X-Etcd-Cluster-ID": "c2"})
    assert one.listener.refused_requests == 50
    [entry] = [e for e in cluster.capture.entries if e["event"] == "refused a request of a peer"]
    assert entry["reason"] == "cluster ID mismatch"
    assert entry["detail"] == "it is of cluster c2, not c1"


async def test_a_good_post_is_stepped(autojump_clock, cluster, one, make) -> None:
    message = make.beat(1, to=1, from_=2)
    response = await ask(cluster, "POST", "/raft", GOOD, encode_frame([message]))
    assert (response.status, response.body) == (204, b"")
    assert one.handler.received == [message]


async def test_a_damaged_post_is_refused(autojump_clock, cluster, one) -> None:
    response = await ask(cluster, "POST", "/raft", GOOD, b"\x92\x01\xc0")
    assert (response.status, response.body) == (400, b"error unmarshalling raft message\n")
    assert one.transport.counters()[0].received_failures == 1


async def test_a_snapshot_message_without_its_state_is_dropped(autojump_clock, cluster, one, make) -> None:
    response = await ask(cluster, "POST", "/raft", GOOD, encode_frame([make.snap(to=1, from_=2)]))
    assert response.status == 204
    assert one.handler.received == []
    assert one.transport.inbox.refused_messages == 1


def with_length(frame: bytes, length: int | None = None) -> bytes:
    return (len(frame) if length is None else length).to_bytes(8, "big") + frame


async def test_bodies_of_snapshots_are_checked(autojump_clock, cluster, one, make) -> None:
    frame = encode_frame([make.snap(to=1, from_=2)])
    cases = {
        b"": (400, b"error unmarshalling raft message\n"),
        with_length(frame, 2**40): (400, b"error unmarshalling raft message\n"),
        with_length(frame, len(frame) + 1): (400, b"error unmarshalling raft message\n"),
        with_length(encode_frame([make.beat(1, to=1)])): (400, b"wrong raft message type\n"),
        with_length(encode_frame([Message(MessageType.SNAP, 1, 2)])): (400, b"wrong raft message type\n"),
        with_length(encode_frame([make.snap(to=3, from_=2)])): (412, b"a snapshot for another member, or from none\n"),
    }
    for body, (status, reason) in cases.items():
        response = await ask(cluster, "POST", "/raft/snapshot", GOOD, body)
        assert (response.status, response.body) == (status, reason)
    assert one.handler.sinks == []
    response = await ask(cluster, "POST", "/raft/snapshot", GOOD, with_length(frame) + b"the state, cut")
    assert response.status == 500
    assert one.handler.sinks[0].aborted
    assert one.handler.received == []


async def test_a_large_snapshot_that_is_refused_at_once_still_gets_its_answer(
    autojump_clock, cluster, one, make
) -> None:
    two = await cluster.add(2, peers=[1, 2], cluster_id=0xC2)
    two.handler.state = [bytes(100_000)] * 100
    two.transport.send([make.snap(to=1, from_=2)])
    await trio.sleep(10)
    assert two.handler.snapshots == [(1, False)]
    [entry] = [e for e in cluster.capture.entries if "did not reach" in e["event"]]
    assert entry["reason"] == "refused with status 412: cluster ID mismatch"


async def test_other_paths(autojump_clock, cluster, one) -> None:
    assert (await ask(cluster, "GET", "/")).body == b"404 page not found\n"
    assert (await ask(cluster, "GET", "/v3/kv/put")).status == 404
    assert (await ask(cluster, "GET", "/members/")).status == 404
    assert (await ask(cluster, "GET", "/raft/stream/other/2")).body == b"invalid path\n"
    refused = await ask(cluster, "GET", "/raft")
    assert (refused.status, refused.headers[b"allow"]) == (405, b"POST")
    version = await ask(cluster, "GET", "/version")
    assert version.body == b'{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}'
    assert (await ask(cluster, "GET", "/members")).body == b"[]\n"
    probe = await ask(cluster, "GET", "/raft/probing")
    assert probe.body == b'{"OK":true,"Now":"2023-11-14T22:13:20Z"}\n'


async def test_hash_kv(autojump_clock, cluster, one) -> None:
    response = await ask(cluster, "GET", "/members/hashkv", body=b'{"revision":41}')
    assert json.loads(response.body) == {"header": {"revision": 61}, "hash": 42, "compact_revision": 41}
    for body in (b"", b"[]", b'{"revision":"41"}', b'{"revision":true}', b"[" * 60_000):
        refused = await ask(cluster, "GET", "/members/hashkv", body=body)
        assert (refused.status, refused.body) == (400, b"error unmarshalling request\n")


async def test_a_downgrade_is_told(cluster, one) -> None:
    response = await ask(cluster, "GET", "/downgrade/enabled")
    assert (response.status, response.body) == (200, b"true")
    assert response.headers[b"content-type"] == b"text/plain"
    assert (await ask(cluster, "POST", "/downgrade/enabled", body=b"")).status == 405


async def test_what_is_not_http_is_refused_and_harms_nobody(autojump_clock, cluster, one) -> None:
    stream = await cluster.network.host("stranger").dial(cluster.url(1))
    await stream.send_all(b"\x16\x03\x01 not http\r\n\r\n")
    assert await stream.receive_some() == b"", "as the multiplexer in front of etcd's server does"
    assert (await ask(cluster, "GET", "/version")).status == 200


async def test_a_silent_connection_is_closed(autojump_clock, cluster, one) -> None:
    stream = await cluster.network.host("stranger").dial(cluster.url(1))
    assert await stream.receive_some() == b""


async def test_two_clusters_never_talk(autojump_clock, cluster, one, make) -> None:
    stranger = await cluster.add(2, peers=[1, 2], cluster_id=0xC2)
    one.transport.send([make.beat(1)])
    stranger.transport.send([make.beat(1, to=1, from_=2)])
    await trio.sleep(3)
    assert one.handler.received == stranger.handler.received == []
    assert not one.is_active(2)
    assert not stranger.is_active(1)
    reasons = {e["reason"] for e in cluster.capture.entries if "could not be set up" in e["event"]}
    assert "refused with status 412: cluster ID mismatch" in reasons


async def test_a_removed_member_is_told_by_streams_and_by_the_pipeline(autojump_clock, cluster, one, make) -> None:
    nine = await cluster.add(9, peers=[1, 9])
    await trio.sleep(0.05)
    assert nine.handler.told_removed_by == [1, 1]
    nine.transport.send([make.beat(1, to=1, from_=9)])
    await trio.sleep(0.01)
    assert nine.handler.told_removed_by == [1, 1, 1]
    assert one.handler.received == []


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Gives out what it was given, raising what is an error; then nothing more."""

    def __init__(self, *coming) -> None:
        self.coming = list(coming)

    async def accept(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        if not self.coming:
            return await trio.sleep_forever()
        one = self.coming.pop(0)
        if isinstance(one, OSError):
            raise one
        return one

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def listening(one, listener) -> PeerListener:
    log = structlog.wrap_logger(None, processors=[LogCapture()])
    parts = {"transport": one.transport, "handler": one.handler, "wall_clock": lambda: 0.0, "log": log}
    return PeerListener(listeners=[listener], **parts)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ECONNABORTED, errno.EPROTO])
async def test_a_peer_that_was_not_accepted_does_not_end_the_listener(autojump_clock, nursery, one, number) -> None:
    listener = Listener(*[OSError(number, "not now")] * 3)
    await nursery.start(listening(one, listener).run)
    await trio.sleep(1)
    assert not listener.coming


async def test_a_listener_that_is_broken_ends_the_member(autojump_clock, one) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="gone"), flatten_subgroups=True):
        await listening(one, Listener(OSError(errno.EBADF, "gone"))).run()


async def test_a_connection_that_broke_before_it_is_served_ends_alone(one) -> None:
    ours, theirs = trio.socket.socketpair()
    broken = trio.SocketStream(ours)
    reader, writer = os.pipe()
    os.dup2(reader, ours.fileno())  # no call on the socket succeeds any more
    async with trio.open_nursery() as nursery:
        await nursery.start(listening(one, Listener(broken)).run)
        async with trio.SocketStream(theirs) as client:
            assert await client.receive_some() == b""
        await trio.testing.wait_all_tasks_blocked()
        assert not nursery.cancel_scope.cancel_called
        nursery.cancel_scope.cancel()
    assert broken.socket.fileno() == -1
    os.close(reader)
    os.close(writer)
