"""What is recalled is what the parser would have said, and nothing is recalled within a message."""

from __future__ import annotations

from random import Random

import pytest

from trioetcd.http11.engines import make_parser
from trioetcd.http11.known_heads import HEADS_MAX, KnownHeads, RememberingParser
from trioetcd.http11.messages import BadRequest, Request
from trioetcd.http11.parser import Engine, RequestParser

ENGINES: tuple[Engine, ...] = ("httptools", "h11")


class CountingParser:
    """A parser that counts how often it is fed."""

    def __init__(self, parser: RequestParser) -> None:
        self._parser = parser
        self.fed = 0

    def feed(self, data: bytes) -> None:
        self.fed += 1
        self._parser.feed(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._parser, name)


@pytest.fixture(params=ENGINES)
def counting(request: pytest.FixtureRequest) -> CountingParser:
    return CountingParser(make_parser(request.param, head_bytes_max=65_536))


@pytest.fixture
def parser(counting: CountingParser) -> RememberingParser:
    return RememberingParser(counting, KnownHeads())  # type: ignore[arg-type] # __getattr__ gives it the rest


def post(body: bytes, *, path: str = "/v3/kv/put", fields: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def facts(request: Request | None) -> tuple[object, ...] | None:
    if request is None:
        return None
    return (request.method, request.target, request.headers, request.body, request.keep_alive, request.complete)


def test_a_head_is_parsed_once(parser: RememberingParser, counting: CountingParser) -> None:
    for body in (b"first", b"other", b"third"):
        parser.feed(post(body))
        request = parser.take()
        assert request is not None
        assert request.body == body
        assert request.target == "/v3/kv/put"
        assert request.headers[b"host"] == b"a"
        assert request.complete
        assert request.keep_alive
        assert parser.take() is None
    assert counting.fed == 1


def test_another_length_is_another_head(parser: RememberingParser, counting: CountingParser) -> None:
    for body in (b"five5", b"sixsix", b"5five"):
        parser.feed(post(body))
        assert parser.take() is not None
    assert counting.fed == 2


@pytest.mark.parametrize(
    "data",
    [
        post(b"x", fields="Connection: close\r\n"),
        post(b"x", fields="Expect: 100-continue\r\n"),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        post(b"a") + post(b"b"),
        post(b"whole")[:-2],
        post(b"x").replace(b"HTTP/1.1", b"HTTP/1.0"),
        post(b"x", fields=f"X: {'y' * 3000}\r\n"),
        b"GET /v3/watch HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
    ids=["close", "expect", "chunked", "pipelined", "in pieces", "old", "long", "upgrade"],
)
def test_what_is_out_of_the_ordinary_is_not_remembered(data: bytes) -> None:
    known = KnownHeads()
    parser = RememberingParser(make_parser("httptools", head_bytes_max=65_536), known)
    parser.feed(data)
    assert parser.take() is not None
    assert known.recall(data) is None


def test_a_known_head_within_a_body_is_body(parser: RememberingParser) -> None:
    inner = post(b"inner")
    parser.feed(inner)
    assert parser.take() is not None
    outer = post(inner)
    split = outer.index(inner)
    parser.feed(outer[:split])  # the head alone; the next receive is, byte for byte, a request that is known
    parser.feed(inner)
    request = parser.take()
    assert request is not None
    assert request.body == inner
    assert parser.take() is None


def test_a_known_head_after_a_broken_message_is_not_served(parser: RememberingParser) -> None:
    parser.feed(post(b"known"))
    assert parser.take() is not None
    parser.feed(b"no HTTP at all\r\n\r\n")
    parser.feed(post(b"known"))
    with pytest.raises(BadRequest):
        parser.take()


def test_a_request_behind_another_one_is_not_taken_for_both() -> None:
    """Go takes lines that end in a bare LF: then the first CRLF CRLF is that of the second request."""
    known = KnownHeads()
    parser = RememberingParser(make_parser("httptools", head_bytes_max=65_536), known)
    data = post(b"").replace(b"\r\n", b"\n") + b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n"
    parser.feed(data)
    assert [request.target for request in iter(parser.take, None)] == ["/v3/kv/put", "/version"]
    assert known.recall(data) is None


@pytest.mark.parametrize("engine", ENGINES)
def test_what_others_sent_changes_no_refusal(engine: Engine) -> None:
    """Only the first line of a connection may be that of another protocol; a later one is refused in HTTP's words."""
    known = KnownHeads()
    for _ in range(2):
        parser = RememberingParser(make_parser(engine, head_bytes_max=65_536), known)
        parser.feed(post(b"x"))
        assert parser.take() is not None
        parser.feed(post(b"x").replace(b"HTTP/1.1", b"HTTP/2.0"))
        with pytest.raises(BadRequest, match="505"):
            parser.take()


def test_what_is_remembered_is_bounded() -> None:
    known = KnownHeads()
    parser = RememberingParser(make_parser("httptools", head_bytes_max=65_536), known)
    first = post(b"x", path="/0")
    for number in range(HEADS_MAX + 1):
        parser.feed(post(b"x", path=f"/{number}"))
        assert parser.take() is not None
    assert known.recall(first) is None
    assert known.recall(post(b"x", path=f"/{HEADS_MAX}")) is not None


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("seed", range(20))
def test_any_stream_in_any_pieces_is_read_alike(engine: Engine, seed: int) -> None:
    random = Random(seed)
    kinds = [
        post(b"abc"),
        post(b"abd"),
        post(post(b"abc")),
        b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        post(b"h2c", fields="Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    ]
    messages = random.choices(kinds, k=30)
    plain = make_parser(engine, head_bytes_max=65_536)
    remembering = RememberingParser(make_parser(engine, head_bytes_max=65_536), KnownHeads())
    pieces: list[bytes] = []
    for message in messages:
        cuts = sorted(random.sample(range(1, len(message)), random.choice((0, 0, 0, 1, 3))))
        pieces += [message[a:b] for a, b in zip((0, *cuts), (*cuts, len(message)), strict=True)]
    taken: list[list[object]] = [[], []]
    for piece in pieces:
        for parser, requests in zip((plain, remembering), taken, strict=True):
            parser.feed(piece)
            while random.random() < 0.9 and (request := parser.take()) is not None:
                requests.append(request)
    for parser, requests in zip((plain, remembering), taken, strict=True):
        while (request := parser.take()) is not None:
            requests.append(request)
    assert len(taken[0]) == len(messages)
    for ours, theirs in zip(*taken, strict=True):
        assert isinstance(ours, Request)
        assert isinstance(theirs, Request)
        assert facts(ours)[:3] == facts(theirs)[:3]  # type: ignore[index] # they are requests
        assert (ours.body or b"".join(ours.parts)) == (theirs.body or b"".join(theirs.parts))
