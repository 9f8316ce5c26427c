"""The answer to an upgrade in any form and any pieces: what follows it is read from its first byte, or not at all."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
import trio
import trio.testing

from trioetcd.peer.errors import PeerFailure, PeerRefused
from trioetcd.peer.framing import HEARTBEAT_FRAME
from trioetcd.peer.guarded import GuardedStream
from trioetcd.peer.websocket import run_client_stream, run_server_stream

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
FRAMES = [b"first", b"", bytes(range(256)) * 2, b"a head's end\r\n\r\nin a frame"]


def on_the_wire(frame: bytes) -> bytes:
    size = bytes([len(frame)]) if len(frame) < 126 else b"\x7e" + len(frame).to_bytes(2, "big")
    return b"\x82" + size + frame


def upgraded(
    request: bytes, *, status_line: bytes = b"HTTP/1.1 101 Switching Protocols", end: bytes = b"\r\n"
) -> bytes:
    found = re.search(rb"(?i)sec-websocket-key: (\S+)", request)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
    fields = [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + accept]
    return end.join([status_line, *fields, b"", b""])


async def talk(answer) -> tuple[list[bytes], Exception | None]:
    """What a client reads from a server that sends the pieces of `answer(request)`; and how it ends."""
    ours, theirs = trio.testing.memory_stream_pair()
    got: list[bytes] = []
    ends: list[Exception | None] = [None]

    async def use(frames) -> None:
        while True:
            got.append(await frames.receive())

    async def client() -> None:
        stream = GuardedStream(ours, receive_seconds=5, send_seconds=5)
        try:
            await run_client_stream(stream, host="h", target="/t", headers=[], use=use)
        except PeerFailure as failure:
            ends[0] = failure

    async with trio.open_nursery() as nursery:
        nursery.start_soon(client)
        for piece in answer(await theirs.receive_some()):
            try:
                await theirs.send_all(piece)
            except trio.BrokenResourceError:
                break
            await trio.testing.wait_all_tasks_blocked()
        await theirs.aclose()
    return got, ends[0]


async def test_an_answer_and_its_frames_are_read_wherever_they_are_cut() -> None:
    sent = b"".join(map(on_the_wire, FRAMES))
    for cut in range(1, 180):
        got, _ = await talk(
            lambda request, cut=cut: [(upgraded(request) + sent)[:cut], (upgraded(request) + sent)[cut:]]
        )
        assert got == FRAMES, f"cut at {cut}"
    got, _ = await talk(lambda request: [bytes([one]) for one in upgraded(request) + sent])
    assert got == FRAMES


@pytest.mark.parametrize("status_line", [b"HTTP/1.1 101", b"HTTP/1.1 101 ", b"HTTP/1.1 101 \xe4", b"HTTP/1.0 101 Yes"])
async def test_the_frames_in_one_piece_with_an_unusual_answer_are_not_lost(status_line) -> None:
    got, _ = await talk(
        lambda request: [upgraded(request, status_line=status_line) + b"".join(map(on_the_wire, FRAMES))]
    )
    assert got == FRAMES


async def test_an_answer_whose_end_is_not_seen_here_is_none() -> None:
    """h11 takes bare line feeds, and would take the frames behind them for itself."""
    got, failure = await talk(lambda request: [upgraded(request, end=b"\n") + on_the_wire(b"frame")])
    assert got == []
    assert "does not end as HTTP has it" in str(failure)


async def test_an_interim_answer_is_a_refusal() -> None:
    got, failure = await talk(lambda request: [b"HTTP/1.1 100 Continue\r\n\r\n" + upgraded(request)])
    assert got == []
    assert isinstance(failure, PeerRefused)


async def test_a_refusal_without_end_is_cut_off() -> None:
    """It costs neither memory nor time, however fast it comes."""
    sent = [0]

    def answer(_request):
        yield b"HTTP/1.1 503 No\r\nContent-Length: 1000000000\r\n\r\n"
        for _ in range(100):
            sent[0] += 30_000
            yield b"x" * 30_000

    got, failure = await talk(answer)
    assert got == []
    assert "more than 65536 bytes of a WebSocket handshake came" in str(failure)
    assert sent[0] < 200_000


async def test_a_server_reads_what_comes_with_the_request() -> None:
    """Nothing may: a reader of a stream has nothing to say."""
    ours, theirs = trio.testing.memory_stream_pair()
    got: list[bytes] = []

    async def use(frames) -> None:
        got.append(await frames.receive())

    request = (
        b"GET /t HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await theirs.send_all(request + on_the_wire(HEARTBEAT_FRAME))
    await run_server_stream(GuardedStream(ours, receive_seconds=5, send_seconds=5), headers=[], use=use)
    assert got == [HEARTBEAT_FRAME]
