"""The peer listener: HTTP/1.1 for other members alone.

| path                         | method | what                                                             |
|------------------------------|--------|------------------------------------------------------------------|
| /raft                        | POST   | messages of the pipeline: one frame; 204                         |
| /raft/stream/{append,message}/ID | GET | a WebSocket on which member ID, which asks, is sent to          |
| /raft/snapshot               | POST   | a whole state (see `snapshot`); 204 once it is kept              |
| /raft/probing                | GET    | `{"OK":true,"Now":"..."}`                                        |
| /version                     | GET    | versions of the server and of the cluster                        |
| /members                     | GET    | the members, as an array (see `members`)                         |
| /members/promote/ID          | POST   | a learner becomes a voter, asked of the leader (see `promotion`) |
| /members/hashkv              | GET    | hash of the store at the revision in the JSON body               |
| /downgrade/enabled           | GET    | `true` or `false`                                                |
| /leases{,/internal,/batch}   | POST   | the time of leases, asked of the leader (see `leases`)           |

Everything on it trusts the network that it listens on. What comes under /raft has to pass the rules of `checks`;
a refusal is answered with its reason and logged at a bounded rate.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

import trio

from trioetcd.api.errors import ApiError
from trioetcd.http11 import (
    BadRequest,
    BodyTooLarge,
    HttpError,
    LeanSocketStream,
    Limits,
    Request,
    ServerConnection,
    accept,
)
from trioetcd.log import Logger
from trioetcd.peer.checks import LEASE_RULES, MESSAGE_RULES, STREAM_RULES, Refusal, Rule, refusal_of
from trioetcd.peer.clock import format_time
from trioetcd.peer.framing import FRAME_BYTES_MAX, DamagedFrame, decode_frame
from trioetcd.peer.guarded import GuardedStream
from trioetcd.peer.headers import BadHeader, PeerHeaders, read_headers, read_id
from trioetcd.peer.leases import (
    BATCH_PATH,
    BODY_BYTES_MAX,
    INTERNAL_PATH,
    KEEP_ALIVE_PATH,
    PROTOBUF,
    LeaseAnswer,
    answer_batch,
    answer_internal,
    answer_keep_alive,
)
from trioetcd.peer.link import IO_SECONDS
from trioetcd.peer.members import encode_members
from trioetcd.peer.promotion import PROMOTE_PATH, answer_promotion
from trioetcd.peer.protocols import RaftHandler
from trioetcd.peer.snapshot import SnapshotReceiver
from trioetcd.peer.stream import StreamKind
from trioetcd.peer.transport import Transport

IDLE_SECONDS: Final = 30.0
"""A connection is closed on which nothing comes for so long; probes come each 4 s."""

CONNECTIONS_MAX: Final = 1024
"""Far above what the members of a cluster have; what comes beyond is closed at once."""

_JSON_BODY_BYTES_MAX: Final = 64 * 1024
_TEXT: Final = (b"Content-Type", b"text/plain; charset=utf-8")
_JSON: Final = (b"Content-Type", b"application/json")
_PLAIN: Final = (b"Content-Type", b"text/plain")


class Exchange(NamedTuple):
    """A request and the connection on which it came."""

    request: Request
    connection: ServerConnection
    guard: GuardedStream  # the stream below the connection
    rest: str  # what follows the route's path, without its slash


class Answer(NamedTuple):
    """What a request is answered with; None in its place means that the connection went another way."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()


Serve = Callable[[Exchange], Awaitable[Answer | None]]


class Route(NamedTuple):
    """One row of the table above; `has_rest` routes take one more path segment."""

    path: str
    method: str
    serve: Serve
    has_rest: bool = False


class PeerListener:
    """Serves the other members of the cluster, on given listeners."""

    def __init__(
        self,
        *,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        transport: Transport,
        handler: RaftHandler,
        wall_clock: Callable[[], float],
        log: Logger,
    ) -> None:
        self._listeners = listeners
        self._transport = transport
        self._local = transport.local
        self._handler = handler
        self._wall_clock = wall_clock
        self._log = log
        self._snapshots = SnapshotReceiver(handler=handler, inbox=transport.inbox, log=log)
        self._limits = Limits(idle_seconds=IDLE_SECONDS)
        self._connections = 0
        self.refused_requests = 0
        self._own_headers = (
            (b"X-Etcd-Cluster-Id", b"%x" % self._local.cluster_id),
            (b"X-Server-Version", self._local.version.encode()),
        )
        streams = [
            Route(f"/raft/stream/{kind.value}", "GET", self._stream_of(kind), has_rest=True) for kind in StreamKind
        ]
        self._routes = {
            route.path: route
            for route in (
                Route("/raft", "POST", self._post_messages),
                *streams,
                Route("/raft/snapshot", "POST", self._post_snapshot),
                Route("/raft/probing", "GET", self._probing),
                Route("/version", "GET", self._version),
                Route("/members", "GET", self._members),
                Route("/members/hashkv", "GET", self._hash_kv),
                Route("/downgrade/enabled", "GET", self._downgrade_enabled),
                Route(PROMOTE_PATH, "POST", self._promote, has_rest=True),
                Route(KEEP_ALIVE_PATH, "POST", self._lease_route(answer_keep_alive)),
                Route(INTERNAL_PATH, "POST", self._lease_route(answer_internal)),
                Route(BATCH_PATH, "POST", self._lease_route(answer_batch, _JSON)),
            )
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept connections until cancelled; then all of them are closed at once."""
        async with trio.open_nursery() as nursery:
            for listener in self._listeners:
                nursery.start_soon(self._accept, listener, nursery)
            task_status.started()

    # -- connections

    async def _accept(self, listener: trio.abc.Listener[trio.abc.Stream], connections: trio.Nursery) -> None:
        async with listener:
            while True:
                connections.start_soon(self._serve_connection, await accept(listener, report=self._note_not_accepted))

    def _note_not_accepted(self, error: OSError) -> None:
        if (held_back := self._transport.throttle.admit(("not accepted", error.errno))) is not None:
            self._log.warning(
                "a peer's connection was not accepted; trying again", error=str(error), held_back=held_back
            )

    async def _serve_connection(self, raw: trio.abc.Stream) -> None:
        """Serve one connection to its end; whatever the other side does ends this connection, and no more."""
        try:
            stream = LeanSocketStream.take_over(raw) if isinstance(raw, trio.SocketStream) else raw
        except OSError as error:
            self._log.debug("a connection from a peer broke before it was served", reason=str(error))
            return
        guard = GuardedStream(stream, receive_seconds=IDLE_SECONDS, send_seconds=IO_SECONDS)
        try:
            if self._connections >= CONNECTIONS_MAX:
                self._log_refusal("connection", Refusal(503, "too many connections", f"{CONNECTIONS_MAX} are open"), 0)
                return
            self._connections += 1
            try:
                await self._serve_requests(guard)
            finally:
                self._connections -= 1
        except (trio.BrokenResourceError, trio.ClosedResourceError, HttpError, OSError) as error:
            self._log.debug("a connection from a peer ended", reason=guard.failure or str(error))
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve_requests(self, guard: GuardedStream) -> None:
        connection = ServerConnection(guard, engine="h11", limits=self._limits)
        try:
            while (request := await connection.next_request()) is not None:
                answer = await self._serve(request, connection, guard)
                if answer is None:
                    return
                await connection.respond(answer.status, (*answer.headers, *self._own_headers), answer.body)
        except BadRequest as error:
            await connection.refuse(error)
        await connection.aclose()  # lets a sender whose body was not wanted read the answer

    async def _serve(self, request: Request, connection: ServerConnection, guard: GuardedStream) -> Answer | None:
        route, rest = self._find(request.path)
        if route is None:
            reason = b"invalid path\n" if request.path.startswith("/raft/stream/") else b"404 page not found\n"
            return Answer(404, reason, (_TEXT, (b"X-Content-Type-Options", b"nosniff")))
        if request.method != route.method:
            return Answer(405, b"Method Not Allowed\n", (_TEXT, (b"Allow", route.method.encode())))
        try:
            return await route.serve(Exchange(request, connection, guard, rest))
        except BodyTooLarge as error:
            return _text(413, str(error))

    def _find(self, path: str) -> tuple[Route | None, str]:
        if (route := self._routes.get(path)) is not None and not route.has_rest:
            return route, ""
        parent, _, rest = path.rpartition("/")
        route = self._routes.get(parent)
        return (route, rest) if route is not None and route.has_rest and rest else (None, "")

    # -- checks

    def _checked(self, request: Request, rules: tuple[Rule, ...]) -> PeerHeaders | Answer:
        """The sender of a request that passes the rules, or the refusal."""
        try:
            headers = read_headers(request.headers)
        except BadHeader as error:
            return self._refused(request, Refusal(400, "bad header", str(error)), 0)
        if (refusal := refusal_of(rules, headers, local=self._local, members=self._handler)) is not None:
            if refusal.status == 404 and headers.cluster_id == self._local.cluster_id:
                self._transport.note_sender(headers)
            return self._refused(request, refusal, headers.from_)
        self._transport.note_sender(headers)
        return headers

    def _refuse_by(self, rules: tuple[Rule, ...], request: Request) -> Answer | None:
        """The refusal of a request whose sender is not to be remembered, or None."""
        try:
            headers = read_headers(request.headers)
        except BadHeader as error:
            return self._refused(request, Refusal(400, "bad header", str(error)), 0)
        refusal = refusal_of(rules, headers, local=self._local, members=self._handler)
        return None if refusal is None else self._refused(request, refusal, headers.from_)

    def _refused(self, request: Request, refusal: Refusal, sender: int) -> Answer:
        self._log_refusal(request.path, refusal, sender)
        return _text(refusal.status, refusal.reason)

    def _log_refusal(self, path: str, refusal: Refusal, sender: int) -> None:
        self.refused_requests += 1
        key = ("refused", sender, refusal.status, refusal.reason)
        if (held_back := self._transport.throttle.admit(key)) is not None:
            self._log.warning(
                "refused a request of a peer",
                peer_id=f"{sender:x}",
                path=path,
                status=refusal.status,
                reason=refusal.reason,
                detail=refusal.detail,
                held_back=held_back,
            )

    # -- routes

    async def _post_messages(self, exchange: Exchange) -> Answer:
        headers = self._checked(exchange.request, MESSAGE_RULES)
        if isinstance(headers, Answer):
            return headers
        body = await exchange.connection.read_body(FRAME_BYTES_MAX)
        try:
            messages = decode_frame(body)
        except DamagedFrame as damage:
            self._count_received(headers.from_, 0, failed=True)
            refusal = Refusal(400, "error unmarshalling raft message", str(damage))
            return self._refused(exchange.request, refusal, headers.from_)
        self._count_received(headers.from_, len(body))
        self._transport.inbox.deliver(messages, sender=headers.from_)
        return Answer(204)

    def _stream_of(self, kind: StreamKind) -> Serve:
        async def serve(exchange: Exchange) -> Answer | None:
            return await self._serve_stream(kind, exchange)

        return serve

    async def _serve_stream(self, kind: StreamKind, exchange: Exchange) -> Answer | None:
        headers = self._checked(exchange.request, STREAM_RULES)
        if isinstance(headers, Answer):
            return headers
        if not exchange.request.upgrade:
            return _text(426, "this path is a WebSocket")._replace(headers=(_TEXT, (b"Upgrade", b"websocket")))
        peer = self._transport.peer(headers.from_)
        if _id_or_none(exchange.rest) != headers.from_ or peer is None:
            refusal = Refusal(404, "invalid from", f"the path is for {exchange.rest[:20]}")
            return self._refused(exchange.request, refusal, headers.from_)
        await peer.serve_stream(kind, _detached(exchange))
        return None

    async def _post_snapshot(self, exchange: Exchange) -> Answer:
        headers = self._checked(exchange.request, MESSAGE_RULES)
        if isinstance(headers, Answer):
            return headers
        is_received = False
        try:
            refusal = await self._snapshots.receive(exchange.connection, sender=headers.from_)
            is_received = refusal is None
        finally:
            if (peer := self._transport.peer(headers.from_)) is not None:
                peer.link.counters.snapshots_received += is_received
                peer.link.counters.snapshots_not_received += not is_received
        return Answer(204) if refusal is None else self._refused(exchange.request, refusal, headers.from_)

    async def _probing(self, _: Exchange) -> Answer:
        body = json.dumps({"OK": True, "Now": format_time(self._wall_clock())}, separators=(",", ":"))
        return Answer(200, body.encode() + b"\n", (_JSON,))

    async def _version(self, _: Exchange) -> Answer:
        versions = {"etcdserver": self._local.version, "etcdcluster": self._handler.cluster_version() or "not_decided"}
        return Answer(200, json.dumps(versions, separators=(",", ":")).encode(), (_JSON,))

    async def _members(self, _: Exchange) -> Answer:
        return Answer(200, encode_members(self._handler.list_members()), (_JSON,))

    async def _promote(self, exchange: Exchange) -> Answer:
        if (refused := self._refuse_by(LEASE_RULES, exchange.request)) is not None:
            return refused
        answer = await answer_promotion(self._handler, exchange.rest)
        if answer.is_json:
            return Answer(answer.status, answer.body, (_JSON,))
        return _text(answer.status, answer.body.decode())._replace(headers=(_TEXT, *answer.headers))

    async def _hash_kv(self, exchange: Exchange) -> Answer:
        body = await exchange.connection.read_body(_JSON_BODY_BYTES_MAX)
        revision = _revision_of(body)
        if revision is None:
            return _text(400, "error unmarshalling request")
        try:
            answer = await self._handler.hash_kv(revision)
        except ApiError as error:
            return _text(400, error.message)
        header = {"revision": answer.header.revision if answer.header is not None else 0}
        fields = {"header": header, "hash": answer.hash, "compact_revision": answer.compact_revision}
        return Answer(200, json.dumps(fields, separators=(",", ":")).encode(), (_JSON,))

    async def _downgrade_enabled(self, _: Exchange) -> Answer:
        try:
            enabled = await self._handler.is_downgrade_enabled()
        except ApiError as error:
            return _text(500, f"failed to fetch downgrade info: {error.message}")
        return Answer(200, b"true" if enabled else b"false", (_PLAIN,))

    def _lease_route(
        self,
        answer: Callable[[RaftHandler, bytes], Awaitable[LeaseAnswer]],
        content: tuple[bytes, bytes] = PROTOBUF,
    ) -> Serve:
        async def serve(exchange: Exchange) -> Answer:
            if (refused := self._refuse_by(LEASE_RULES, exchange.request)) is not None:
                return refused
            status, body = await answer(self._handler, await exchange.connection.read_body(BODY_BYTES_MAX))
            return Answer(status, body, (content,)) if status == 200 else _text(status, body.decode())

        return serve

    def _count_received(self, sender: int, size: int, *, failed: bool = False) -> None:
        if (peer := self._transport.peer(sender)) is not None:
            peer.link.counters.received_bytes += size
            peer.link.counters.received_failures += failed


def _detached(exchange: Exchange) -> GuardedStream:
    """The connection's stream with the request still unread. Its reader has nothing to say: silence is no failure."""
    guard = exchange.guard
    guard.receive_seconds = math.inf
    detached = exchange.connection.detach()
    return GuardedStream(detached, receive_seconds=math.inf, send_seconds=IO_SECONDS, send_through=guard.below)


def _text(status: int, text: str) -> Answer:
    return Answer(status, text.encode() + b"\n", (_TEXT,))


def _id_or_none(text: str) -> int | None:
    try:
        return read_id(text, "id in the path")
    except BadHeader:
        return None


def _revision_of(body: bytes) -> int | None:
    """The revision that a /members/hashkv request asks for; None when the body is not such a request."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        return None
    revision = fields.get("revision", 0) if isinstance(fields, dict) else None
    return revision if type(revision) is int else None
