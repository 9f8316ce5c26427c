"""Both engines on generated input: the same requests however the bytes are cut, and BadRequest alone for noise."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioetcd.http11 import Engine, HttpError
from trioetcd.http11.engines import make_parser

ENGINES: tuple[Engine, ...] = get_args(Engine)

bodies = st.binary(max_size=40)
requests = st.lists(
    st.tuples(st.sampled_from(["/a", "/v3/kv/put?x=1"]), st.one_of(bodies, st.lists(bodies))), max_size=5
)
fragments = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [
                b"GET / HTTP/1.1\r\n",
                b"POST /x HTTP/1.1\r\nHost: a\r\n",
                b"Content-Length: 3\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
                b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
                b"Connection: close\r\n",
                b"\r\n",
                b"3\r\nabc\r\n",
                b"0\r\n\r\n",
            ]
        ),
    ),
    max_size=12,
)


def written(target: str, body: bytes | list[bytes]) -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: a\r\n" % target.encode()
    if isinstance(body, bytes):
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body if piece)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


@pytest.mark.parametrize("engine", ENGINES)
@given(sent=requests, cuts=st.sets(st.integers(1, 600), max_size=8))
def test_the_cuts_do_not_matter(engine: Engine, sent: list[tuple[str, bytes | list[bytes]]], cuts: set[int]) -> None:
    data = b"".join(written(target, body) for target, body in sent)
    parser = make_parser(engine, head_bytes_max=65_536)
    received = []
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for start, end in pairwise(places):
        parser.feed(data[start:end])
        while (request := parser.take()) is not None:
            received.append(request)
    assert parser.error is None
    assert not parser.in_head
    assert all(request.complete for request in received)
    whole = [(one.target, one.body if one.body is not None else b"".join(one.parts)) for one in received]
    assert whole == [(target, body if isinstance(body, bytes) else b"".join(body)) for target, body in sent]


@pytest.mark.parametrize("engine", ENGINES)
@given(pieces=fragments)
def test_noise_is_refused_and_nothing_else_happens(engine: Engine, pieces: list[bytes]) -> None:
    parser = make_parser(engine, head_bytes_max=65_536)
    with suppress(HttpError):
        for piece in pieces:
            if piece:
                parser.feed(piece)
            while parser.take() is not None:
                continue


@pytest.mark.parametrize("engine", ENGINES)
def test_connect_is_a_method_like_others(engine: Engine) -> None:
    parser = make_parser(engine, head_bytes_max=65_536)
    parser.feed(b"CONNECT /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    request = parser.take()
    assert request is not None
    assert (request.method, request.target, request.body, request.keep_alive) == ("CONNECT", "/x", b"", False)
    parser.feed(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
    assert parser.take() is not None
    assert parser.error is None
