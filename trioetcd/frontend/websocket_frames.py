"""The frames of a WebSocket, the server's side of them (RFC 6455); bytes in, messages out, no I/O.

     0               1               2 ...
     FIN RSV opcode  MASK length     [length, 2 or 8 bytes]  mask, 4 bytes   payload

What breaks the protocol is told to the client in a close frame, in the words of the library that etcd uses for it
(gorilla/websocket), in the order in which that looks at a frame.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final, NamedTuple

_FINAL: Final = 0x80
_RESERVED: Final = 0x70
_MASKED: Final = 0x80
_CONTROL_BYTES_MAX: Final = 125
_PROTOCOL_ERROR: Final = 1002
_TOO_BIG: Final = 1009
_CODES_MAX: Final = 4999
_CODES: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013))
"""The codes that a client may close with, beside those of applications from 3000 on."""


class Opcode(IntEnum):
    """What a frame is."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class FrameError(Exception):
    """The client broke the protocol: `close` is the frame that says so, the last that it is sent."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"a WebSocket was closed with {code}: {reason or 'a message is too large'}")
        self.close = encode_close(code, reason)


class Arrival(NamedTuple):
    """A whole message, or a control frame. A message's opcode is TEXT, also when the client called it binary."""

    opcode: Opcode
    payload: bytes


def encode_frame(opcode: Opcode, payload: bytes) -> bytes:
    """One whole, unmasked frame, as servers send them."""
    size = len(payload)
    if size <= _CONTROL_BYTES_MAX:
        return b"%c%c%b" % (_FINAL | opcode, size, payload)
    if size < 1 << 16:
        return b"%c\x7e%b%b" % (_FINAL | opcode, struct.pack(">H", size), payload)
    return b"%c\x7f%b%b" % (_FINAL | opcode, struct.pack(">Q", size), payload)


def encode_close(code: int | None, reason: str = "") -> bytes:
    """A close frame; without a code it is empty."""
    return encode_frame(Opcode.CLOSE, b"" if code is None else struct.pack(">H", code) + reason.encode())


def answer_close(payload: bytes) -> bytes:
    """The close frame that answers one of the client's: its code and nothing more. Raises FrameError."""
    if len(payload) < 2:
        return encode_close(None)
    code: int = struct.unpack(">H", payload[:2])[0]
    if code not in _CODES and not 3000 <= code <= _CODES_MAX:
        raise FrameError(_PROTOCOL_ERROR, "invalid close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(_PROTOCOL_ERROR, "invalid utf8 payload in close frame") from None
    return encode_close(code)


class FrameReader:
    """Takes frames apart. `feed` what arrives, then `take` until it gives None."""

    def __init__(self, *, message_bytes_max: int) -> None:
        self._message_bytes_max = message_bytes_max
        self._buffer = bytearray()
        self._message = bytearray()  # whose frames are arriving
        self._in_message = False

    def feed(self, data: bytes | bytearray) -> None:
        """Keep what was received; at most one message and one receive are kept."""
        self._buffer += data

    def take(self) -> Arrival | None:
        """The next message or control frame; None when it is not whole yet. Raises FrameError."""
        while (frame := self._take_frame()) is not None:
            final, opcode, payload = frame
            if opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION):
                return Arrival(opcode, payload)
            self._message += payload
            self._in_message = not final
            if final:
                message = bytes(self._message)
                self._message.clear()
                return Arrival(Opcode.TEXT, message)
        return None

    def _take_frame(self) -> tuple[bool, Opcode, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        first, second = buffer[0], buffer[1]
        opcode = self._check(first, second & ~_MASKED)
        size, start = second & ~_MASKED, 2
        if size > _CONTROL_BYTES_MAX:
            width = 2 if size == _CONTROL_BYTES_MAX + 1 else 8
            if len(buffer) < start + width:
                return None
            size, start = int.from_bytes(buffer[2 : 2 + width], "big"), 2 + width
        if not second & _MASKED:
            raise FrameError(_PROTOCOL_ERROR, "incorrect mask flag")
        if len(self._message) + size > self._message_bytes_max:
            raise FrameError(_TOO_BIG, "")
        end = start + 4 + size
        if len(buffer) < end:
            return None
        payload = _unmask(bytes(buffer[start + 4 : end]), bytes(buffer[start : start + 4]))
        del buffer[:end]
        return bool(first & _FINAL), opcode, payload

    def _check(self, first: int, size: int) -> Opcode:
        """The opcode of a frame whose first two bytes have arrived. Raises FrameError."""
        if reserved := first & _RESERVED:
            raise FrameError(_PROTOCOL_ERROR, f"unexpected reserved bits {reserved:#x}")
        number = first & 0x0F
        if number not in Opcode.__members__.values():
            raise FrameError(_PROTOCOL_ERROR, f"unknown opcode {number}")
        opcode = Opcode(number)
        if opcode >= Opcode.CLOSE:
            if size > _CONTROL_BYTES_MAX:
                raise FrameError(_PROTOCOL_ERROR, "control frame length > 125")
            if not first & _FINAL:
                raise FrameError(_PROTOCOL_ERROR, "control frame not final")
        elif opcode is Opcode.CONTINUATION:
            if not self._in_message:
                raise FrameError(_PROTOCOL_ERROR, "continuation after final message frame")
        elif self._in_message:
            raise FrameError(_PROTOCOL_ERROR, "message start before final message frame")
        return opcode


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """The payload as it was meant. As numbers: a megabyte takes a millisecond, byte by byte a tenth of a second."""
    size = len(payload)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")
