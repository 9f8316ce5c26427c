"""A raw HTTP/1.1 and WebSocket client that hides nothing: it records what a server really sent.

It is written on a plain socket, so that a request can be malformed on purpose and every chunk of an answer is seen as
it was framed. It must not share code with the member that it tests.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

READ_SECONDS_MAX = 5.0


class PeerClosedError(ConnectionError):
    """The server closed the connection where more was expected."""


class WireError(ValueError):
    """The server sent something that is not HTTP/1.1."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer: header names in lower case, in the order of arrival; chunks when it was chunked."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunks: tuple[bytes, ...] | None = None

    def header(self, name: str) -> str | None:
        """The first header of that name (lower case), or None."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass
class Connection:
    """One connection; every read ends within `seconds_max` or raises TimeoutError."""

    address: tuple[str, int]
    seconds_max: float = READ_SECONDS_MAX
    _buffer: bytes = field(default=b"", init=False, repr=False)

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(self.address, timeout=self.seconds_max)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self.socket.sendall(data)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One ordinary request and its answer. A body of None sends neither a body nor its length."""
        self.send(encode_request(method, path, body, headers))
        return self.read_answer(head_only=method == "HEAD")

    def set_deadline(self, seconds: float) -> None:
        """How long a read may wait from now on."""
        self.socket.settimeout(seconds)

    def closed_by_peer(self, seconds: float = 2.0) -> bool:
        """Whether the server ends the connection within `seconds`, having sent nothing more."""
        self.set_deadline(seconds)
        try:
            return self._buffer == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    # ---- reading

    def read_answer(self, *, head_only: bool = False) -> Answer:
        """The next answer, complete. An interim answer (100) is an answer of its own."""
        status, reason, headers = self.read_head()
        lookup = dict(headers)
        if head_only or status in (204, 304) or 100 <= status < 200:
            return Answer(status=status, reason=reason, headers=headers, body=b"")
        if lookup.get("transfer-encoding") == "chunked":
            chunks = []
            while chunk := self.read_chunk():
                chunks.append(chunk)
            body = b"".join(chunks)
            return Answer(status=status, reason=reason, headers=headers, body=body, chunks=tuple(chunks))
        length = lookup.get("content-length")
        body = self._read_to_end() if length is None else self._read_exactly(int(length))
        return Answer(status=status, reason=reason, headers=headers, body=body)

    def read_head(self) -> tuple[int, str, tuple[tuple[str, str], ...]]:
        """Status, reason and headers of the next answer."""
        version, _, rest = self._read_line().decode("latin-1").partition(" ")
        status, _, reason = rest.partition(" ")
        if version not in {"HTTP/1.1", "HTTP/1.0"} or not status.isdigit():
            raise WireError(f"expected a status line, got {version!r} {rest!r}")
        headers = []
        while line := self._read_line().decode("latin-1"):
            name, _, value = line.partition(":")
            headers.append((name.strip().lower(), value.strip()))
        return int(status), reason, tuple(headers)

    def read_chunk(self) -> bytes:
        """The next chunk, b"" after the last (trailers are read and dropped). A timeout loses nothing of it."""
        while b"\r\n" not in self._buffer:
            self._fill()
        head, _, _ = self._buffer.partition(b"\r\n")
        size = int(head.split(b";")[0], 16)
        if size == 0:
            self._buffer = self._buffer[len(head) + 2 :]
            while self._read_line():
                continue
            return b""
        while len(self._buffer) < len(head) + size + 4:
            self._fill()
        _, data, end = self._read_exactly(len(head) + 2), self._read_exactly(size), self._read_exactly(2)
        if end != b"\r\n":
            raise WireError("a chunk does not end with CR LF")
        return data

    def _fill(self) -> None:
        try:
            data = self.socket.recv(1 << 18)
        except ConnectionResetError as reset:
            raise PeerClosedError("connection reset") from reset
        if not data:
            raise PeerClosedError(f"closed after {self._buffer[:80]!r}")
        self._buffer += data

    def _read_line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _read_exactly(self, size: int) -> bytes:
        parts, have = [self._buffer], len(self._buffer)
        while have < size:
            self._buffer = b""
            self._fill()
            parts.append(self._buffer)
            have += len(self._buffer)
        data = b"".join(parts)
        self._buffer = data[size:]
        return data[:size]

    def _read_to_end(self) -> bytes:
        while True:
            try:
                self._fill()
            except PeerClosedError:
                data, self._buffer = self._buffer, b""
                return data


def encode_request(
    method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, *, version: str = "1.1"
) -> bytes:
    """The bytes of a request. `Host` and `Content-Length` are added when not given."""
    lines = {"Host": "etcd.test", **(headers or {})}
    if body is not None and "Transfer-Encoding" not in lines and "Content-Length" not in lines:
        lines["Content-Length"] = str(len(body))
    head = f"{method} {path} HTTP/{version}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode("latin-1") + b"\r\n" + (body or b"")


def encode_chunk(data: bytes) -> bytes:
    """One chunk of a chunked request body; b"" is the end of the body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class BodyStream:
    """A streaming call whose request is one body with a length, as most clients send it; answers arrive as chunks."""

    def __init__(
        self, address: tuple[str, int], path: str, messages: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        self.connection = Connection(address)
        self.head: tuple[int, tuple[tuple[str, str], ...]] | None = None
        self.connection.send(encode_request("POST", path, b"".join(messages), dict(headers or {})))

    def send(self, message: bytes) -> None:
        """Nothing can follow."""
        raise TypeError("a request with a length is complete: use a chunked stream to send more")

    def finish(self) -> None:
        """It has ended before."""

    def take(self, seconds: float = 5.0) -> bytes:
        """The next chunk of the answer. TimeoutError when none comes; b"" at its end."""
        self.connection.set_deadline(seconds)
        if self.head is None:
            status, _, headers = self.connection.read_head()
            self.head = (status, headers)
        if dict(self.head[1]).get("transfer-encoding") != "chunked":
            length = int(dict(self.head[1]).get("content-length", "0"))
            data = self.connection._read_exactly(length)  # an error that came instead of a stream
            self.head = (self.head[0], (*self.head[1], ("content-length", "0")))
            return data
        return self.connection.read_chunk()

    def close(self) -> None:
        self.connection.close()


class ChunkedStream(BodyStream):
    """The same with both directions open: every message is a chunk of the request.

    Go's server answers before the request has ended only when the connection is to be closed after the answer (else it
    reads the request to its end first), so the request says `Connection: close`.
    """

    def __init__(
        self, address: tuple[str, int], path: str, messages: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        framing = {"Transfer-Encoding": "chunked", "Connection": "close"}
        super().__init__(address, path, (), {**(headers or {}), **framing})
        for message in messages:
            self.send(message)

    def send(self, message: bytes) -> None:
        """Send one request message."""
        self.connection.send(encode_chunk(message))

    def finish(self) -> None:
        """End the request body; the answer goes on."""
        self.connection.send(encode_chunk(b""))


class WebSocketStream:
    """The same call over a WebSocket: a message each way is a frame. Written by hand from RFC 6455."""

    def __init__(
        self, address: tuple[str, int], path: str, messages: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        self.connection = Connection(address)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": key,
            **(headers or {}),
        }
        self.connection.send(encode_request("GET", path, None, upgrade))
        status, _, answer = self.connection.read_head()
        self.head: tuple[int, tuple[tuple[str, str], ...]] | None = (status, answer)
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        if status == 101 and dict(answer).get("sec-websocket-accept") != accept:
            raise WireError("the handshake was answered with a wrong Sec-WebSocket-Accept")
        for message in messages:
            self.send(message)

    def send(self, message: bytes) -> None:
        """Send one request message as a text frame."""
        self._send_frame(0x1, message)

    def finish(self) -> None:
        """Say goodbye: a close frame with code 1000."""
        self._send_frame(0x8, struct.pack(">H", 1000))

    def take(self, seconds: float = 5.0) -> bytes:
        """The next message, as the chunk that it would be: with the newline. b"" when the server closes."""
        self.connection.set_deadline(seconds)
        while True:
            opcode, payload = self._read_frame()
            if opcode in (0x1, 0x2):
                return payload + b"\n"
            if opcode == 0x8:
                return b""
            if opcode == 0x9:
                self._send_frame(0xA, payload)

    def close(self) -> None:
        self.connection.close()

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
        else:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        self.connection.send(head + mask + masked)

    def _read_frame(self) -> tuple[int, bytes]:
        opcode, payload, final = 0, b"", False
        while not final:
            first, size = self.connection._read_exactly(2)
            if size == 126:
                (size,) = struct.unpack(">H", self.connection._read_exactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self.connection._read_exactly(8))
            opcode = first & 0x0F or opcode
            payload += self.connection._read_exactly(size)
            final = bool(first & 0x80)
        return opcode, payload
