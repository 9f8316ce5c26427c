"""The leader is asked about leases by other members: etcd's paths and messages, and what goes wrong."""

from __future__ import annotations

import pytest
import trio

from trioetcd.api import messages as m
from trioetcd.api import proto_codec
from trioetcd.http11 import ClientConnection
from trioetcd.node.protocols import ForwardFailed
from trioetcd.peer.leases import LeaseForwarder


@pytest.fixture
async def pair(cluster):
    one, two = await cluster.pair()
    two.handler.leases = {7: 60, -7: 9_000_000_000}
    forwarder = LeaseForwarder(transport=one.transport)
    await cluster.nursery.start(forwarder.run)
    return forwarder, two


async def post(cluster, path, body, fields=(), method="POST"):
    stream = await cluster.network.host("stranger").dial(cluster.url(2))
    connection = ClientConnection(stream, host="m2")
    response = await connection.request(method, path, fields, body)
    await connection.aclose()
    return response


async def test_a_keep_alive_reaches_the_leader(pair, autojump_clock):
    forwarder, _ = pair
    assert await forwarder.keep_alive(2, 7) == 60
    assert await forwarder.keep_alive(2, -7) == 9_000_000_000
    assert await forwarder.keep_alive(2, 8) == 0


async def test_keep_alives_that_come_meanwhile_go_together(pair, autojump_clock):
    forwarder, two = pair
    told = []

    async def ask(lease_id):
        told.append((lease_id, await forwarder.keep_alive(2, lease_id)))

    async with trio.open_nursery() as nursery:
        for lease_id in (7, -7, 8) * 1000:
            nursery.start_soon(ask, lease_id)
    assert sorted(told) == sorted([(7, 60), (-7, 9_000_000_000), (8, 0)] * 1000)
    assert sum(two.handler.asked_together) == 3000
    assert len(two.handler.asked_together) <= 4


async def test_who_does_not_wait_any_more_holds_up_nobody(pair, autojump_clock):
    forwarder, _ = pair
    with trio.move_on_after(0) as scope:
        await forwarder.keep_alive(2, 7)
    assert scope.cancelled_caught
    assert await forwarder.keep_alive(2, 7) == 60


@pytest.mark.parametrize("body", [b"", b"{}", b"[1.5]", b"[true]", b"7"])
async def test_a_batch_is_an_array_of_numbers(pair, cluster, autojump_clock, body):
    assert (await post(cluster, "/leases/batch", body)).status == 400


async def test_so_does_a_question_after_the_time_to_live(pair, autojump_clock):
    forwarder, _ = pair
    assert await forwarder.time_to_live(2, m.LeaseTimeToLiveRequest(ID=7)) == m.LeaseTimeToLiveResponse(
        ID=7, TTL=0, grantedTTL=60
    )
    assert (await forwarder.time_to_live(2, m.LeaseTimeToLiveRequest(ID=7, keys=True))).keys == [b"a", b"b"]
    assert await forwarder.time_to_live(2, m.LeaseTimeToLiveRequest(ID=8)) == m.LeaseTimeToLiveResponse(ID=8, TTL=-1)


async def test_one_that_does_not_lead_says_so(pair, autojump_clock):
    forwarder, two = pair
    two.handler.leads = False
    with pytest.raises(ForwardFailed, match="status 400: another member leads"):
        await forwarder.keep_alive(2, 7)
    with pytest.raises(ForwardFailed, match="status 400"):
        await forwarder.time_to_live(2, m.LeaseTimeToLiveRequest(ID=7))


async def test_one_that_is_not_there_is_not_waited_for(pair, cluster, autojump_clock):
    forwarder, two = pair
    with pytest.raises(ForwardFailed, match="no peer"):
        await forwarder.keep_alive(3, 7)
    two.scope.cancel()
    cluster.network.power_off("m2")
    with pytest.raises(ForwardFailed, match="cannot be reached"):
        await forwarder.keep_alive(2, 7)


async def test_one_that_falls_silent_is_given_up(pair, cluster, autojump_clock):
    forwarder, _ = pair
    cluster.network.partition("m1", "m2")
    with trio.fail_after(20), pytest.raises(ForwardFailed):
        await forwarder.keep_alive(2, 7)


async def test_the_paths_speak_as_those_of_etcd(pair, cluster, autojump_clock):
    request = proto_codec.encode(m.LeaseKeepAliveRequest(ID=7))
    answer = await post(cluster, "/leases", request)
    assert (answer.status, answer.headers[b"content-type"]) == (200, b"application/protobuf")
    assert proto_codec.decode(m.LeaseKeepAliveResponse, answer.body) == m.LeaseKeepAliveResponse(ID=7, TTL=60)
    answer = await post(cluster, "/leases/internal", b"\x0a\x02\x08\x07")
    assert answer.body == b"\x0a\x04\x10\x07\x20\x3c"  # field 1: a response with ID 7 and granted TTL 60
    for path in ("/leases", "/leases/internal"):
        answer = await post(cluster, path, b"")
        assert (answer.status, answer.body) == (404, b"lease not found\n")
        assert (await post(cluster, path, b"\xff")).status == 400
        assert (await post(cluster, path, b"x" * 65_537)).status == 413
        assert (await post(cluster, path, b"", method="PUT")).status == 405


async def test_another_cluster_is_refused(pair, cluster, autojump_clock):
    request = proto_codec.encode(m.LeaseKeepAliveRequest(ID=7))
    for fields, reason in (
        ([(b"X-Etcd-Cluster-ID", b"c2")], b"cluster ID mismatch\n"),
        ([(b"X-Raft-To", b"3")], b"to field mismatch\n"),
    ):
        answer = await post(cluster, "/leases", request, fields)
        assert (answer.status, answer.body) == (412, reason)
    assert (await post(cluster, "/leases", request, [(b"X-Raft-To", b"xyz")])).status == 400
