"""Frames taken apart and put together, and the words for those that break the protocol (as etcd's library has them)."""

from __future__ import annotations

import time

import pytest

from trioetcd.frontend.websocket_frames import (
    Arrival,
    FrameError,
    FrameReader,
    Opcode,
    answer_close,
    encode_close,
    encode_frame,
)

MASK = b"\x01\x02\x03\x04"


def frame(first: int, payload: bytes, *, mask: bytes = MASK) -> bytes:
    """A frame as a client sends it."""
    size = len(payload)
    flag = 0x80 if mask else 0
    if size < 126:
        head = bytes([first, flag | size])
    elif size < 1 << 16:
        head = bytes([first, flag | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, flag | 127]) + size.to_bytes(8, "big")
    return head + mask + bytes(byte ^ (mask or b"\0")[index % len(mask or b"\0")] for index, byte in enumerate(payload))


def read(*pieces: bytes, message_bytes_max: int = 1 << 20) -> list[Arrival]:
    reader = FrameReader(message_bytes_max=message_bytes_max)
    found = []
    for piece in pieces:
        reader.feed(piece)
        while (arrival := reader.take()) is not None:
            found.append(arrival)
    return found


@pytest.mark.parametrize("size", [0, 1, 5, 125, 126, 65_535, 65_536])
def test_sizes_and_cuts(size: int) -> None:
    payload = bytes(index % 251 for index in range(size))
    data = frame(0x81, payload) + frame(0x82, payload)
    expected = [Arrival(Opcode.TEXT, payload)] * 2
    assert read(data) == expected
    assert read(*(data[start : start + 997] for start in range(0, len(data), 997))) == expected
    if size < 200:
        assert read(*(data[index : index + 1] for index in range(len(data)))) == expected


def test_a_message_in_frames_with_a_ping_between() -> None:
    data = frame(0x01, b"ab") + frame(0x89, b"?") + frame(0x00, b"cd") + frame(0x80, b"e")
    assert read(data) == [Arrival(Opcode.PING, b"?"), Arrival(Opcode.TEXT, b"abcde")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(0x81, b"x", mask=b""), "incorrect mask flag"),
        (frame(0xC1, b"x"), "unexpected reserved bits 0x40"),
        (frame(0x83, b"x"), "unknown opcode 3"),
        (frame(0x89, b"x" * 126), "control frame length > 125"),
        (frame(0x09, b"x"), "control frame not final"),
        (frame(0x80, b"x"), "continuation after final message frame"),
        (frame(0x01, b"x") + frame(0x81, b"y"), "message start before final message frame"),
    ],
)
def test_what_breaks_the_protocol(data: bytes, reason: str) -> None:
    with pytest.raises(FrameError, match=reason) as caught:
        read(data)
    assert caught.value.close == encode_close(1002, reason)


def test_what_is_too_large_is_refused_before_it_has_come() -> None:
    start = frame(0x01, b"x" * 60) + frame(0x80, b"x" * 60)[:6]
    with pytest.raises(FrameError, match="too large") as caught:
        read(start, message_bytes_max=100)
    assert caught.value.close == encode_close(1009)


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (b"", b"\x88\x00"),
        (b"\x03", b"\x88\x00"),
        (b"\x03\xe8", b"\x88\x02\x03\xe8"),
        (b"\x03\xe9bye", b"\x88\x02\x03\xe9"),
        (b"\x0f\xa0", b"\x88\x02\x0f\xa0"),
    ],
)
def test_a_close_is_answered_with_its_code(payload: bytes, answer: bytes) -> None:
    assert answer_close(payload) == answer


@pytest.mark.parametrize("payload", [b"\x03\xed", b"\x27\x0f", b"\x03\xe8\xff"])
def test_a_close_with_nonsense(payload: bytes) -> None:
    with pytest.raises(FrameError, match="close"):
        answer_close(payload)


@pytest.mark.parametrize(
    ("size", "head"), [(3, b"\x81\x03"), (126, b"\x81\x7e\0\x7e"), (1 << 16, b"\x81\x7f" + b"\0" * 5 + b"\x01\0\0")]
)
def test_frames_of_the_server(size: int, head: bytes) -> None:
    assert encode_frame(Opcode.TEXT, b"x" * size) == head + b"x" * size


def test_a_message_of_many_frames_costs_no_more_the_longer_it_gets() -> None:
    """Whoever may connect may send them; with the length counted anew for each, 50,000 took half a minute."""
    began = time.process_time()
    data = frame(0x01, b"a") + frame(0x00, b"") * 50_000 + frame(0x80, b"z")
    assert read(data) == [Arrival(Opcode.TEXT, b"az")]
    assert time.process_time() - began < 5
