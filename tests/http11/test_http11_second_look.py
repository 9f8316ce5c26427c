"""What an engine refuses, judged as Go's server does; both engines come to the same."""

from __future__ import annotations

import time
from typing import get_args

import pytest

from trioetcd.http11 import BadBody, BadRequest
from trioetcd.http11.engines import make_parser
from trioetcd.http11.go_parser import GoParser
from trioetcd.http11.messages import NotHttp, Request
from trioetcd.http11.parser import Engine, RequestParser

LINE = b"GET / HTTP/1.1\r\n"
HOST = b"Host: a\r\n"
UNSUPPORTED = "505 HTTP Version Not Supported: unsupported protocol version"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=get_args(Engine))
def parser(request: pytest.FixtureRequest) -> RequestParser:
    return make_parser(request.param, head_bytes_max=4096)


def read(parser: RequestParser, data: bytes) -> list[Request]:
    """All requests; in pieces of one byte too, by a second parser of the caller's."""
    parser.feed(data)
    found = []
    while (request := parser.take()) is not None:
        found.append(request)
    return found


@pytest.mark.parametrize(
    ("data", "method", "target", "body"),
    [
        (b"FOO /x HTTP/1.1\r\nHost: a\r\n\r\n", "FOO", "/x", b""),
        (b"get /x HTTP/1.1\r\nHost: a\r\n\r\n", "get", "/x", b""),
        (b"GET /x HTTP/1.2\r\nHost: a\r\n\r\n", "GET", "/x", b""),
        (b"GET /x HTTP/1.1\nHost: a\n\n", "GET", "/x", b""),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n", "GET", "/x", b""),
        (b"GET /x HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "GET", "/x", b""),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/\xff", b""),
        (b"PUT /x HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc", "PUT", "/x", b"abc"),
        (b"PUT /x HTTP/1.1\nHost: a\nContent-Length: 3\nContent-Length: 3\n\nabc", "PUT", "/x", b"abc"),
        (CHUNKED.replace(b"POST", b"FOO") + b"3;x=y\r\nabc\r\n1 \r\nd\r\n0\r\nT: u\r\n\r\n", "FOO", "/", b"abcd"),
        (CHUNKED[:-2] + b"Content-Length: 9\r\n\r\n1\r\nd\r\n0\r\n\r\n", "POST", "/", b"d"),
    ],
)  # fmt: skip
def test_what_is_taken(parser: RequestParser, data: bytes, method: str, target: str, body: bytes) -> None:
    after = b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"
    first, second = read(parser, data + after)
    assert (first.method, first.target, first.body) == (method, target, body)
    assert (first.keep_alive, first.complete, second.target) == (True, True, "/after")
    assert parser.is_between


@pytest.mark.parametrize("size", [1, 7])
def test_the_cuts_do_not_matter(parser: RequestParser, size: int) -> None:
    good = b"PUT /good HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    odd = b"FOO /odd HTTP/1.1\nHost: a\nContent-Length: 3\n\ndef"
    data = good + odd + good + CHUNKED.replace(b"POST", b"FOO") + b"2\r\ngh\r\n0\r\n\r\n" + good
    found: list[Request] = []
    for start in range(0, len(data), size):
        found += read(parser, data[start : start + size])
    assert [request.target for request in found] == ["/good", "/odd", "/good", "/", "/good"]
    assert [b"".join(request.parts) for request in found] == [b"abc", b"def", b"abc", b"gh", b"abc"]
    assert parser.is_between


def test_what_was_handed_out_is_not_handed_out_again(parser: RequestParser) -> None:
    good = b"PUT /good HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
    [first] = read(parser, good + b"FOO /o")
    assert (first.target, first.body) == ("/good", b"abc")
    [second, third] = read(parser, b"dd HTTP/1.1\r\nHost: a\r\n\r\n" + good)
    assert (second.method, second.target, third.target) == ("FOO", "/odd", "/good")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (LINE + HOST + b"A b: c\r\n\r\n", "400 Bad Request: invalid header name"),
        (LINE + HOST + b"A: \x01\r\n\r\n", "400 Bad Request: invalid header value"),
        (LINE + HOST + b"A\r\n\r\n", "400 Bad Request"),
        (LINE + b" A: b\r\n\r\n", "400 Bad Request"),
        (LINE + HOST + HOST + b"\r\n", "400 Bad Request: too many Host headers"),
        (LINE + b"Host: a b\r\n\r\n", "400 Bad Request: malformed Host header"),
        (LINE + b"\r\n", "400 Bad Request: missing required Host header"),
        (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"GET nope HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "400 Bad Request"),
        (LINE + HOST + b"Content-Length: x\r\n\r\n", "400 Bad Request"),
        (LINE + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "400 Bad Request"),
        (LINE + HOST + b"Transfer-Encoding: gzip\r\n\r\n", "501 Not Implemented"),
        (LINE + HOST + b"Expect: magic\r\n\r\n", "417 Expectation Failed"),
        (LINE + HOST + b"A: " + b"b" * 5000, "431 Request Header Fields Too Large"),
        (b"FOO / HTTP/1.1\r\nA: " + b"b" * 5000, "431 Request Header Fields Too Large"),
        (LINE + HOST + b"\r\nGET / HTTP/2.0\r\nHost: a\r\n\r\n", UNSUPPORTED),
    ],
)  # fmt: skip
def test_what_is_refused(parser: RequestParser, data: bytes, text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(parser, data)
    assert caught.value.text == text


@pytest.mark.parametrize(
    "data",
    [b"hello\r\n", b"\r\n" + LINE, b"GET / HTTP/2.0\r\n", b"GET  / HTTP/1.1\r\n", b"GET /\r\n", b"GET /" + b"x" * 5000],
)
def test_what_is_no_http(parser: RequestParser, data: bytes) -> None:
    with pytest.raises(NotHttp):
        read(parser, data)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"zz\r\n", "invalid byte in chunk length"),
        (b"f" * 17 + b"\r\n", "http chunk length too large"),
        (b"1\r\nabc\r\n", "malformed chunked encoding"),
        (b"1\nabc", "malformed chunked encoding"),
        (b"1;" + b"x" * 5000, "header line too long"),
        (b"1\r\na\r\n0\r\nA b\r\n\r\n", 'malformed MIME header: missing colon: "A b"'),
    ],
)
def test_what_is_wrong_with_a_body(body: bytes, text: str) -> None:
    [request] = read(judge := GoParser(head_bytes_max=4096), CHUNKED)
    assert not request.complete
    judge.feed(body)
    assert isinstance(judge.error, BadBody)
    assert str(judge.error) == text


def test_a_body_that_came_with_its_head(parser: RequestParser) -> None:
    parser.feed(CHUNKED + b"1\r\na\r\nzz\r\n")
    request = parser.take()
    assert request is not None
    assert request.body is None
    assert isinstance(parser.error, BadBody)
    assert str(parser.error) == "invalid byte in chunk length"


def test_a_body_that_an_engine_had_begun(parser: RequestParser) -> None:
    [request] = read(parser, CHUNKED + b"1\r\na\r\n")
    parser.feed(b"zz\r\n")
    assert isinstance(parser.error, BadBody)
    assert not request.complete


def test_a_head_is_not_searched_anew_with_every_byte() -> None:
    """A megabyte of head whose bytes come one by one would take minutes of everybody's time."""
    judge = GoParser(head_bytes_max=1 << 20)
    began = time.process_time()
    judge.feed(b"GET / HTTP/1.1\nHost: a\nX: " + b"a\t" * 400_000)
    for _ in range(50_000):
        judge.feed(b"a")
    for byte in b"\n\r\n":
        judge.feed(bytes((byte,)))
    request = judge.take()
    assert request is not None
    assert len(request.headers[b"x"]) == 850_000
    assert time.process_time() - began < 5
