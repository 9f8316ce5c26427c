"""What other members are asked before a first start, and what they may answer."""

from __future__ import annotations

import pytest
import trio

from trioetcd.peer.members import BadMembers, decode_members, encode_members
from trioetcd.peer.remote import JOIN_SECONDS, fetch_cluster
from trioetcd.storage.members import Member

MEMBERS = (
    Member(7, "m7", ("http://m7:2380",), ("http://m7:2379",)),
    Member(2**64 - 1, "", ("http://m8:2380", "http://m8:2381"), (), True),
)


@pytest.mark.parametrize(
    "other",
    [
        *(b"{}", b'{"message":"no"}', b"[1]", b'[{"clientURLs":["x"]}]', b"", b"null", b"[" * 9999),
        *(b'[{"id":"7"}]', b'[{"id":true}]', b'[{"id":7,"name":1}]', b'[{"id":7,"peerURLs":"x"}]'),
        b'[{"id":7,"clientURLs":[1]}]',
        b"[]",  # a member that has nothing of the log yet
    ],
)
async def test_who_tells_no_members_is_passed_over(autojump_clock, cluster, nursery, other: bytes) -> None:
    for number, body in ((1, other), (2, encode_members(MEMBERS))):
        listener = cluster.network.host(f"m{number}").listen(cluster.url(number))
        nursery.start_soon(trio.serve_listeners, _answer(body), [listener])
    urls = [cluster.url(1), cluster.url(2)]
    asked = await fetch_cluster(cluster.network.host("new"), urls, each_seconds=JOIN_SECONDS)
    assert asked is not None
    assert asked.members == MEMBERS
    assert (asked.cluster_id, asked.version) == (0xC1, None)


async def test_nobody_answers(autojump_clock, cluster) -> None:
    began = trio.current_time()
    cluster.network.host("m1").listen(cluster.url(1))  # accepts, and says nothing
    urls = [cluster.url(1), cluster.url(2)]
    assert await fetch_cluster(cluster.network.host("new"), urls, each_seconds=JOIN_SECONDS) is None
    assert trio.current_time() - began == JOIN_SECONDS


async def test_a_member_tells_its_cluster(autojump_clock, cluster) -> None:
    node = await cluster.add(1, peers=[1])
    node.handler.listed = MEMBERS
    asked = await fetch_cluster(cluster.network.host("new"), [node.url], each_seconds=JOIN_SECONDS)
    assert asked == (0xC1, MEMBERS, "3.5.1")


def test_members_as_json_are_those_of_etcd() -> None:
    assert encode_members(MEMBERS) == (
        b'[{"id":7,"peerURLs":["http://m7:2380"],"name":"m7","clientURLs":["http://m7:2379"]},'
        b'{"id":18446744073709551615,"peerURLs":["http://m8:2380","http://m8:2381"],"name":"","clientURLs":[],'
        b'"isLearner":true}]\n'
    )
    assert decode_members(encode_members(MEMBERS)) == MEMBERS
    assert decode_members(b'[{"id":9,"peerURLs":null,"new":{}}]') == (Member(9),)
    with pytest.raises(BadMembers, match="number as its id"):
        decode_members(b'[{"id":1.5}]')


def _answer(body: bytes):
    async def serve(stream) -> None:
        await stream.receive_some()
        head = b"HTTP/1.1 200 OK\r\nX-Etcd-Cluster-ID: c1\r\nContent-Length: %d\r\n\r\n" % len(body)
        await stream.send_all(head + body)

    return serve
