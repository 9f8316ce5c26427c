from __future__ import annotations

from dataclasses import replace

import pytest
import trio
import trio.testing

from trioetcd.node.protocols import PeerInfo
from trioetcd.peer.errors import PeerFailure, PeerGone
from trioetcd.peer.link import FORWARDS_SECONDS, IO_SECONDS
from trioetcd.peer.stream import HEARTBEAT_SECONDS, STREAM_QUEUE_CAPACITY, StreamKind
from trioetcd.peer.transport import COMPANY_SECONDS
from trioetcd.raft.types import Entry, Message, MessageType


async def test_messages_arrive_in_order_and_a_burst_is_one_frame(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    burst = [make.app(index) for index in range(100)]
    one.transport.send(burst)
    assert await two.handler.wait_received(100) == burst
    assert two.handler.bursts == [100]
    two.transport.send([make.beat(7, to=1, from_=2)])
    assert await one.handler.wait_received(1) == [make.beat(7, to=1, from_=2)]


async def test_appends_and_the_rest_take_streams_of_their_own(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    dials = cluster.network.dials
    one.transport.send([make.app(1), make.beat(1), make.app(2)])
    await two.handler.wait_received(3)
    assert sorted(two.handler.bursts) == [1, 2]
    assert cluster.network.dials == dials  # no pipeline was needed


async def test_what_tells_of_a_commit_alone_leaves_with_the_next_entries(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    one.transport.send([make.commit(1)])
    one.transport.send([make.commit(2)])
    await trio.testing.wait_all_tasks_blocked()
    assert not two.handler.received
    one.transport.send([make.app(2)])
    assert await two.handler.wait_received(1) == [make.app(2)], "it says what they said"


async def test_what_tells_of_a_commit_alone_leaves_within_two_milliseconds(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    begin = trio.current_time()
    one.transport.send([make.commit(1)])
    assert await two.handler.wait_received(1) == [make.commit(1)]
    assert COMPANY_SECONDS <= trio.current_time() - begin < 2 * COMPANY_SECONDS


async def test_who_forwards_proposals_hears_of_commits_at_once(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    two.transport.send([Message(MessageType.PROP, 1, 2)])
    await one.handler.wait_received(1)
    begin = trio.current_time()
    one.transport.send([make.commit(1)])
    await two.handler.wait_received(1)
    assert trio.current_time() == begin
    await trio.sleep(FORWARDS_SECONDS)
    one.transport.send([make.commit(2)])
    await trio.testing.wait_all_tasks_blocked()
    assert len(two.handler.received) == 1


async def test_an_idle_stream_is_kept_alive(autojump_clock, cluster) -> None:
    await cluster.pair()
    await trio.sleep(5)  # until the probers, which began before the other listened, stand too
    dials = cluster.network.dials
    await trio.sleep(600)
    assert cluster.network.dials == dials
    assert len(cluster.messages(1, "became active")) == len(cluster.messages(2, "became active")) == 1
    assert not cluster.messages(1, "inactive")


async def test_a_lost_connection_is_dialled_again_within_a_tenth_of_a_second(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    cluster.network.drop_connections("m1", "m2")
    await trio.sleep(0.15)
    assert one.is_active(2)
    one.transport.send([make.app(1)])
    assert await two.handler.wait_received(1) == [make.app(1)]
    for member in (1, 2):
        assert len(cluster.messages(member, "became inactive")) == 1
        assert len(cluster.messages(member, "became active")) == 2


async def test_a_silent_peer_becomes_inactive_once_and_active_again(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    cluster.network.partition("m1", "m2")
    await trio.sleep(60)
    assert not one.is_active(2)
    assert not two.is_active(1)
    cluster.network.heal()
    await trio.sleep(5)
    assert one.is_active(2)
    one.transport.send([make.app(1)])
    await two.handler.wait_received(1)
    for member in (1, 2):
        assert len(cluster.messages(member, "became inactive")) == 1
        assert len(cluster.messages(member, "became active")) == 2


async def test_a_peer_that_is_not_there_is_logged_once_with_the_reason(autojump_clock, cluster) -> None:
    await cluster.add(1, peers=[1, 2])
    await trio.sleep(60)
    entries = [e for e in cluster.capture.entries if "could not be set up" in e["event"]]
    assert [e["reason"] for e in entries] == ["http://m2:2380 cannot be reached: nobody listens at http://m2:2380"]
    assert cluster.network.dials > 1000


async def test_a_full_queue_reports_the_peer_unreachable(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    one.transport.send([make.app(index) for index in range(STREAM_QUEUE_CAPACITY + 10)])
    assert one.handler.unreachable == [2]
    await two.handler.wait_received(STREAM_QUEUE_CAPACITY)
    [counters] = one.transport.counters()
    assert counters.dropped_messages == 10


async def test_a_large_burst_is_cut_into_frames(autojump_clock, cluster) -> None:

    one, two = await cluster.pair()
    entry = Entry(1, 1, data=bytes(300_000))
    one.transport.send([Message(MessageType.APP, 2, 1, index=index, entries=(entry,)) for index in range(10)])
    received = await two.handler.wait_received(10)
    assert [message.index for message in received] == list(range(10))
    assert two.handler.bursts == [3, 3, 3, 1]


async def test_messages_for_others_are_not_stepped(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    peer = one.transport.peer(2)
    for message in (make.beat(1, to=3), make.beat(2, from_=9), make.beat(3)):
        peer.send(message)
    peer.send_due()
    assert await two.handler.wait_received(1) == [make.beat(3)]
    assert two.transport.inbox.refused_messages == 2
    assert len(cluster.messages(2, "dropped a message from a peer")) == 2


async def test_peers_are_added_moved_and_dropped_while_it_runs(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    one.handler.members.add(3)
    one.transport.reconcile([PeerInfo(2, (two.url,)), PeerInfo(3, (cluster.url(3),))], [])
    three = await cluster.add(3, peers=[1, 3])
    await trio.sleep(1)
    assert one.is_active(3)
    one.transport.reconcile([PeerInfo(3, ("http://nowhere:1", cluster.url(3)))], [2])
    one.handler.removed.add(2)
    await trio.sleep(1)
    assert [peer.id for peer in one.transport.status().peers] == [3]
    one.transport.send([make.app(1), make.app(2, to=3)])
    assert await three.handler.wait_received(1) == [make.app(2, to=3)]
    assert two.handler.received == []
    cluster.network.drop_connections("m1", "m3")
    await trio.sleep(1)
    assert one.is_active(3)  # the second of its URLs


async def test_stopping_a_member_never_hangs_and_the_other_goes_on(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    cluster.network.partition("m1", "m2")
    one.transport.send([make.app(1)])
    before = trio.current_time()
    two.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert trio.current_time() == before
    cluster.network.heal()
    await trio.sleep(10)
    assert not one.is_active(2)
    [entry] = [e for e in cluster.capture.entries if e["event"].endswith("became inactive")]
    assert entry["reason"] == "the other side closed the connection"


async def test_what_was_queued_on_a_stream_that_falls_is_reported(autojump_clock, cluster, make) -> None:
    one, _ = await cluster.pair()
    cluster.network.drop_connections("m1", "m2")
    one.transport.send([make.app(1), make.beat(2)])
    await trio.sleep(0.05)
    assert one.handler.unreachable
    assert set(one.handler.unreachable) == {2}


async def test_messages_to_nobody_are_dropped_and_logged_once(autojump_clock, cluster, make) -> None:
    one, _ = await cluster.pair()
    one.transport.send([make.app(1, to=5)] * 10)
    assert len(cluster.messages(1, "unknown peer")) == 1
    assert one.handler.unreachable == []


async def test_counters_are_kept(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    before = one.transport.counters()[0].sent_bytes, two.transport.counters()[0].received_bytes
    one.transport.send([make.app(1)])
    await two.handler.wait_received(1)
    after = one.transport.counters()[0].sent_bytes, two.transport.counters()[0].received_bytes
    assert after[0] > before[0]
    assert after[1] > before[1]
    cluster.network.drop_connections("m1", "m2")
    await trio.sleep(1)
    assert one.transport.counters()[0].disconnections == 1


async def test_a_peer_that_takes_nothing_is_given_up(autojump_clock, cluster) -> None:
    one, two = await cluster.pair()
    cluster.network.partition("m1", "m2")
    entry = Entry(1, 1, data=bytes(1_000_000))
    one.transport.send([Message(MessageType.APP, 2, 1, index=index, entries=(entry,)) for index in range(4)])
    await trio.sleep(4.9)
    assert one.handler.unreachable == []
    await trio.sleep(0.2)
    assert one.handler.unreachable == [2]
    [counters] = one.transport.counters()
    assert counters.dropped_messages == 4
    cluster.network.heal()
    await trio.sleep(2)
    assert two.handler.received == []
    assert two.is_active(1)


async def test_a_peer_whose_address_refuses_connections_is_gone(autojump_clock, cluster) -> None:
    one, two = await cluster.pair()
    one.handler.gone.clear()  # as it was before it listened
    two.scope.cancel()
    await trio.sleep(0.15)
    assert one.handler.gone
    assert set(one.handler.gone) == {2}
    seen = len(one.handler.gone)
    await trio.sleep(1)
    assert len(one.handler.gone) > seen, "it is told again while it is so"


async def test_a_peer_that_was_only_cut_off_is_not_gone(autojump_clock, cluster) -> None:
    one, _ = await cluster.pair()
    one.handler.gone.clear()  # as it was before it listened
    cluster.network.partition("m1", "m2")
    cluster.network.drop_connections("m1", "m2")
    await trio.sleep(10)
    assert not one.is_active(2)
    assert not one.handler.gone


async def test_a_peer_that_one_of_two_addresses_refuses_is_not_gone(autojump_clock, cluster) -> None:
    one, two = await cluster.pair()
    one.handler.gone.clear()  # as it was before it listened
    one.transport.reconcile([PeerInfo(2, (two.url, "http://m2:9999"))], ())
    cluster.network.partition("m1", "m2")  # a dial of the first waits in vain, one of the second is refused
    cluster.network.drop_connections("m1", "m2")
    await trio.sleep(10)
    assert not one.handler.gone


async def test_a_peer_is_not_gone_while_a_stream_from_it_stands(autojump_clock, cluster) -> None:
    one, two = await cluster.pair()
    one.handler.gone.clear()  # as it was before it listened
    cluster.network.close_listener(two.url)
    link = one.transport.peer(2).link
    with pytest.raises(PeerGone):
        await link.connect()
    await trio.sleep(1)
    assert one.is_active(2)
    assert not one.handler.gone


async def test_each_commit_has_its_own_two_milliseconds(autojump_clock, cluster, make) -> None:
    """While entries follow each other faster than that, nothing leaves for a commit alone."""
    one, two = await cluster.pair()
    for index in range(1, 20):
        one.transport.send([make.app(index)])
        one.transport.send([make.commit(index)])
        await trio.sleep(COMPANY_SECONDS * 0.9)
    await trio.testing.wait_all_tasks_blocked()
    assert two.handler.received == [make.app(index) for index in range(1, 20)]
    await trio.sleep(COMPANY_SECONDS * 0.2)
    assert await two.handler.wait_received(20) == [*(make.app(index) for index in range(1, 20)), make.commit(19)]


async def test_commits_for_several_peers_leave_each_at_its_time(autojump_clock, cluster, make) -> None:
    one = await cluster.add(1, peers=[1, 2, 3])
    others = [await cluster.add(number, peers=[1, number]) for number in (2, 3)]
    await trio.sleep(1)
    arrived_after = {}

    async def note(other, since) -> None:
        await other.handler.wait_received(1)
        arrived_after[other.id] = trio.current_time() - since

    async with trio.open_nursery() as nursery:
        for other in others:
            one.transport.send([make.commit(1, to=other.id)])
            nursery.start_soon(note, other, trio.current_time())
            await trio.sleep(COMPANY_SECONDS * 0.6)
    assert arrived_after == pytest.approx({2: COMPANY_SECONDS, 3: COMPANY_SECONDS}, rel=0.01)


async def test_a_commit_takes_no_company_of_other_peers(autojump_clock, cluster, make) -> None:
    one = await cluster.add(1, peers=[1, 2, 3])
    two, three = [await cluster.add(number, peers=[1, number]) for number in (2, 3)]
    await trio.sleep(1)
    one.transport.send([make.commit(1, to=2), make.app(1, to=3)])
    await three.handler.wait_received(1)
    await trio.testing.wait_all_tasks_blocked()
    assert not two.handler.received


async def test_a_commit_for_a_peer_without_a_stream_is_posted_at_once(autojump_clock, cluster, make) -> None:
    one = await cluster.add(1, peers=[1, 2])
    listener = cluster.network.host("m2").listen(cluster.url(2))
    one.transport.send([make.commit(1)])
    requests = []
    with trio.move_on_after(COMPANY_SECONDS / 2):
        while b"POST" not in b"".join(requests):
            requests.append(await (await listener.accept()).receive_some())
    assert requests[-1].startswith(b"POST /raft ")


async def test_a_peer_is_not_gone_while_one_of_its_two_streams_stands(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    one.handler.gone.clear()  # as it was before it listened
    cluster.network.close_listener(two.url)
    two.transport.peer(1)._writers[StreamKind.APPEND].stop()
    await trio.sleep(1)
    assert one.is_active(2)
    assert not one.handler.gone
    two.transport.peer(1)._writers[StreamKind.MESSAGE].stop()
    await trio.sleep(1)
    assert one.handler.gone


async def test_a_commit_of_an_earlier_term_makes_no_room_for_entries_of_a_later(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    later = replace(make.app(2), term=2)
    one.transport.send([make.commit(1), later])
    assert await two.handler.wait_received(2) == [make.commit(1), later]


async def test_silence_is_noticed_also_on_a_stream_that_was_heard_before(autojump_clock, cluster) -> None:
    one, _ = await cluster.pair()
    await trio.sleep(10 * HEARTBEAT_SECONDS)
    cluster.network.partition("m1", "m2")
    await trio.sleep(IO_SECONDS - HEARTBEAT_SECONDS - 0.1)
    assert one.is_active(2)
    await trio.sleep(HEARTBEAT_SECONDS + 0.2)
    assert not one.is_active(2)
    [entry] = [e for e in cluster.capture.entries if e["event"].endswith("became inactive") and e["member"] == 1]
    assert entry["reason"] == f"nothing came for {IO_SECONDS:g} s"


class Answers:
    """A network in which each dial ends as the test says next."""

    def __init__(self) -> None:
        self.next = "refused"
        self.dialled: list[str] = []

    async def dial(self, url: str) -> trio.abc.Stream:
        self.dialled.append(url)
        if self.next == "silence":
            await trio.sleep_forever()
        if self.next == "refused":
            raise ConnectionRefusedError("nobody listens")
        return trio.testing.memory_stream_pair()[0]


@pytest.mark.parametrize("between", ["silence", "connected"])
async def test_a_refusal_counts_until_its_address_is_tried_again(autojump_clock, cluster, between) -> None:
    """It is gone when every address refused when last it was tried; silence there, or any success, ends that."""
    dialer = Answers()
    node = await cluster.add(1, peers=[1], dialer=dialer)
    node.transport.reconcile([PeerInfo(2, ("http://a:1", "http://b:1"))], ())
    link = node.transport.peer(2).link
    node.transport.peer(2).stop()  # the test alone dials

    async def connect(how) -> type | None:
        dialer.next = how
        try:
            await link.connect()
        except PeerFailure as failure:
            return type(failure)
        return None

    assert await connect("refused") is PeerFailure, "of the other address nothing is known"
    assert await connect("refused") is PeerGone
    await connect(between)
    assert await connect("refused") is PeerFailure
    assert await connect("refused") is PeerGone
