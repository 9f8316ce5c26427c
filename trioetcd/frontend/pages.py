"""The pages beside the API: version, health, metrics, and what a developer looks at."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Final

from trioetcd.frontend.heads import JSON, TEXT, Cors, Head
from trioetcd.frontend.health import LIVEZ, READYZ, Answer, ChecksPage, HealthPage
from trioetcd.frontend.member import FrontendMember
from trioetcd.http11 import HeaderList, Request, ServerConnection
from trioetcd.metrics import CONTENT_TYPE
from trioetcd.node.service.context import CallContext

_PLAIN: Final[HeaderList] = ((b"Content-Type", b"text/plain; charset=utf-8"),)
_METRICS: Final[HeaderList] = ((b"Content-Type", CONTENT_TYPE),)
_EXPVAR: Final[HeaderList] = ((b"Content-Type", b"application/json; charset=utf-8"),)


class Page:
    """A page whose body is made at once."""

    is_stream = False

    def __init__(self, cors: Cors, fields: HeaderList, body: Callable[[Request], bytes]) -> None:
        self._head = Head(cors, 200, fields)
        self._body = body

    async def handle(self, connection: ServerConnection, request: Request, _: CallContext) -> None:
        """Answer with the page."""
        await connection.respond_prepared(self._head.prepared(request.headers), self._body(request))


class HealthHandler:
    """A page that says 200 when all is well and 503 when it is not."""

    is_stream = False

    def __init__(self, cors: Cors, fields: HeaderList, answer: Callable[[str], Awaitable[Answer]]) -> None:
        self._ok = Head(cors, 200, fields)
        self._failed = Head(cors, 503, TEXT)
        self._answer = answer

    async def handle(self, connection: ServerConnection, request: Request, _: CallContext) -> None:
        """Check and answer."""
        answer = await self._answer(request.query)
        head = self._ok if answer.ok else self._failed
        await connection.respond_prepared(head.prepared(request.headers), answer.body)


def version_body(member: FrontendMember) -> bytes:
    """The JSON of `/version`: plain X.Y.Z of etcd, which clients turn features on by."""
    return json.dumps(member.version()._asdict(), separators=(",", ":")).encode()


def vars_body(member: FrontendMember) -> bytes:
    """The JSON of `/debug/vars`, laid out as Go's expvar does."""
    values = {name: json.dumps(value, separators=(",", ":")) for name, value in member.debug_vars().items()}
    rows = ",\n".join(f"{json.dumps(name)}: {value}" for name, value in values.items())
    return f"{{\n{rows}\n}}\n".encode()


def get_pages(member: FrontendMember, cors: Cors) -> dict[str, Page | HealthHandler]:
    """The pages that answer GET alone, by path."""
    checks = {"/livez": LIVEZ, "/readyz": READYZ}
    pages: dict[str, Page | HealthHandler] = {
        "/version": Page(cors, JSON, lambda _: version_body(member)),
        "/debug/vars": Page(cors, _EXPVAR, lambda _: vars_body(member)),
        "/debug/tasks": Page(cors, _PLAIN, lambda request: member.debug_tasks(as_json="json" in request.query)),
        "/health": HealthHandler(cors, _PLAIN, HealthPage(member).answer),
    }
    for path, rows in checks.items():
        pages[path] = HealthHandler(cors, TEXT, ChecksPage(member, rows).answer)
        for row in rows:
            pages[f"{path}/{row.name}"] = HealthHandler(cors, TEXT, ChecksPage(member, (row,)).answer)
    return pages


def metrics_page(member: FrontendMember, cors: Cors) -> Page:
    """`/metrics`, which takes any method."""
    return Page(cors, _METRICS, lambda _: member.metrics_text())
