"""What is said to every path and method: the mux's rules, and the pages beside the API."""

from __future__ import annotations

import json

import pytest
from frontend_fakes import FakeMember

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.api.services import RPCS
from trioetcd.frontend import Cors, build_routes

TEXT = b"text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "target", "status", "body", "fields"),
    [
        ("GET", "/v3/kv/range", 405, b"Method Not Allowed\n", {b"content-type": TEXT}),
        ("PATCH", "/v3/kv/range", 405, b"Method Not Allowed\n", {}),
        ("PURGE", "/v3/watch", 405, b"Method Not Allowed\n", {}),
        ("OPTIONS", "/v3/kv/range", 200, b"", {b"access-control-allow-origin": b"*"}),
        ("OPTIONS", "/nope", 200, b"", {}),
        ("POST", "/v3", 301, b"", {b"location": b"/v3/"}),
        ("GET", "/v3?a=b", 301, b'<a href="/v3/?a=b">Moved Permanently</a>.\n\n', {b"location": b"/v3/?a=b"}),
        ("POST", "/v3/", 404, b"Not Found\n", {b"content-type": TEXT, b"x-content-type-options": b"nosniff"}),
        ("POST", "/v3//kv/range", 301, b"", {b"location": b"/v3/kv/range"}),
        ("POST", "/v3/kv/../kv/range?a=b", 301, b"", {b"location": b"/v3/kv/range?a=b"}),
        ("POST", "/v3/kv/range/..", 301, b"", {b"location": b"/v3/kv"}),
        ("GET", "//health", 301, b'<a href="/health">Moved Permanently</a>.\n\n', {b"location": b"/health"}),
        ("POST", "/a//b%20'c<", 301, b"", {b"location": b"/a/b%20%27c%3C"}),
        ("POST", "/v3/kv/nope", 404, b"Not Found\n", {}),
        ("POST", "/v3/kv/put/", 404, b"Not Found\n", {}),
        ("POST", "/v3/kv/put:x", 404, b"Not Found\n", {}),
        ("GET", "/v3/nope", 404, b"Not Found\n", {}),
        ("POST", "/v3alpha/kv/put", 404, b"404 page not found\n", {b"content-type": TEXT}),
        ("POST", "/v3beta", 404, b"404 page not found\n", {}),
        ("POST", "/v3beta/nope", 404, b"Not Found\n", {}),
        ("GET", "/", 404, b"404 page not found\n", {b"x-content-type-options": b"nosniff"}),
        ("GET", "/health/", 404, b"404 page not found\n", {}),
        ("GET", "/livez/nope", 404, b"404 page not found\n", {}),
        ("POST", "/health", 405, b"Method Not Allowed\n", {b"allow": b"GET"}),
        ("POST", "/version", 405, b"Method Not Allowed\n", {b"allow": b"GET"}),
        ("GET", "http://x/health?exclude=", 200, b'{"health":"true","reason":""}', {b"content-type": TEXT}),
        ("PUT", "/metrics", 200, b"etcd_server_has_leader 1\n", {}),
        ("GET", "/debug/tasks", 200, b"no tasks\n", {}),
        ("GET", "/debug/tasks?json", 200, b'{"tasks":[]}', {}),
    ],
)
async def test_paths_and_methods(
    serve, method: str, target: str, status: int, body: bytes, fields: dict[bytes, bytes]
) -> None:
    async with serve() as server:
        response = await server.client().request(method, target)
    assert (response.status, response.body) == (status, body)
    assert response.headers.items() >= fields.items()


@pytest.mark.parametrize("target", ["/v3beta/kv/put", "/v3/kv%2Fput", "/v3/kv/%70ut", "/v3/kv/put?pretty=true"])
async def test_other_spellings_of_a_path(serve, target: str) -> None:
    async with serve() as server:
        response = await server.client().request("POST", target, body=b'{"key":"YQ=="}')
    assert response.status == 200


async def test_a_broken_percent_encoding_is_no_request(serve) -> None:
    async with serve() as server:
        answer = await server.exchange(b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n")
    assert answer.endswith(b"\r\n\r\n400 Bad Request")


async def test_head_gets_no_body(serve) -> None:
    async with serve() as server:
        answer = await server.exchange(b"HEAD /version HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_version(serve) -> None:
    async with serve() as server:
        response = await server.client().request("GET", "/version")
    assert response.headers[b"content-type"] == b"application/json"
    assert json.loads(response.body) == {"etcdserver": "3.5.33", "etcdcluster": "3.5.0"}


async def test_debug_vars(serve, member: FakeMember) -> None:
    async with serve() as server:
        response = await server.client().request("GET", "/debug/vars")
    assert response.body.startswith(b'{\n"cmdline": ["trioetcd","serve"],\n')
    assert json.loads(response.body) == member.debug_vars()


@pytest.mark.parametrize(
    ("member", "query", "body"),
    [
        (FakeMember(alarms=("NOSPACE",)), "", b'{"health":"false","reason":"ALARM NOSPACE"}\n'),
        (FakeMember(alarms=("CORRUPT",)), "?exclude=NOSPACE", b'{"health":"false","reason":"ALARM CORRUPT"}\n'),
        (FakeMember(alarms=("NOSPACE",)), "?exclude=NOSPACE", b'{"health":"true","reason":""}'),
        (FakeMember(leader=False), "", b'{"health":"false","reason":"RAFT NO LEADER"}\n'),
        (FakeMember(leader=False), "?serializable=true", b'{"health":"true","reason":""}'),
        (
            FakeMember(read_error=ApiError.of(ErrorKind.TIMEOUT)),
            "",
            b'{"health":"false","reason":"RANGE ERROR:etcdserver: request timed out"}\n',
        ),
    ],
)
async def test_health(serve, member: FakeMember, query: str, body: bytes) -> None:
    async with serve() as server:
        response = await server.client().request("GET", "/health" + query)
    assert (response.status, response.body) == (200 if b"true" in body else 503, body)
    assert member.told_healthy.pop() is (b"true" in body)
    assert not member.told_healthy


@pytest.mark.parametrize(
    ("member", "target", "status", "body"),
    [
        (FakeMember(), "/livez", 200, b"ok\n"),
        (FakeMember(), "/livez?verbose", 200, b"[+]serializable_read ok\nok\n"),
        (FakeMember(), "/livez/serializable_read", 200, b"ok\n"),
        (FakeMember(leader=False, read_error=ApiError.of(ErrorKind.TIMEOUT)), "/livez", 200, b"ok\n"),
        (FakeMember(), "/readyz", 200, b"ok\n"),
        (
            FakeMember(alarms=("CORRUPT",), learner=True, read_error=ApiError.of(ErrorKind.TIMEOUT)),
            "/readyz",
            503,
            (
                b"[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n"
                b"[-]linearizable_read failed: etcdserver: request timed out\n"
                b"[-]non_learner failed: not supported for learner\n\n"
            ),
        ),
        (FakeMember(learner=True), "/readyz?exclude=non_learner", 200, b"ok\n"),
        (FakeMember(learner=True), "/readyz/non_learner", 503, b"[-]non_learner failed: not supported for learner\n\n"),
    ],
)
async def test_checks(serve, member: FakeMember, target: str, status: int, body: bytes) -> None:
    async with serve() as server:
        response = await server.client().request("GET", target)
    assert (response.status, response.body) == (status, body)


def test_every_rpc_has_its_row() -> None:
    routes = build_routes(member=FakeMember(), max_request_bytes=1)
    assert {path for rpc in RPCS for path in rpc.http_paths} <= set(routes.paths)


def test_listed_origins() -> None:
    cors = Cors(["http://good"])
    assert cors.fields({}) == ()
    assert cors.fields({b"origin": b"http://bad"}) == ()
    assert dict(cors.fields({b"origin": b"http://good"}))[b"Access-Control-Allow-Origin"] == b"http://good"
