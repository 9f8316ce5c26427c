"""What a dying, broken or hostile peer can do to a stream: it ends, with a reason, and is dialled again."""

from __future__ import annotations

from contextlib import suppress
from itertools import product

import pytest
import trio
import trio.testing

from trioetcd.node.protocols import PeerInfo
from trioetcd.peer.errors import PeerFailure
from trioetcd.peer.framing import FRAME_BYTES_MAX, HEARTBEAT_FRAME, decode_frame, encode_frame
from trioetcd.peer.guarded import GuardedStream
from trioetcd.peer.headers import PeerIdentity, write_headers
from trioetcd.peer.websocket import FrameStream, run_client_stream, run_server_stream


async def serve(listener, behave) -> None:
    """A server that does `behave` to each connection."""

    async def one(stream) -> None:
        try:
            await behave(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    await trio.serve_listeners(one, [listener])


def reason_of(cluster) -> str:
    [entry] = [e for e in cluster.capture.entries if "could not be set up" in e["event"]]
    return entry["reason"]


async def raw(stream, answer: bytes) -> None:
    await stream.receive_some()
    await stream.send_all(answer)


RAW_ANSWERS = [
    (b"", "closed the connection"),
    (b"HTTP/1.1 101 Switching", "closed the connection"),
    (b"\x00\x01garbage\r\n\r\n", "was lost (LocalProtocolError"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "refused with status 200: hi"),
    (b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n", "refused with status 410"),
    (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", "refused with status 503: no"),
    (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n", "hand"),
]


@pytest.mark.parametrize(("answer", "reason"), RAW_ANSWERS)
async def test_a_handshake_that_fails_is_tried_again(autojump_clock, cluster, nursery, answer, reason) -> None:
    listener = cluster.network.host("m2").listen(cluster.url(2))
    nursery.start_soon(serve, listener, lambda stream: raw(stream, answer))
    one = await cluster.add(1, peers=[1, 2])
    await trio.sleep(0.35)
    assert reason in reason_of(cluster)
    assert cluster.network.dials >= 7  # two streams each tenth of a second, not a deadline later
    assert one.handler.told_removed_by == []


async def test_a_server_that_never_answers_is_given_up(autojump_clock, cluster) -> None:
    cluster.network.host("m2").listen(cluster.url(2))
    await cluster.add(1, peers=[1, 2])
    await trio.sleep(6)
    assert reason_of(cluster).endswith("nothing came for 5 s")


# As they are on the wire, WebSocket's heads included.
BAD_FRAMES = [
    (b"\x82\x03\x92\x01\xc0", "a damaged frame came"),
    (b"\x82\x00", "a damaged frame came"),
    (b"\x82" + bytes([len(HEARTBEAT_FRAME) + 1]) + HEARTBEAT_FRAME + b"\0", "a damaged frame came"),
    (b"\x81\x04text", "began with 8104"),
    (b"\x02\x01a", "began with 0201"),  # the first of several fragments
    (b"\x82\x81mask" + HEARTBEAT_FRAME, "began with 8281"),
    (b"\x89\x00", "began with 8900"),  # a ping
    (b"\x88\x02\x03\xe8", "began with 8802"),  # a close
    (b"\xc2\x01a", "began with c201"),  # compressed, which was not agreed on
    (b"\x82\x7f" + (FRAME_BYTES_MAX + 1).to_bytes(8, "big"), f"a frame of {FRAME_BYTES_MAX + 1} bytes came"),
    (b"\x82\x7f" + b"\xff" * 8, "bytes came: at most"),
]


@pytest.mark.parametrize(("frame", "reason"), BAD_FRAMES)
async def test_a_damaged_frame_ends_the_stream_with_the_reason(
    autojump_clock, cluster, nursery, make, frame, reason
) -> None:
    good = make.beat(1, to=1, from_=2)

    async def use(frames) -> None:
        await frames.send(encode_frame([good]))
        await frames._stream.send_all(frame)  # what the public method would not send
        await frames.send(encode_frame([good]))
        await frames.receive()

    async def behave(stream) -> None:
        guarded = GuardedStream(stream, receive_seconds=100, send_seconds=5)
        try:
            await run_server_stream(guarded, headers=[], use=use)
        except Exception as error:  # noqa: BLE001 # kept to be looked at
            ended.append(error)

    ended = []
    listener = cluster.network.host("m2").listen(cluster.url(2))
    nursery.start_soon(serve, listener, behave)
    one = await cluster.add(1, peers=[1, 2])
    await one.handler.wait_received(2)  # one each stream
    await trio.sleep(0.05)
    assert len(one.handler.received) == 2
    [entry] = [e for e in cluster.capture.entries if "became inactive" in e["event"]]
    assert reason in entry["reason"]
    assert len(ended) == 3  # two streams, and the probe, which was no WebSocket
    await one.handler.wait_received(4)  # dialled again


@pytest.mark.parametrize("cut", range(0, 400, 23))
async def test_a_stream_that_breaks_anywhere_is_dialled_again(autojump_clock, cluster, nursery, make, cut) -> None:
    """The proxy between the members resets the first connections after `cut` bytes from the server."""
    two = await cluster.add(2, peers=[1, 2])
    proxy = cluster.network.host("proxy")
    listener = proxy.listen("http://proxy:1")
    left = [4]

    async def forward(source, target, limit) -> None:
        sent = 0
        while data := await source.receive_some(1 if limit else None):
            await target.send_all(data)
            sent += len(data)
            if limit is not None and sent >= limit:
                cluster.network.drop_connections("proxy", "m2")
                cluster.network.drop_connections("m1", "proxy")
                return

    async def behave(stream) -> None:
        limit = cut if left[0] > 0 else None
        left[0] -= 1
        upstream = await proxy.dial(cluster.url(2))
        try:
            async with trio.open_nursery() as inner:
                inner.start_soon(forward, stream, upstream, None)
                await forward(upstream, stream, limit)
                inner.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(upstream)

    nursery.start_soon(serve, listener, behave)
    one = await cluster.add(1, peers=[1, 2])
    one.transport.reconcile([PeerInfo(2, ("http://proxy:1",))], [])
    while not one.is_active(2):
        two.transport.send([make.beat(1, to=1, from_=2)] * 3)
        await trio.sleep(0.1)
    await trio.sleep(2)
    one.handler.received.clear()
    two.transport.send([make.beat(5, to=1, from_=2)])
    assert await one.handler.wait_received(1) == [make.beat(5, to=1, from_=2)]


@pytest.mark.parametrize(
    ("size", "piece_bytes"),
    [*product([0, 1, 125, 126, 127], [1, 7, 65_536]), *product([65_535, 65_536, 300_000], [4_099, 65_536])],
)
async def test_frames_of_any_size_arrive_whole_in_any_pieces(size, piece_bytes) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    guard = {"receive_seconds": 5, "send_seconds": 5}
    reader = FrameStream(GuardedStream(ours, **guard), response_headers={}, received=b"")
    wire = bytearray()
    sent = [bytes([number]) * size for number in range(3)]

    async def write() -> None:
        ours_too, wire_end = trio.testing.memory_stream_pair()
        writer = FrameStream(GuardedStream(ours_too, **guard), response_headers={}, received=b"")
        for frame in sent:
            await writer.send(frame)
        await ours_too.send_eof()
        while data := await wire_end.receive_some():
            wire.extend(data)
        for start in range(0, len(wire), piece_bytes):
            await theirs.send_all(wire[start : start + piece_bytes])
            await trio.testing.wait_all_tasks_blocked()
        await theirs.send_eof()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        assert [await reader.receive() for _ in sent] == sent
        with pytest.raises(PeerFailure, match="closed the connection"):
            await reader.receive()


async def test_frames_that_come_with_the_handshake_are_not_lost(autojump_clock, cluster, nursery, make) -> None:
    """In one piece with the answer to the upgrade, or cut anywhere."""
    good = [make.beat(number, to=1, from_=2) for number in range(3)]

    class Together:
        """A stream that holds what is sent until there is much of it, then sends it in one piece."""

        def __init__(self, stream) -> None:
            self._stream = stream
            self._held = b""

        def __getattr__(self, name):
            return getattr(self._stream, name)

        async def send_all(self, data) -> None:
            self._held += bytes(data)
            if len(self._held) > 200:
                held, self._held = self._held, b""
                await self._stream.send_all(held)

    async def use(frames) -> None:
        for message in good:
            await frames.send(encode_frame([message]))
        await frames.send(encode_frame([make.beat(9, to=1, from_=2)] * 50))
        await frames.receive()

    async def behave(stream) -> None:
        guarded = GuardedStream(stream, receive_seconds=100, send_seconds=5, send_through=Together(stream))
        with suppress(PeerFailure):
            await run_server_stream(guarded, headers=[], use=use)

    listener = cluster.network.host("m2").listen(cluster.url(2))
    nursery.start_soon(serve, listener, behave)
    one = await cluster.add(1, peers=[1, 2])
    received = await one.handler.wait_received(2 * (len(good) + 50))
    assert all(received.count(message) == 2 for message in good), "one each stream"


async def test_a_reader_that_talks_back_loses_its_stream(autojump_clock, cluster) -> None:
    one = await cluster.add(1, peers=[1, 2])
    headers = write_headers(PeerIdentity(2, 0xC1, "3.5.1", "3.0.0"), to=1)

    async def use(frames) -> None:
        await frames.send(HEARTBEAT_FRAME)
        await frames.receive()

    stream = GuardedStream(await cluster.network.host("m2").dial(one.url), receive_seconds=9, send_seconds=9)
    with pytest.raises(PeerFailure, match="closed the connection"):
        await run_client_stream(stream, host="m1", target="/raft/stream/append/2", headers=headers, use=use)


async def test_a_newer_stream_takes_the_place_of_the_older(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    headers = write_headers(PeerIdentity(2, 0xC1, "3.5.1", "3.0.0"), to=1)
    two.scope.cancel()
    got = []

    async def use(frames) -> None:
        one.transport.send([make.app(1)])
        got.extend(decode_frame(await frames.receive()))

    stream = GuardedStream(await cluster.network.host("m2").dial(one.url), receive_seconds=9, send_seconds=9)
    await run_client_stream(stream, host="m1", target="/raft/stream/append/2", headers=headers, use=use)
    assert got == [make.app(1)]


async def test_a_bug_in_the_handler_ends_the_member(autojump_clock, start_cluster, make) -> None:
    """Only what peers do is forgiven: what the member itself does wrong takes it down."""

    def process(_) -> None:
        raise ZeroDivisionError("a bug")

    async def run_members() -> None:
        async with trio.open_nursery() as nursery:
            cluster = start_cluster(nursery)
            one, two = await cluster.pair()
            two.handler.process = process
            one.transport.send([make.app(1)])
            await trio.sleep(10)

    with pytest.raises(BaseExceptionGroup) as caught:
        await run_members()
    assert caught.group_contains(ZeroDivisionError)
