from __future__ import annotations

import trio

from trioetcd.peer.pipeline import PIPELINE_QUEUE_CAPACITY, WORKERS


async def remote_pair(cluster):
    """One knows two as a member; two has not heard of one, so that no stream can stand."""
    two = await cluster.add(2, peers=[2])
    one = await cluster.add(1, peers=[1, 2])
    return one, two


async def test_without_streams_messages_are_posted(autojump_clock, cluster, make) -> None:
    one, two = await remote_pair(cluster)
    one.transport.send([make.app(1), make.beat(2)])
    assert {m.commit or m.index for m in await two.handler.wait_received(2)} == {1, 2}
    assert not one.is_active(2)
    assert one.handler.unreachable == []


async def test_a_sender_that_is_not_known_yet_is_answered(autojump_clock, cluster, make) -> None:
    one, two = await remote_pair(cluster)
    one.transport.send([make.app(1)])
    await two.handler.wait_received(1)
    two.transport.send([make.beat(3, to=1, from_=2)])
    assert await one.handler.wait_received(1) == [make.beat(3, to=1, from_=2)]
    assert two.transport.status().peers == ()  # it is no member for that
    assert len(cluster.messages(2, "answering a member")) == 1


async def test_a_full_pipeline_drops_and_reports(autojump_clock, cluster, make) -> None:
    one = await cluster.add(1, peers=[1, 2])
    cluster.network.host("m2").listen(cluster.url(2))  # where nobody ever answers
    one.transport.send([make.beat(index) for index in range(PIPELINE_QUEUE_CAPACITY + WORKERS + 5)])
    assert one.handler.unreachable == [2]
    [counters] = one.transport.counters()
    assert counters.dropped_messages == WORKERS + 5


async def test_what_cannot_be_posted_is_reported_and_logged_once(autojump_clock, cluster, make) -> None:
    one = await cluster.add(1, peers=[1, 2])
    for _ in range(5):
        one.transport.send([make.beat(1)])
        await trio.sleep(1)
    assert one.handler.unreachable == [2] * 5
    assert len(cluster.messages(1, "cannot be posted")) == 1
    [counters] = one.transport.counters()
    assert counters.sent_failures == 5


async def test_a_peer_that_takes_the_connection_and_is_silent_is_given_up(autojump_clock, cluster, make) -> None:
    one = await cluster.add(1, peers=[1, 2])
    cluster.network.host("m2").listen(cluster.url(2))
    one.transport.send([make.beat(1)])
    await trio.sleep(6)
    assert one.handler.unreachable == [2]
    [entry] = [e for e in cluster.capture.entries if "cannot be posted" in e["event"]]
    assert entry["reason"] == "nothing came for 5 s"
