"""A promotion asked of the leader: etcd's path and words, at both ends."""

from __future__ import annotations

import pytest
import trio

from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.http11 import ClientConnection
from trioetcd.node.protocols import ForwardFailed
from trioetcd.peer.promotion import PromotionForwarder
from trioetcd.storage.members import Member

REFUSALS = {
    1: ApiError.of(ErrorKind.MEMBER_NOT_FOUND),
    2: ApiError.of(ErrorKind.MEMBER_NOT_LEARNER),
    3: ApiError.of(ErrorKind.LEARNER_NOT_READY),
    4: ApiError.of(ErrorKind.MEMBER_NOT_ENOUGH_STARTED),
    5: ApiError.of(ErrorKind.UNHEALTHY),
    6: ApiError(Code.UNKNOWN, "something else"),
}


@pytest.fixture
async def pair(cluster):
    one, two = await cluster.pair()
    two.handler.promotion_refusals = REFUSALS
    return PromotionForwarder(transport=one.transport), two


async def post(cluster, rest, *, method="POST", fields=()):
    stream = await cluster.network.host("stranger").dial(cluster.url(2))
    connection = ClientConnection(stream, host="m2")
    response = await connection.request(method, f"/members/promote/{rest}", fields)
    await connection.aclose()
    return response


async def test_the_leader_promotes_and_tells_the_members(pair, autojump_clock):
    forwarder, _ = pair
    assert await forwarder.promote(2, 2**64 - 1) == (Member(2**64 - 1, "promoted", ("http://m:2380",)),)


@pytest.mark.parametrize("number", REFUSALS)
async def test_a_refusal_arrives_as_it_was(pair, autojump_clock, number):
    forwarder, _ = pair
    with pytest.raises(ApiError) as refused:
        await forwarder.promote(2, number)
    assert refused.value == REFUSALS[number]


async def test_who_does_not_lead_or_is_not_there_is_no_answer(pair, autojump_clock):
    forwarder, two = pair
    two.handler.leads = False
    with pytest.raises(ForwardFailed, match="status 500"):
        await forwarder.promote(2, 7)
    with pytest.raises(ForwardFailed, match="no peer"):
        await forwarder.promote(3, 7)
    two.scope.cancel()
    await trio.sleep(1)
    with pytest.raises(ForwardFailed):
        await forwarder.promote(2, 7)


@pytest.mark.parametrize(
    ("rest", "status", "body"),
    [
        ("7", 200, b'[{"id":7,"peerURLs":["http://m:2380"],"name":"promoted","clientURLs":[]}]\n'),
        ("1", 404, b"membership: ID not found\n"),
        ("2", 412, b"membership: can only promote a learner member\n"),
        ("3", 412, b"etcdserver: can only promote a learner member which is in sync with leader\n"),
        ("8e9e", 404, b"member 8e9e not found in cluster\n"),
        ("-1", 404, b"member -1 not found in cluster\n"),
        ("18446744073709551616", 404, b"member 18446744073709551616 not found in cluster\n"),
        ("9" * 30, 404, b"member 999999999999999999999999999999 not found in cluster\n"),
    ],
)
async def test_the_words_are_those_of_etcd(pair, cluster, autojump_clock, rest, status, body):
    response = await post(cluster, rest)
    assert (response.status, response.body) == (status, body)


async def test_what_is_no_such_request(pair, cluster, autojump_clock):
    assert (await post(cluster, "")).status == 404
    assert (await post(cluster, "7", method="GET")).status == 405
    assert (await post(cluster, "7", fields=[(b"X-Etcd-Cluster-ID", b"dead")])).status == 412
