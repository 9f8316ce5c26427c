"""The vocabulary of the tables: a case is a list of steps, each sent to both servers before the next one.

Keys and values are written as text and leave as base64. `$REV` in a body is the revision that this server told last,
with an offset if one follows (`$REV-2`); `$NAME` is what a step saved.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.normalise import normalise_answer, normalise_body, normalise_headers
from tests.conformance.servers import Server
from tests.conformance.wire import (
    Answer,
    BodyStream,
    ChunkedStream,
    Connection,
    PeerClosedError,
    WebSocketStream,
    encode_request,
)

NO_BODY = object()
QUIET_SECONDS = 0.15
_NAMED = re.compile(rb"\$([A-Z]+)([+-][0-9]+)?")
GO_BUFFER_BYTES = 2048
Transport = type[BodyStream] | type[WebSocketStream]


def b64(text: str | bytes) -> str:
    """Text or bytes as the JSON gateway wants them."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


@dataclass(frozen=True)
class Call:
    """One unary request. `body`: None for the empty body, NO_BODY for none, bytes as they are, else JSON."""

    path: str
    body: Any = None
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    hide: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
    save: Mapping[str, str] = field(default_factory=dict)

    def run(self, session: Session) -> list[str]:
        body = None if self.body is NO_BODY else session.encode(self.body)
        with Connection(session.server.address) as connection:
            answer = connection.request(self.method, self.path, body, session.fill(self.headers))
        return session.observe(answer, self)


@dataclass(frozen=True)
class Raw:
    """Bytes on a connection of their own, then so many answers. `closes`: then the server must end the connection."""

    data: bytes
    answers: int = 1
    closes: bool = False
    hide: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
    save: Mapping[str, str] = field(default_factory=dict)

    def run(self, session: Session) -> list[str]:
        seen: list[str] = []
        with Connection(session.server.address) as connection:
            connection.send(self.data)
            for _ in range(self.answers):
                try:
                    seen += session.observe(connection.read_answer(), self)
                except PeerClosedError:
                    seen.append("connection closed without an answer")
                    break
            if self.closes:
                seen.append(f"closed by the server: {connection.closed_by_peer()}")
        return seen


@dataclass(frozen=True)
class Open:
    """Open a streaming call under a name, over the transport of the run, with its first messages."""

    messages: tuple[Any, ...] = ()
    path: str = "/v3/watch"
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: str = "stream"

    def run(self, session: Session) -> list[str]:
        messages = [session.encode(message) for message in self.messages]
        if (older := session.streams.pop(self.stream, None)) is not None:
            older.close()
        session.streams[self.stream] = session.transport(
            session.server.address, self.path, messages, session.fill(self.headers)
        )
        return []


@dataclass(frozen=True)
class Send:
    """One more message on an open stream."""

    message: Any
    stream: str = "stream"

    def run(self, session: Session) -> list[str]:
        session.streams[self.stream].send(session.encode(self.message))
        return []


@dataclass(frozen=True)
class Finish:
    """End the request's side of a stream."""

    stream: str = "stream"

    def run(self, session: Session) -> list[str]:
        session.streams[self.stream].finish()
        return []


@dataclass(frozen=True)
class Take:
    """The next messages of a stream, each a chunk; "end" when it ended, "nothing" when none came in time."""

    count: int = 1
    stream: str = "stream"
    hide: tuple[str, ...] = ()
    seconds: float = 8.0

    def run(self, session: Session) -> list[str]:
        seen = []
        for _ in range(self.count):
            seen.append(session.take(self.stream, self.seconds, self.hide))
            if seen[-1] in {"end", "nothing", "closed"}:
                break
        if head := session.streams[self.stream].head:
            seen = [str(head[0]), *normalise_headers(head[1]), *seen]
        return seen


@dataclass(frozen=True)
class Quiet:
    """Nothing may come on a stream now. The short wait catches what should not be sent, on both servers alike."""

    stream: str = "stream"
    seconds: float = QUIET_SECONDS

    def run(self, session: Session) -> list[str]:
        return [session.take(self.stream, self.seconds, ())]


@dataclass(frozen=True)
class Ask:
    """Send a unary request whose answer may be long in coming, under a name."""

    name: str
    call: Call

    def run(self, session: Session) -> list[str]:
        connection = session.asked[self.name] = Connection(session.server.address)
        body = session.encode(self.call.body)
        connection.send(encode_request(self.call.method, self.call.path, body, dict(self.call.headers)))
        return []


@dataclass(frozen=True)
class Answered:
    """The answer to what was asked; "no answer in time" when there is none."""

    name: str
    hide: tuple[str, ...] = ()
    seconds: float = 8.0
    unordered: tuple[str, ...] = ()
    save: Mapping[str, str] = field(default_factory=dict)

    def run(self, session: Session) -> list[str]:
        session.asked[self.name].set_deadline(self.seconds)
        return session.observe(session.asked[self.name].read_answer(), self)


@dataclass(frozen=True)
class HangUp:
    """Close the connection on which something was asked, without waiting for the answer."""

    name: str

    def run(self, session: Session) -> list[str]:
        session.asked.pop(self.name).close()
        return []


@dataclass(frozen=True)
class Until:
    """Repeat a call until its body contains a text: for what a server does in its own time."""

    call: Call
    contains: str
    seconds: float = 8.0

    def run(self, session: Session) -> list[str]:
        give_up = time.monotonic() + self.seconds
        while not any(self.contains in line for line in self.call.run(session)):
            assert time.monotonic() < give_up, f"{session.server.kind}: {self.call} never contained {self.contains}"
            time.sleep(0.01)
        return []


Step = Call | Raw | Open | Send | Finish | Take | Quiet | Ask | Answered | HangUp | Until


@dataclass(frozen=True)
class Case:
    """A name and its steps."""

    name: str
    steps: tuple[Step, ...]


class Session:
    """What one server has told so far, and the streams that are open to it."""

    def __init__(self, server: Server, *, transport: Transport = ChunkedStream) -> None:
        self.server = server
        self.transport = transport
        self.saved: dict[str, str] = {"REV": "1"}
        self.streams: dict[str, BodyStream | WebSocketStream] = {}
        self.asked: dict[str, Connection] = {}

    def encode(self, value: Any) -> bytes:
        """A body or message as bytes, with `$NAME` replaced."""
        if value is None:
            return b""
        data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
        return _NAMED.sub(self._replace, data)

    def fill(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Header lines with `$NAME` replaced: a token that was saved."""
        return {name: _NAMED.sub(self._replace, value.encode()).decode() for name, value in headers.items()}

    def _replace(self, match: re.Match[bytes]) -> bytes:
        saved = self.saved.get(match[1].decode())
        if saved is None:
            return match[0]
        return saved.encode() if match[2] is None else b"%d" % (int(saved) + int(match[2]))

    def observe(self, answer: Answer, step: Call | Raw | Answered) -> list[str]:
        """Note what later steps need; the answer as comparable lines."""
        self.note(answer.body)
        for name, path in step.save.items():
            value: Any = json.loads(answer.body)
            for part in path.split("."):
                value = value[int(part)] if part.isdigit() else value.get(part, "")
            self.saved[name] = str(value)
        return normalise_answer(answer, self.server, step.hide, step.unordered)

    def note(self, body: bytes) -> None:
        """Remember the revision of an answer's header."""
        if match := re.search(rb'"member_id":"[0-9]+","revision":"([0-9]+)"', body):
            self.saved["REV"] = match[1].decode()

    def take(self, name: str, seconds: float, hide: tuple[str, ...]) -> str:
        """The next message of a stream as comparable text. Of etcd it may come in two chunks (see normalise)."""
        chunks: list[bytes] = []
        try:
            while not chunks or not chunks[-1].endswith((b"\n", b"}")) or self._is_cut(chunks):
                chunks.append(self.streams[name].take(seconds))
                if not chunks[-1]:
                    break
        except TimeoutError:
            if not chunks:
                return "nothing"
        except PeerClosedError:
            return "end" if self.transport is WebSocketStream else "closed"
        self.note(chunks[0])
        return normalise_body(b"".join(chunks), self.server, hide) if chunks[0] else "end"

    def _is_cut(self, chunks: list[bytes]) -> bool:
        """Whether Go's buffer has cut the line before its end."""
        return self.server.kind == "etcd" and len(chunks[-1]) > GO_BUFFER_BYTES and not chunks[-1].endswith(b"\n")

    def close(self) -> None:
        """Close what is open."""
        for stream in (*self.streams.values(), *self.asked.values()):
            stream.close()
        self.streams.clear()
        self.asked.clear()


# ---- short forms for the tables


def case(name: str, *steps: Step) -> Case:
    return Case(name, steps)


def _keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON, their keys and values in base64."""
    encoded = ("key", "range_end", "value")
    return {name: b64(value) if name in encoded else value for name, value in options.items()}


def put_body(key: str | bytes, value: str | bytes = "v", **options: Any) -> dict[str, Any]:
    return _keys({"key": key, "value": value, **options})


def range_body(key: str | bytes, range_end: str | bytes | None = None, **options: Any) -> dict[str, Any]:
    return _keys({"key": key, **({} if range_end is None else {"range_end": range_end}), **options})


def put(key: str | bytes, value: str | bytes = "v", **options: Any) -> Call:
    return Call("/v3/kv/put", put_body(key, value, **options))


def get(key: str | bytes, range_end: str | bytes | None = None, **options: Any) -> Call:
    return Call("/v3/kv/range", range_body(key, range_end, **options))


def delete(key: str | bytes, range_end: str | bytes | None = None, **options: Any) -> Call:
    return Call("/v3/kv/deleterange", range_body(key, range_end, **options))


def compact(revision: Any, **options: Any) -> Call:
    return Call("/v3/kv/compaction", {"revision": revision, **options})


def compare(target: str, result: str, key: str, range_end: str | None = None, **union: Any) -> dict[str, Any]:
    return {"target": target, "result": result, **range_body(key, range_end, **union)}


def op_put(key: str, value: str = "v", **options: Any) -> dict[str, Any]:
    return {"request_put": put_body(key, value, **options)}


def op_get(key: str, range_end: str | None = None, **options: Any) -> dict[str, Any]:
    return {"request_range": range_body(key, range_end, **options)}


def op_delete(key: str, range_end: str | None = None, **options: Any) -> dict[str, Any]:
    return {"request_delete_range": range_body(key, range_end, **options)}


def txn_body(
    compares: tuple[Any, ...] = (), success: tuple[Any, ...] = (), failure: tuple[Any, ...] = ()
) -> dict[str, Any]:
    return {"compare": list(compares), "success": list(success), "failure": list(failure)}


def txn(*compares: Any, success: tuple[Any, ...] = (), failure: tuple[Any, ...] = ()) -> Call:
    return Call("/v3/kv/txn", txn_body(compares, success, failure))


def watch(key: str | bytes = "", range_end: str | bytes | None = None, **options: Any) -> dict[str, Any]:
    """A WatchRequest that creates a watch."""
    return {"create_request": range_body(key, range_end, **options)}


def pipelined(*requests: tuple[str, str, bytes]) -> bytes:
    """Several requests in one piece: (method, path, body) each."""
    return b"".join(encode_request(method, path, body) for method, path, body in requests)
