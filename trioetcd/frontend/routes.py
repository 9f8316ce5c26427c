"""THE TABLE: every path that is served, and what etcd's mux says to those that are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import trio

from trioetcd.api.services import RPCS, Rpc
from trioetcd.frontend.heads import TEXT, Cors, Head
from trioetcd.frontend.limited import Beginner, Handler, LimitedHandler
from trioetcd.frontend.member import FrontendMember
from trioetcd.frontend.pages import get_pages, metrics_page
from trioetcd.frontend.paths import BadPathError, clean_path, decode_path, location, redirect_body
from trioetcd.frontend.v3_http import ErrorHeads, UnaryHandler, message_bytes_max
from trioetcd.frontend.v3_stream import StreamHandler
from trioetcd.frontend.websocket import WebSocketHandler, serve_not_found, serve_unary
from trioetcd.http11 import BadRequest, HeaderList, Request, ServerConnection
from trioetcd.node.service.context import CallContext

_UNHEARD_BYTES_MAX: Final = 65_536
_HTML: Final[HeaderList] = ((b"Content-Type", b"text/html; charset=utf-8"),)


class Route(NamedTuple):
    """One row. `methods` is empty when any will do; `allow` is the Allow field of the refusal of another one."""

    handler: Handler
    methods: frozenset[str]
    allow: bytes = b""
    websocket: Handler | None = None  # of a GET that asks for that protocol


_POST: Final = frozenset({"POST"})
_GET: Final = frozenset({"GET"})
_ANY: Final[frozenset[str]] = frozenset()


class Fixed:
    """A handler that always answers the same."""

    is_stream = False

    def __init__(self, cors: Cors, status: int, fields: HeaderList, body: bytes) -> None:
        self._head = Head(cors, status, fields)
        self._body = body

    async def handle(self, connection: ServerConnection, request: Request, _: CallContext) -> None:
        """Answer."""
        await connection.respond_prepared(self._head.prepared(request.headers), self._body)


class Routes:
    """The table, and the rules for what is not in it. Without the gateway there are pages alone, and no CORS."""

    def __init__(self, rows: Mapping[str, Route], *, cors: Cors, has_gateway: bool = True) -> None:
        self._rows = dict(rows)
        self._cors = cors
        self._preflight = Fixed(cors, 200, (), b"") if has_gateway else None
        self._not_found = Fixed(cors, 404, TEXT, b"404 page not found\n")
        self._not_found_in_gateway = Fixed(cors, 404, TEXT, b"Not Found\n") if has_gateway else self._not_found
        self._no_websocket = WebSocketHandler(serve_not_found, cors=cors, message_bytes_max=_UNHEARD_BYTES_MAX)
        self._asterisk = Fixed(Cors(()), 200, (), b"")
        # A POST on a known path is found by one lookup of the raw target; all else takes the long way.
        self._posts = {path: row.handler for path, row in self._rows.items() if row.methods == _POST}
        self._beginners = {
            path: handler
            for path, handler in self._posts.items()
            if isinstance(handler, UnaryHandler) and handler.begins
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that is served."""
        return tuple(self._rows)

    def find(self, request: Request) -> Handler:
        """The handler of a request; always one. Raises BadRequest for a target that is none."""
        if request.method == "POST":
            handler = self._posts.get(request.target)
            if handler is not None:
                return handler
        if request.target == "*" and request.method == "OPTIONS":
            return self._asterisk
        if request.method == "OPTIONS" and self._preflight is not None:
            return self._preflight
        try:
            path = decode_path(request.path)
        except BadPathError as error:
            raise BadRequest(400) from error
        if path.startswith("/v3beta/"):
            path = "/v3/" + path.removeprefix("/v3beta/")
        return self._find_decoded(request, path)

    def find_beginner(self, request: Request) -> Beginner | None:
        """What may begin a request at once: of the RPCs that clients call most, under their usual paths."""
        return self._beginners.get(request.target) if request.method == "POST" else None

    def _find_decoded(self, request: Request, path: str) -> Handler:
        cleaned = clean_path(path)
        if cleaned == "/v3":
            cleaned = "/v3/"
        if cleaned != path:
            return self._redirect(request, cleaned)
        in_gateway = path.startswith("/v3/")
        row = self._rows.get(path.removesuffix(":") if in_gateway else path)  # the gateway drops a verb that is empty
        if request.upgrade and in_gateway:
            return self._no_websocket if row is None or row.websocket is None else row.websocket
        if row is None:
            return self._not_found_in_gateway if in_gateway else self._not_found
        if not row.methods or request.method in row.methods:
            return row.handler
        allow = ((b"Allow", row.allow),) if row.allow else ()
        return Fixed(self._cors, 405, (*allow, *TEXT), b"Method Not Allowed\n")

    def _redirect(self, request: Request, path: str) -> Fixed:
        target = location(path, request.query)
        fields = ((b"Location", target.encode("ascii")),)
        if request.method in {"GET", "HEAD"}:
            return Fixed(self._cors, 301, (*_HTML, *fields), redirect_body(target))
        return Fixed(self._cors, 301, fields, b"")


def build_routes(
    *,
    member: FrontendMember,
    max_request_bytes: int,
    concurrent_streams: int | None = None,
    cors: Cors | None = None,
) -> Routes:
    """The table of one member: its RPCs, of which at most `concurrent_streams` run at once, and its pages."""
    cors = cors or Cors()
    rows = {path: Route(page, _GET, b"GET") for path, page in get_pages(member, cors).items()}
    rows["/metrics"] = Route(metrics_page(member, cors), _ANY)
    errors = ErrorHeads(cors)
    running = None if concurrent_streams is None else trio.Semaphore(concurrent_streams)
    for rpc in RPCS:
        row = _rpc_route(rpc, member, cors, errors, max_request_bytes)
        if running is not None:
            row = row._replace(handler=LimitedHandler(row.handler, running=running))
            if row.websocket is not None:
                row = row._replace(websocket=LimitedHandler(row.websocket, running=running))
        rows.update(dict.fromkeys(rpc.http_paths, row))
    return Routes(rows, cors=cors)


def build_metrics_routes(*, member: FrontendMember) -> Routes:
    """What is served at `--listen-metrics-urls`: metrics and health."""
    cors = Cors(())
    pages = get_pages(member, cors).items()
    rows = {
        path: Route(page, _GET, b"GET") for path, page in pages if path.startswith(("/health", "/livez", "/readyz"))
    }
    return Routes({**rows, "/metrics": Route(metrics_page(member, cors), _ANY)}, cors=cors, has_gateway=False)


def _rpc_route(rpc: Rpc, member: FrontendMember, cors: Cors, errors: ErrorHeads, max_request_bytes: int) -> Route:
    services, calls = member.services, member.rpc_calls(rpc)
    bytes_max = 2 * message_bytes_max(max_request_bytes)
    if rpc.client_streaming or rpc.server_streaming:
        stream = StreamHandler(
            rpc=rpc, services=services, calls=calls, cors=cors, errors=errors, max_request_bytes=max_request_bytes
        )
        return Route(stream, _POST, websocket=WebSocketHandler(stream.serve, cors=cors, message_bytes_max=bytes_max))
    unary = UnaryHandler(
        rpc=rpc, services=services, calls=calls, cors=cors, errors=errors, max_request_bytes=max_request_bytes
    )
    unheard = serve_unary(unary.call_unheard, bytes_max=bytes_max)
    return Route(unary, _POST, websocket=WebSocketHandler(unheard, cors=cors, message_bytes_max=bytes_max))
