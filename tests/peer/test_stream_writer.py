"""What one stream to a peer does when its socket is full, breaks, or cannot be written without waiting."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trioetcd.peer.framing import decode_frame
from trioetcd.peer.guarded import GuardedStream
from trioetcd.peer.headers import PeerIdentity, write_headers
from trioetcd.peer.stream import HEARTBEAT_SECONDS, StreamWriter
from trioetcd.peer.websocket import run_client_stream
from trioetcd.raft.types import Entry, Message, MessageType

LARGE_BYTES = 600_000
HEADERS = write_headers(PeerIdentity(2, 0xC1, "3.5.1", "3.0.0"), to=1)


def large(index: int) -> Message:
    """More than a socket takes at once, here and in the kernel's default."""
    return Message(MessageType.APP, 2, 1, term=1, index=index, entries=(Entry(1, index + 1, data=bytes(LARGE_BYTES)),))


def indexes(messages) -> list[int]:
    return [message.index for message in messages]


class Reader:
    """The other end of a stream that is not written to over the network of the cluster."""

    def __init__(self) -> None:
        self.received: list[Message] = []
        self.frames = 0

    async def run(self, stream: trio.abc.Stream, *, pause_seconds: float = 0.0) -> None:
        async def use(frames) -> None:
            while True:
                self.received += decode_frame(await frames.receive())
                self.frames += 1
                await trio.sleep(pause_seconds)

        guarded = GuardedStream(stream, receive_seconds=100, send_seconds=5)
        await run_client_stream(guarded, host="m1", target="/raft/stream/append/2", headers=HEADERS, use=use)


async def test_what_follows_a_rest_waits_for_it_and_keeps_its_order(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    cluster.network.partition("m1", "m2")
    sent = [large(1), make.app(2), make.app(3), large(4), make.app(5)]
    for message in sent:
        one.transport.send([message])
        await trio.sleep(HEARTBEAT_SECONDS / 4)  # a sign of life is due in between
    cluster.network.heal()
    assert indexes(await two.handler.wait_received(len(sent))) == indexes(sent)
    assert one.handler.unreachable == []
    one.transport.send([make.app(6)])
    await trio.testing.wait_all_tasks_blocked()
    assert two.handler.received[len(sent) :] == [make.app(6)], "it goes on as before"


async def test_a_message_that_comes_while_a_sign_of_life_is_being_sent_follows_it(
    autojump_clock, cluster, make
) -> None:
    """The socket took a part of the sign, and the task waits with the rest of it."""
    one, two = await cluster.pair()
    writer = one.transport.peer(2)._writers
    [append] = [stream for kind, stream in writer.items() if kind.value == "append"]
    cluster.network.partition("m1", "m2")
    pipe = append._frames._stream._send_stream._sends
    pipe.data += bytes(256 * 1024 - 2)  # room for two bytes
    append._woken.set()
    await trio.testing.wait_all_tasks_blocked()
    del pipe.data[: 256 * 1024 - 2]  # there is room again, and the task does not know yet
    one.transport.send([make.app(1)])
    cluster.network.heal()
    assert await two.handler.wait_received(1) == [make.app(1)]
    assert one.is_active(2)


async def test_a_stream_that_broke_is_reported_once_and_not_within_the_round_that_sends(
    autojump_clock, cluster, make
) -> None:
    one, _ = await cluster.pair()
    cluster.network.drop_connections("m1", "m2")
    one.transport.send([large(1), large(2), make.app(3)])
    one.transport.send([make.app(4)])
    assert one.handler.unreachable == []
    await trio.testing.wait_all_tasks_blocked()
    assert one.handler.unreachable == [2]
    [counters] = one.transport.counters()
    assert counters.dropped_messages == 4
    assert counters.sent_failures == 1


async def test_a_stream_that_is_replaced_loses_its_rest_and_says_so_once(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    cluster.network.partition("m1", "m2")
    one.transport.send([large(1), make.app(2)])
    await trio.testing.wait_all_tasks_blocked()
    got = []

    async def use(frames) -> None:
        assert one.handler.unreachable == [2]
        one.transport.send([make.app(3), make.app(4)])
        got.extend(decode_frame(await frames.receive()))

    stream = GuardedStream(await cluster.network.host("elsewhere").dial(one.url), receive_seconds=9, send_seconds=9)
    await run_client_stream(stream, host="m1", target="/raft/stream/append/2", headers=HEADERS, use=use)
    assert got == [make.app(3), make.app(4)]
    [counters] = one.transport.counters()
    assert counters.dropped_messages == 2
    assert two.handler.received == []


@pytest.fixture
async def link(cluster):
    one = await cluster.add(1, peers=[1, 2])
    return one.transport.peer(2).link


async def test_what_waits_for_the_upgrade_leaves_with_it(autojump_clock, link, nursery, make) -> None:
    writer, reader = StreamWriter(link=link), Reader()
    ours, theirs = trio.testing.memory_stream_pair()
    assert writer.mailbox.put(make.app(1))
    writer.send_now()
    assert len(writer.mailbox) == 1
    nursery.start_soon(writer.run, GuardedStream(ours, receive_seconds=100, send_seconds=5))
    await trio.testing.wait_all_tasks_blocked()
    assert writer.mailbox.put(make.app(2))
    writer.send_now()
    nursery.start_soon(reader.run, theirs)
    await trio.testing.wait_all_tasks_blocked()
    assert reader.received == [make.app(1), make.app(2)]
    assert reader.frames == 1


async def test_a_stream_that_must_wait_keeps_all_in_order(autojump_clock, link, nursery, make) -> None:
    """As TLS does: nothing of it is sent in the turn in which it was made."""
    writer, reader = StreamWriter(link=link), Reader()
    ours, theirs = trio.testing.lockstep_stream_pair()  # whose every send waits for who receives it
    nursery.start_soon(writer.run, GuardedStream(ours, receive_seconds=100, send_seconds=5))
    nursery.start_soon(lambda: reader.run(theirs, pause_seconds=HEARTBEAT_SECONDS / 3))
    await trio.testing.wait_all_tasks_blocked()
    sent = [large(0), *map(make.app, range(1, 20))]
    for message in sent:
        assert writer.mailbox.put(message)
        writer.send_now()
        await trio.sleep(HEARTBEAT_SECONDS / 4)
    await trio.sleep(20 * HEARTBEAT_SECONDS)
    assert indexes(reader.received) == indexes(sent)
    assert reader.frames > len(sent) // 2


async def test_a_frame_of_many_megabytes_passes_in_slices(autojump_clock, cluster) -> None:
    one, two = await cluster.pair()
    message = Message(MessageType.APP, 2, 1, term=1, index=1, entries=(Entry(1, 2, data=bytes(60_000_000)),))
    one.transport.send([message])
    [received] = await two.handler.wait_received(1)
    assert received.entries[0].data == message.entries[0].data
    assert one.handler.unreachable == []
