"""Requests parsed as Go's net/http parses them: the judge of what the engines refuse, or read in another way.

It takes more than they do (methods that nobody registered, lines that end in a bare LF, HTTP/1.2, a length beside a
transfer encoding, fields that go on in the next line), and says of what it refuses what Go says. A head is found whole
and then looked at once, so it is slow, and meant for the few requests that the engines do not settle.

    request line, fields   -> BadRequest: one answer in plain text, then the connection is closed
    body                   -> BadBody: whoever reads the body tells the client, in the words of his protocol
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from trioetcd.http11.go_rules import asks_for_websocket, check_head, check_target, keeps_alive, parse_version
from trioetcd.http11.messages import BadBody, BadRequest, Headers, HttpError, Request
from trioetcd.http11.parser import whole_body

_HEAD_END: Final = re.compile(rb"\n\r?\n")
_HEAD_END_BYTES_MAX: Final = 3
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_DIGITS: Final = re.compile(rb"[0-9]{1,19}")
_HEX: Final = re.compile(rb"[0-9a-fA-F]*")
_SPACE: Final = b" \t"
_LINE_BYTES_MAX: Final = 4096  # of a chunk's head, and of all trailers
_SIZE_DIGITS_MAX: Final = 16


class GoParser:
    """A `RequestParser`."""

    def __init__(self, *, head_bytes_max: int) -> None:
        self._head_bytes_max = head_bytes_max
        self._buffer = bytearray()
        self._searched = 0  # so far there is no end of a head in the buffer
        self._ready: deque[Request] = deque()
        self._open: Request | None = None  # its body is not complete
        self._left = 0  # bytes of the body, or of the present chunk, that are to come
        self._chunked = False
        self._in_chunk = False
        self._error: HttpError | None = None
        self._upgraded = False

    @property
    def in_head(self) -> bool:
        """Whether a part of a head has arrived, and not the whole of it."""
        return self._open is None and bool(self._buffer) and not self._upgraded

    @property
    def is_between(self) -> bool:
        """Whether nothing of a request is there that was not taken."""
        return not (self._open or self._ready or self._buffer or self._error)

    @property
    def leftover(self) -> bytes:
        """What came after the head of a request that upgrades."""
        return bytes(self._buffer)

    @property
    def error(self) -> HttpError | None:
        """What is wrong with the request that comes next, or with the body that is being read."""
        return self._error

    @property
    def in_body(self) -> bool:
        """Whether a head is complete whose body is not."""
        return self._open is not None

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        self._buffer += data
        self._pump()

    def take(self) -> Request | None:
        """The next request whose head is complete."""
        if not self._ready and self._upgraded:
            self._upgraded = False
            self._pump()
        if self._ready:
            request = self._ready.popleft()
            request.body = whole_body(request)
            return request
        if self._error is not None:
            raise self._error
        return None

    def _pump(self) -> None:
        try:
            while self._error is None and not self._upgraded:
                if not (self._read_head() if self._open is None else self._read_body(self._open)):
                    return
        except HttpError as error:
            self._error = error

    # -- heads

    def _read_head(self) -> bool:
        found = _HEAD_END.search(self._buffer, self._searched)
        if (len(self._buffer) if found is None else found.end()) >= self._head_bytes_max:
            raise BadRequest(431)
        if found is None:
            self._searched = max(0, len(self._buffer) - _HEAD_END_BYTES_MAX + 1)
            return False
        self._searched = 0
        lines = [line.removesuffix(b"\r") for line in bytes(self._buffer[: found.start()]).split(b"\n")]
        del self._buffer[: found.end()]
        method, target, version = _parse_request_line(lines[0])
        fields = _parse_fields(lines[1:])
        self._begin(method, target, version, fields)
        return True

    def _begin(self, method: bytes, target: bytes, version: tuple[int, int], fields: list[tuple[bytes, bytes]]) -> None:
        old = version < (1, 1)
        chunked = not old and _is_chunked(fields)
        length = _content_length(fields)
        headers: Headers = {}
        for name, value in fields:
            if name == b"transfer-encoding" and old:
                continue
            headers[name] = headers[name] + b", " + value if name in headers else value
        if b"content-length" in headers:
            headers[b"content-length"] = b"%d" % length
        if chunked:
            headers.pop(b"content-length", None)
        text = method.decode("ascii")
        check_head(method=text, target=target, headers=headers, version=version)
        for name, value in fields:
            if not _TOKEN.fullmatch(name):
                raise BadRequest(400, "invalid header name")
            if _CONTROLS.search(value):
                raise BadRequest(400, "invalid header value")
        request = Request(
            method=text,
            target=target.decode("latin-1"),
            headers=headers,
            keep_alive=keeps_alive(headers, version_1_0=old),
            version_1_0=old,
            upgrade=asks_for_websocket(text, headers),
        )
        self._chunked, self._in_chunk = chunked, False
        self._left = 0 if chunked else length
        request.complete = not (chunked or length)
        self._open = None if request.complete else request
        self._upgraded = request.upgrade and request.complete
        self._ready.append(request)

    # -- bodies

    def _read_body(self, request: Request) -> bool:
        if self._chunked and not self._in_chunk:
            return self._read_chunk_head(request)
        piece = bytes(self._buffer[: self._left])
        if piece:
            request.parts.append(piece)
            del self._buffer[: len(piece)]
            self._left -= len(piece)
        if self._left:
            return False
        if not self._chunked:
            return self._end(request)
        if len(self._buffer) < 2:
            return False
        if self._buffer[:2] != b"\r\n":
            raise BadBody("malformed chunked encoding")
        del self._buffer[:2]
        self._in_chunk = False
        return True

    def _read_chunk_head(self, request: Request) -> bool:
        end = self._buffer.find(b"\n", 0, _LINE_BYTES_MAX)
        if end < 0:
            if len(self._buffer) >= _LINE_BYTES_MAX:
                raise BadBody("header line too long")
            return False
        size = bytes(self._buffer[:end]).rstrip(b" \t\r\n").partition(b";")[0].rstrip(b" \t\r\n")
        if not _HEX.fullmatch(size):
            raise BadBody("invalid byte in chunk length")
        if len(size) > _SIZE_DIGITS_MAX:
            raise BadBody("http chunk length too large")
        self._left = int(size or b"0", 16)
        if self._left:
            del self._buffer[: end + 1]
            self._in_chunk = True
            return True
        return self._read_trailers(request, end + 1)

    def _read_trailers(self, request: Request, start: int) -> bool:
        """Step over the lines after the last chunk, which begin at `start`; nobody wants them."""
        if self._buffer[start : start + 2] == b"\r\n":
            del self._buffer[: start + 2]
            return self._end(request)
        end = self._buffer.find(b"\r\n\r\n", start)
        if end < 0:
            if len(self._buffer) - start >= _LINE_BYTES_MAX:
                raise BadBody("http: suspiciously long trailer after chunked body")
            return False
        for line in bytes(self._buffer[start:end]).split(b"\r\n"):
            if b":" not in line:
                raise BadBody(f'malformed MIME header: missing colon: "{line.decode("latin-1")}"')
        del self._buffer[: end + 4]
        return self._end(request)

    def _end(self, request: Request) -> bool:
        request.complete = True
        self._open = None
        self._upgraded = request.upgrade
        return True


def _parse_request_line(line: bytes) -> tuple[bytes, bytes, tuple[int, int]]:
    method, _, rest = line.partition(b" ")
    target, space, protocol = rest.partition(b" ")
    if not space or not _TOKEN.fullmatch(method):
        raise BadRequest(400)
    version = parse_version(protocol)
    if version is None:
        raise BadRequest(400)
    check_target(method.decode("ascii"), target)
    return method, target, version


def _parse_fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Names in lower case and values; a line that begins with a space goes on with the one before it."""
    joined: list[bytes] = []
    for line in lines:
        if not line.startswith((b" ", b"\t")):
            joined.append(line)
        elif joined:
            joined[-1] = joined[-1].strip(_SPACE) + b" " + line.strip(_SPACE)
        else:
            raise BadRequest(400)
    fields = []
    for line in joined:
        name, colon, value = line.partition(b":")
        if not colon:
            raise BadRequest(400)
        if name:
            fields.append((name.lower(), value.strip(_SPACE)))
    return fields


def _is_chunked(fields: list[tuple[bytes, bytes]]) -> bool:
    encodings = [value for name, value in fields if name == b"transfer-encoding"]
    if encodings and (len(encodings) > 1 or encodings[0].lower() != b"chunked"):
        raise BadRequest(501, body="Unsupported transfer encoding")
    return bool(encodings)


def _content_length(fields: list[tuple[bytes, bytes]]) -> int:
    lengths = {value for name, value in fields if name == b"content-length"}
    if len(lengths) > 1:
        raise BadRequest(400)
    length = next(iter(lengths), b"")
    if not length:
        return 0
    if not _DIGITS.fullmatch(length):
        raise BadRequest(400)
    return int(length)
