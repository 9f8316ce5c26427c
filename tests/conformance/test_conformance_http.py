"""HTTP itself: methods, paths, headers, framing of requests, keep-alive, limits."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.cases import NO_BODY, Call, Case, Raw, b64, case, pipelined, put
from tests.conformance.wire import encode_chunk, encode_request

pytestmark = pytest.mark.conformance

SETUP = case("one key", put("foo", "bar"))

RANGE = "/v3/kv/range"
FOO = b'{"key":"Zm9v"}'


def chunked(*pieces: bytes, path: str = RANGE, headers: dict[str, str] | None = None) -> bytes:
    """A request whose body comes in chunks."""
    head = encode_request("POST", path, b"", {"Transfer-Encoding": "chunked", **(headers or {})})
    return head + b"".join(encode_chunk(piece) for piece in (*pieces, b""))


METHODS = (
    *(case(f"{method} on an RPC", Call(RANGE, FOO, method)) for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO")),
    case("HEAD on an RPC", Call(RANGE, NO_BODY, "HEAD")),
    *(case(f"{method} on the watch", Call("/v3/watch", None, method)) for method in ("GET", "PUT", "HEAD", "OPTIONS")),
    *(case(f"{method} on /version", Call("/version", None, method, hide=("etcdserver", "etcdcluster"))) for method in ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE")),
    *(case(f"{method} on /health", Call("/health", None, method)) for method in ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE")),
    *(case(f"{method} on an unknown path", Call("/nope", None, method)) for method in ("GET", "POST", "HEAD", "OPTIONS")),
    case("method override", Call(RANGE, FOO, headers={"X-HTTP-Method-Override": "GET"})),
)  # fmt: skip

PATHS = (
    *(
        case(f"POST {path}", Call(path, FOO))
        for path in (
            "/", "/v3", "/v3/", "/v3/kv", "/v3/kv/", "/v3/kv/nope", "/v3/kv/range/", "/v3//kv/range", "/v3/./kv/range",
            "/v3/kv/../kv/range", "/v3/kv/range:x", "/v3/kv/range:", "/v3/kv/range?key=azE=", "/v3/kv/range?pretty=true",
            "/v3/kv/range?", "/v3/kv/range#x", "/v3beta/kv/range", "/v3beta/", "/v3beta", "/v3alpha/kv/range", "/v4/kv/range", "/v3/KV/range",
            "/V3/kv/range", "/v3/kv%2Frange", "/v3/kv/r%61nge", "/v3/kv/range%00", "/nope", "//", "/v3/watch/",
            "/v3/nope/range", "/v3/maintenance/", "/v3/cluster/member", "/v3/lock", "/version/", "/health/", "/v2/keys/x",
            "/v2/keys", "/v2/members", "/v2/stats/self", "/debug/pprof/", "/config/local/log",
        )
    ),
    *(case(f"GET {path}", Call(path, None, "GET", hide=("etcdserver", "etcdcluster"))) for path in (
        "/", "/v3", "/v3/", "/nope", "/version?x=1", "/version/", "/health?serializable=true", "/health?exclude=NOSPACE",
        "/health?exclude=nope&exclude=CORRUPT", "/health/", "//version", "/v2/keys/", "/v3/kv/nope", "/v3beta/kv/range",
    )),
    case("an absolute target", Raw(encode_request("POST", "http://etcd.test/v3/kv/range", FOO))),
    *(case(f"GET {target!r}", Raw(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target, closes=closes)) for target, closes in (
        (b"/v3/kv/..", False), (b"/\xc3\xa9", False), (b"/a//\xff", False), (b"/%zz", True), (b"/nope?%zz", False), (b"/a\x01b", True),
        (b"http://[::1/version", True), (b"ftp://elsewhere/nope", False), (b"/v3/kv/range%3A", False), (b"nope", True),
    )),
    case("a query that is too long for the multiplexer", Raw(b"GET /health?" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", closes=True)),
    case("an absolute target of another host", Raw(encode_request("POST", "http://elsewhere/v3/kv/range", FOO))),
    case("an asterisk", Raw(encode_request("OPTIONS", "*", None))),
    case("a target without a slash", Raw(encode_request("POST", "v3/kv/range", FOO), closes=True)),
)  # fmt: skip

HEADERS = (
    *(case(f"{name}: {value}", Call(RANGE, FOO, headers={name: value})) for name, value in (
        ("Content-Type", "application/json"),
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Content-Type", "application/grpc"),
        ("Content-Type", "nonsense"),
        ("Accept", "application/xml"),
        ("Accept", "text/html"),
        ("Accept-Encoding", "gzip"),
        ("Origin", "http://example.org"),
        ("Grpc-Metadata-hasleader", "true"),
        ("Grpc-Metadata-Whatever", "x"),
        ("Grpc-Timeout", "5S"),
        ("Grpc-Timeout", "1000m"),
        ("Grpc-Timeout", "1H"),
        ("Grpc-Timeout", "zzz"),
        ("Grpc-Timeout", "1"),
        ("Grpc-Timeout", "S"),
        ("Grpc-Timeout", "1s"),
        ("Connection", "keep-alive"),
        ("Connection", "close"),
        ("Connection", "Keep-Alive, X"),
        ("User-Agent", ""),
        ("X-Long", "y" * 4000),
        ("Host", "some.where:99"),
        ("Host", "a,b"),
        ("Host", "a b"),
        ("Host", "a/b"),
        ("Host", "a@b"),
        ("Host", '"x"'),
        ("Host", "[::1]:99"),
        ("Host", "\xe9"),
        ("Expect", ""),
        ("Proxy-Connection", "close"),
        ("Connection", "x, close"),
        ("Upgrade", "websocket"),
        ("Grpc-Timeout", "-1S"),
        ("Grpc-Timeout", "9223372036854775807H"),
        ("Grpc-Timeout", "9999999999S"),
        ("Grpc-Timeout", "\xb2S"),
        ("X-Long", "y" * 500_000),
    )),
    case("a deadline that is over", Call(RANGE, FOO, headers={"Grpc-Timeout": "1n"})),
    *(case(f"a deadline that is over: {path} {body!r}", Call(path, body, headers={"Grpc-Timeout": "1n"})) for path, body in (
        ("/v3/watch", b"{}"), ("/v3/watch", b"[]"), ("/v3/watch", b'{"create_request":{"key":"Zm9v"}}'), ("/v3/lease/keepalive", b'{"ID":7}'),
        ("/v3/lease/keepalive", b""), ("/v3/maintenance/snapshot", b"{}"), ("/v3/maintenance/snapshot", b"[]"), ("/v3/election/observe", b"{}"),
    )),
    *(case(f"binary metadata {value!r}", *(Call(path, body, headers={"Grpc-Metadata-some-BIN": value}) for path, body in ((RANGE, FOO), (RANGE, b"[]"), ("/v3/lease/keepalive", b'{"ID":7}')))) for value in (
        "YQ==", "YQ", "YQ=", "", "x", "abcde", "!!", "-_8=", "-_8", "a,b", "a\tb", "\xe9",
    )),
    case("binary metadata and a deadline", *(Call(RANGE, FOO, headers={"Grpc-Metadata-Bin": "!", "Grpc-Timeout": timeout}) for timeout in ("1n", "zz"))),
    case("origin on an error", Call(RANGE, b"{}", headers={"Origin": "http://example.org"})),
    case("preflight", Call(RANGE, None, "OPTIONS", headers={"Origin": "http://example.org", "Access-Control-Request-Method": "POST"})),
)  # fmt: skip

FRAMING = (
    case("chunked, one chunk", Raw(chunked(FOO))),
    case("chunked, a byte a chunk", Raw(chunked(*(FOO[index : index + 1] for index in range(len(FOO)))))),
    case("chunked, empty", Raw(chunked())),
    case("chunked, broken JSON", Raw(chunked(b'{"key":', b'"Zm'))),
    case("chunked, with an extension", Raw(encode_request("POST", RANGE, b"", {"Transfer-Encoding": "chunked"}) + b"e;x=y\r\n" + FOO + b"\r\n0\r\n\r\n")),
    case("chunked, with a trailer", Raw(encode_request("POST", RANGE, b"", {"Transfer-Encoding": "chunked"}) + b"e\r\n" + FOO + b"\r\n0\r\nX-T: 1\r\n\r\n")),
    case("chunked, sizes in capitals", Raw(encode_request("POST", RANGE, b"", {"Transfer-Encoding": "chunked"}) + b"0E\r\n" + FOO + b"\r\n0\r\n\r\n")),
    case("two requests in one piece", Raw(pipelined(("POST", RANGE, FOO), ("POST", RANGE, b'{"key":"YQ=="}')), answers=2)),
    case("pipelined put and range", Raw(pipelined(
        ("POST", "/v3/kv/put", b'{"key":"cA==","value":"MQ=="}'), ("POST", RANGE, b'{"key":"cA=="}'),
        ("POST", "/v3/kv/put", b'{"key":"cA==","value":"Mg=="}'), ("POST", RANGE, b'{"key":"cA=="}'),
    ), answers=4)),
    case("pipelined errors", Raw(pipelined(("POST", RANGE, b"{bad"), ("POST", "/v3/nope", b"{}"), ("POST", RANGE, FOO)), answers=3)),
    case("pipelined after a chunked one", Raw(chunked(FOO) + pipelined(("POST", RANGE, FOO)), answers=2)),
    case("pipelined 20", Raw(pipelined(*[("POST", RANGE, FOO)] * 20), answers=20)),
    case("pipelined, unread body of a 404", Raw(pipelined(("POST", "/nope", b"x" * 5000), ("POST", RANGE, FOO)), answers=2)),
    case("close asked", Raw(encode_request("POST", RANGE, FOO, {"Connection": "close"}), closes=True)),
    case("close asked, more sent", Raw(encode_request("POST", RANGE, FOO, {"Connection": "close"}) + encode_request("POST", RANGE, FOO), answers=1)),
    case("HTTP/1.0", Raw(encode_request("POST", RANGE, FOO, version="1.0"), closes=True)),
    case("HTTP/1.0, keep-alive", Raw(encode_request("POST", RANGE, FOO, {"Connection": "keep-alive"}, version="1.0") * 2, answers=2)),
    case("HTTP/1.0 without a host", Raw(b"GET /health HTTP/1.0\r\n\r\n", closes=True)),
    case("HTTP/1.1 without a host", Raw(b"POST /v3/kv/range HTTP/1.1\r\nContent-Length: 14\r\n\r\n" + FOO, closes=True)),
    case("Expect: 100-continue", Raw(encode_request("POST", RANGE, FOO, {"Expect": "100-continue"}), answers=2)),
    case("Expect: 100-Continue", Raw(encode_request("POST", RANGE, FOO, {"Expect": "100-Continue"}), answers=2)),
    case("Expect on a path that is not there", Raw(encode_request("POST", "/nope", b"{}", {"Expect": "100-continue"}), answers=1)),
    case("Expect: something else", Raw(encode_request("POST", RANGE, FOO, {"Expect": "magic"}), closes=True)),
    case("not HTTP at all", Raw(b"hello\r\n\r\n", closes=True)),
    case("a bad version", Raw(b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n", closes=True)),
    case("HTTP/1.2", Raw(b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n")),
    case("a header without a colon", Raw(b"GET /health HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n", closes=True)),
    case("a space before the colon", Raw(b"GET /health HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", closes=True)),
    case("two hosts", Raw(b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", closes=True)),
    case("a negative length", Raw(b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", closes=True)),
    case("a length that is no number", Raw(b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", closes=True)),
    case("two lengths that differ", Raw(b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\nContent-Length: 3\r\n\r\n" + FOO, closes=True)),
    case("an unknown transfer encoding", Raw(b"POST /v3/kv/range HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", closes=True)),
    case("a GET with a body", Raw(encode_request("GET", "/health", b"{}") + encode_request("GET", "/health"), answers=2)),
    case("bare line feeds", Raw(b"GET /health HTTP/1.1\nHost: x\n\n")),
    case("an empty line first", Raw(b"\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")),
    *(case(f"a head with {fields!r}", Raw(b"GET /health HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % fields, closes=closes)) for fields, closes in (
        (b"A: b\r\n c", False), (b" A: b", True), (b": b", False), (b"A b: c", True), (b"(A): b", True), (b"A\x80: b", True), (b"A: \x00", True),
        (b"A: b\rc", True), (b"A: \xff", False), (b"Host: y", True), (b"A:", False), (b"Transfer-Encoding: chunked, chunked", True),
        (b"Transfer-Encoding:", True), (b"Transfer-Encoding: identity", True), (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", True),
        (b"Transfer-Encoding : chunked", True), (b"Content-Length:", False), (b"Content-Length: +1", True), (b"Content-Length: 0x1", True),
        (b"Content-Length: 0\r\nContent-Length: 0", False), (b"Content-Length: 99999999999999999999", True), (b"Connection: Upgrade\r\nUpgrade: h2c", False),
    )),
    *(case(f"the line {line!r}", Raw(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n", closes=True)) for line in (
        b"get /health HTTP/1.1", b"G(T /health HTTP/1.1", b" /health HTTP/1.1", b"GET /health", b"GET /health HTTP/1.1 ", b"GET  /health HTTP/1.1",
        b"GET /health HTTP/1.01", b"GET /health HTTP/2.0", b"GET /health HTTP/0.9", b"GET /health http/1.1", b"GET\t/health\tHTTP/1.1", b"CONNECT /health HTTP/1.1",
        b"PROPFIND /health HTTP/1.1", b"PRI * HTTP/2.0", b"",
    )),
    *(case(f"chunked, {name}", Raw(encode_request("POST", RANGE, b"", {"Transfer-Encoding": "chunked"}) + body, closes=closes)) for name, body, closes in (
        ("a negative size", b"-e\r\n" + FOO + b"\r\n0\r\n\r\n", True), ("no size", b"\r\n" + FOO + b"\r\n0\r\n\r\n", True),
        ("a size of hexadecimal with a prefix", b"0xe\r\n" + FOO + b"\r\n0\r\n\r\n", True), ("a space behind the size", b"e \r\n" + FOO + b"\r\n0\r\n\r\n", False),
        ("too short a size", b"5\r\n" + FOO + b"\r\n0\r\n\r\n", True), ("too long a size", b"f\r\n" + FOO + b"\r\n0\r\n\r\n", True),
        ("too large a size", b"f" * 17 + b"\r\n" + FOO + b"\r\n0\r\n\r\n", True), ("bare line feeds", b"e\n" + FOO + b"\n0\n\n", True),
        ("a bad trailer", b"e\r\n" + FOO + b"\r\n0\r\nA b\r\n\r\n", True), ("a value, then a bad size", b"e\r\n" + FOO + b"\r\nzz\r\n", True),
    )),
    case("a length and chunks", Raw(encode_request("POST", RANGE, b"e\r\n" + FOO + b"\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked", "Content-Length": "5"}))),
    case("pipelined, then nonsense", Raw(pipelined(("POST", RANGE, FOO), ("POST", RANGE, FOO)) + b"NONSENSE\r\n\r\n", answers=3, closes=True)),
    case("pipelined behind an upgrade that is not taken", Raw(
        encode_request("GET", "/health", None, {"Connection": "Upgrade", "Upgrade": "websocket"}) + encode_request("GET", "/nope"), answers=2
    )),
    case("Expect without a body", Raw(encode_request("POST", RANGE, b"", {"Expect": "100-continue"}))),
    case("Expect of two things", Raw(encode_request("POST", RANGE, FOO, {"Expect": "100-continue, x"}), answers=2)),
    case("Expect of HTTP/1.0", Raw(encode_request("POST", RANGE, FOO, {"Expect": "100-continue"}, version="1.0"), closes=True)),
    case("a head of 2 MB", Raw(b"GET /health HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 2_000_000 + b"\r\n\r\n", closes=True)),
    case("a body of 3 MB of white space", Call(RANGE, b" " * 3_000_000 + FOO)),
    case("a body of 3 MB in an unknown field", Call("/v3/kv/put", b'{"nosuch":"' + b"x" * 3_000_000 + b'","key":"Zm9v","value":"YQ=="}')),
    case("a value of 15 MB", Call("/v3/kv/put", {"key": b64("big"), "value": b64("x" * 15_000_000)})),
    case("a value of 2 MB", Call("/v3/kv/put", {"key": b64("big"), "value": b64("x" * 2_000_000)})),
)  # fmt: skip


@pytest.mark.parametrize("case", METHODS, ids=lambda case: case.name)
def test_method(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", PATHS, ids=lambda case: case.name)
def test_path(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", HEADERS, ids=lambda case: case.name[:40])
def test_header(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", FRAMING, ids=lambda case: case.name)
def test_framing(check: Callable[[Case], None], case: Case) -> None:
    check(case)
