"""The server's side: the same behaviour from both engines, over streams in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from trioetcd.http11 import (
    BadBody,
    BadRequest,
    BodyTooLarge,
    DateField,
    Engine,
    Limits,
    NotHttp,
    Phase,
    Reaper,
    ServerConnection,
)

DATE = DateField(lambda: 784111777.0)
DATE_LINE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
GET = b"GET /path?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=["httptools", "h11"])
def engine(request: pytest.FixtureRequest) -> Engine:
    value: Engine = request.param
    return value


class Peer:
    """A client that writes bytes, and what it reads."""

    def __init__(self, engine: Engine, limits: Limits | None = None) -> None:
        theirs, self.stream = memory_stream_pair()
        self.connection = ServerConnection(theirs, engine=engine, date=DATE, limits=limits)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def received(self) -> bytes:
        """What the server has sent; empty when that is nothing."""
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.02):
            return bytes(await self.stream.receive_some())
        return b""

    async def close(self) -> None:
        await self.stream.send_eof()


def expected(body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%b%bContent-Length: %d\r\n\r\n%b" % (extra, DATE_LINE, len(body), body)


async def test_a_request_whole_in_one_piece(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(
        b"POST /a%20b?q=1&r HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\nX-Empty:\r\nContent-Length: 4\r\n\r\nbody"
    )
    request = await peer.connection.next_request()
    assert request is not None
    assert (request.method, request.target, request.path, request.query) == ("POST", "/a%20b?q=1&r", "/a%20b", "q=1&r")
    assert request.headers == {b"host": b"a", b"x-a": b"1, 2", b"x-empty": b"", b"content-length": b"4"}
    assert (request.body, request.complete, request.keep_alive) == (b"body", True, True)
    await peer.connection.respond(200, [(b"X-B", b"3")], b"hi")
    assert await peer.received() == expected(b"hi", b"X-B: 3\r\n")


async def test_a_request_byte_by_byte(engine: Engine) -> None:
    peer = Peer(engine)
    data = b"POST /abc HTTP/1.1\r\nHost: example\r\nX-Long-Name: some value\r\nContent-Length: 5\r\n\r\nhello"

    async def drip() -> None:
        for index in range(len(data)):
            await peer.send(data[index : index + 1])
            await trio.testing.wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        request = await peer.connection.next_request()
        assert request is not None
        assert request.target == "/abc"
        assert request.headers[b"x-long-name"] == b"some value"
        assert request.body is None
        assert await peer.connection.read_body(5) == b"hello"
        await peer.connection.respond(200, [], b"")


async def test_pipelined_requests_are_answered_in_order(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(GET + b"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + GET.replace(b"path", b"3"))
    await peer.close()
    targets = []
    while (request := await peer.connection.next_request()) is not None:
        targets.append((request.path, request.body))
        await peer.connection.respond(200, [], request.path.encode())
    assert targets == [("/path", b""), ("/2", b"abc"), ("/3", b"")]
    assert await peer.received() == expected(b"/path") + expected(b"/2") + expected(b"/3")


async def test_a_bad_request_behind_good_ones_waits_for_its_turn(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(GET + b"nonsense\r\n\r\n")
    assert await peer.connection.next_request() is not None
    await peer.connection.respond(200, [], b"")
    with pytest.raises(BadRequest) as caught:
        await peer.connection.next_request()
    await peer.connection.refuse(caught.value)
    head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
    assert await peer.received() == expected(b"") + head + b"400 Bad Request"
    assert await peer.connection.next_request() is None


async def test_chunked_bodies(engine: Engine) -> None:
    peer = Peer(engine)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    await peer.send(head + b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: x\r\n\r\n" + GET)
    request = await peer.connection.next_request()
    assert request is not None
    assert request.body == b"abcde"
    assert b"trailer" not in request.headers
    await peer.connection.respond(200, [], b"")
    following = await peer.connection.next_request()
    assert following is not None
    assert following.headers == {b"host": b"a"}


async def test_a_body_read_as_it_arrives_while_the_response_streams(engine: Engine) -> None:
    peer = Peer(engine)
    connection = peer.connection
    await peer.send(b"POST /v3/watch HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert await connection.next_request() is not None
    await peer.send(b"3\r\nabc\r\n")
    assert await connection.read_chunk() == b"abc"
    await connection.start_stream(200, [(b"X-A", b"1")])
    assert await peer.received() == b""
    await connection.send_chunk(b"first")
    head = b"HTTP/1.1 200 OK\r\nX-A: 1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % DATE_LINE
    assert await peer.received() == head + b"5\r\nfirst\r\n"
    await peer.send(b"1\r\nd\r\n0\r\n\r\n")
    assert await connection.read_chunk() == b"d"
    assert await connection.read_chunk() == b""
    await connection.send_chunk(b"0123456789abcdef")
    await connection.end_stream()
    assert await peer.received() == b"10\r\n0123456789abcdef\r\n0\r\n\r\n"
    await peer.send(GET)
    assert await connection.next_request() is not None


async def test_a_stream_that_ends_before_its_request_ends_the_connection(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert await peer.connection.next_request() is not None
    await peer.connection.start_stream(200, [])
    await peer.connection.end_stream()
    assert (await peer.received()).endswith(b"\r\n\r\n0\r\n\r\n")
    await peer.close()
    assert await peer.connection.next_request() is None


async def test_http_1_0_gets_no_chunks_and_ends_unless_it_asked(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert await peer.connection.next_request() is not None
    await peer.connection.respond(200, [], b"x")
    assert b"Connection: keep-alive\r\n" in await peer.received()
    await peer.send(b"GET / HTTP/1.0\r\n\r\n")
    assert await peer.connection.next_request() is not None
    await peer.connection.start_stream(200, [])
    await peer.connection.send_chunk(b"plain")
    await peer.connection.end_stream()
    answer = await peer.received()
    assert answer.endswith(b"\r\n\r\nplain")
    assert b"Connection:" not in answer, "as of Go's server: without keep-alive there is nothing to say"
    assert b"chunked" not in answer
    assert await peer.connection.next_request() is None


async def test_connection_close_is_kept_to(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
    assert await peer.connection.next_request() is not None
    await peer.connection.respond(200, [], b"")
    assert b"Connection: close\r\n" in await peer.received()
    assert await peer.connection.next_request() is None


async def test_expect_continue_is_answered_when_the_body_is_wanted(engine: Engine) -> None:
    peer = Peer(engine)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
    await peer.send(head)
    request = await peer.connection.next_request()
    assert request is not None
    assert request.expects_continue

    async def answer() -> None:
        assert await peer.stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"body")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        assert await peer.connection.read_body(4) == b"body"
    await peer.connection.respond(200, [], b"")
    assert await peer.received() == expected(b"")

    await peer.send(head + b"hast")
    request = await peer.connection.next_request()
    assert request is not None
    assert request.body is None
    assert await peer.connection.read_body(5) == b"hast"
    assert await peer.received() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await peer.connection.respond(200, [], b"")
    assert await peer.received() == expected(b"")


async def test_a_body_that_was_promised_and_not_wanted_ends_the_connection(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert await peer.connection.next_request() is not None
    await peer.connection.respond(200, [], b"")  # unread: the client may or may not send it, so nothing can follow
    assert b"Connection: close\r\n" in await peer.received()
    assert await peer.connection.next_request() is None


async def test_an_unread_body_is_passed_over(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabcd")
    assert await peer.connection.next_request() is not None
    await peer.connection.respond(200, [], b"")
    await peer.send(b"efgh" + GET)
    request = await peer.connection.next_request()
    assert request is not None
    assert request.path == "/path"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 11\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n"]
)
async def test_a_body_beyond_the_limit_is_refused(engine: Engine, framing: bytes) -> None:
    peer = Peer(engine)
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
    assert await peer.connection.next_request() is not None
    with pytest.raises(BodyTooLarge) as caught:
        await peer.connection.read_body(10)
    assert (caught.value.size, caught.value.limit) == (11, 10)


async def test_a_body_in_many_pieces_is_put_together_as_they_come(engine: Engine, nursery: trio.Nursery) -> None:
    """Whatever is done to each piece that has come, with every piece that comes, is too much for many small ones."""
    peer = Peer(engine)
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    request = await peer.connection.next_request()
    assert request is not None
    bodies: list[bytes] = []

    async def read() -> None:
        bodies.append(await peer.connection.read_body(1000))

    nursery.start_soon(read)
    for _ in range(20):
        await peer.send(b"1\r\nx\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert not request.parts
    await peer.send(b"0\r\n\r\n")
    await trio.testing.wait_all_tasks_blocked()
    assert bodies == [b"x" * 20]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nbad name: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 1\r\n\r\nx", 417),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n", 431),
    ],
)
async def test_what_is_not_http_is_refused(engine: Engine, data: bytes, status: int) -> None:
    peer = Peer(engine, Limits(head_bytes_max=65_536))
    await peer.send(data)
    with pytest.raises(BadRequest) as caught:
        await peer.connection.next_request()
    assert caught.value.status == status


@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"])
async def test_what_is_no_http_at_all_is_not_answered(engine: Engine, data: bytes) -> None:
    peer = Peer(engine)
    await peer.send(data)
    with pytest.raises(NotHttp):
        await peer.connection.next_request()


async def test_a_broken_chunk_is_refused_where_it_is_read(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert await peer.connection.next_request() is not None
    await peer.send(b"zz\r\n")
    with pytest.raises(BadBody, match="malformed chunked encoding"):
        await peer.connection.read_body(100)


async def test_the_client_leaves_in_the_middle(engine: Engine) -> None:
    for sent in (b"", b"GET / HT"):
        peer = Peer(engine)
        if sent:
            await peer.send(sent)
        await peer.close()
        assert await peer.connection.next_request() is None
    peer = Peer(engine)
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabcd")
    await peer.close()
    assert await peer.connection.next_request() is not None
    with pytest.raises(BadBody, match="unexpected EOF"):
        await peer.connection.read_body(8)


async def test_an_upgrade_that_is_not_ours_is_passed_over(engine: Engine) -> None:
    peer = Peer(engine)
    head = (
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    )
    await peer.send(head + b"Content-Length: 4\r\n\r\nbody" + GET)
    request = await peer.connection.next_request()
    assert request is not None
    assert (request.body, request.upgrade, request.keep_alive) == (b"body", False, True)
    await peer.connection.respond(200, [], b"")
    assert await peer.connection.next_request() is not None


async def test_a_websocket_handshake_is_given_away_with_what_followed(engine: Engine) -> None:
    peer = Peer(engine)
    head = b"GET /v3/watch HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\r\n"
    await peer.send(head + b"\x81\x00")
    request = await peer.connection.next_request()
    assert request is not None
    assert request.upgrade
    stream = peer.connection.detach()
    assert await stream.receive_some(5) == head[:5]
    assert await stream.receive_some() == head[5:] + b"\x81\x00"
    await peer.send(b"more")
    assert await stream.receive_some() == b"more"
    await stream.send_all(b"answer")
    assert await peer.received() == b"answer"


async def test_head_requests_get_the_head_alone(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert await peer.connection.next_request() is not None
    await peer.connection.respond(405, [], b"Method Not Allowed\n")
    answer = await peer.received()
    assert answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert answer.endswith(b"Content-Length: 19\r\n\r\n")


async def test_finish_lets_no_request_follow(engine: Engine) -> None:
    peer = Peer(engine)
    await peer.send(GET + GET)
    assert await peer.connection.next_request() is not None
    peer.connection.finish()
    await peer.connection.respond(200, [], b"")
    assert b"Connection: close\r\n" in await peer.received()
    assert await peer.connection.next_request() is None


# -- the reaper


@asynccontextmanager
async def guarded(peer: Peer, handler: Callable[[], Awaitable[None]]) -> AsyncIterator[trio.Event]:
    """Serve the peer with a handler that answers by itself, under a reaper; the event tells that it was ended."""
    ended = trio.Event()
    reaper = Reaper()

    async def serve() -> None:
        with reaper.guard(peer.connection):
            while await peer.connection.next_request() is not None:
                await handler()
        await peer.connection.aclose()
        ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(reaper.run)
        nursery.start_soon(serve)
        yield ended
        nursery.cancel_scope.cancel()


async def test_slow_heads_and_idle_connections_are_ended(engine: Engine, autojump_clock: MockClock) -> None:
    peer = Peer(engine, Limits(head_seconds=10, idle_seconds=60))

    async def answer() -> None:
        await peer.connection.respond(200, [], b"")

    async with guarded(peer, answer) as ended:
        await trio.sleep(9)
        await peer.send(GET)
        await trio.sleep(59)
        assert not ended.is_set()
        assert peer.connection.phase is Phase.IDLE
        await trio.sleep(2)
        assert ended.is_set()

    for sent in (b"", b"GET / HT"):
        peer = Peer(engine, Limits(head_seconds=10, idle_seconds=60))
        async with guarded(peer, answer) as ended:
            if sent:
                await peer.send(sent)
            await trio.sleep(9)
            assert not ended.is_set()
            await trio.sleep(2)
            assert ended.is_set()


async def test_a_client_that_leaves_cancels_the_request_that_waits(engine: Engine, autojump_clock: MockClock) -> None:
    peer = Peer(engine)
    async with guarded(peer, trio.sleep_forever) as ended:
        await peer.send(GET)
        await trio.sleep(600)
        assert not ended.is_set()
        await peer.close()
        await trio.sleep(1)
        assert ended.is_set()


async def test_what_arrives_while_a_request_waits_is_served_after_it(engine: Engine, autojump_clock: MockClock) -> None:
    peer = Peer(engine)

    async def slow() -> None:
        await trio.sleep(5)
        await peer.connection.respond(200, [], b"")

    async with guarded(peer, slow) as ended:
        for _ in range(3):
            await peer.send(GET)
            await trio.sleep(2)
        await trio.sleep(20)
        assert await peer.received() == expected(b"") * 3
        assert not ended.is_set()


class Unhurried(trio.abc.Stream):
    """Gives what comes also to a reader that was cancelled meanwhile, as any stream may."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=True):
            return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_a_request_that_comes_while_its_reader_changes_is_served(engine: Engine) -> None:
    """Who looked after departures reads it, in the moment in which it is told to stop."""
    theirs, ours = memory_stream_pair()
    connection = ServerConnection(Unhurried(theirs), engine=engine, date=DATE)
    await ours.send_all(GET)
    assert await connection.next_request() is not None

    async def send_one_and_end() -> None:
        await ours.send_all(GET)
        await trio.testing.wait_all_tasks_blocked()
        await ours.send_eof()

    async with trio.open_nursery() as nursery:
        connection.watch_departure(nursery, nursery.cancel_scope)
        await trio.testing.wait_all_tasks_blocked()
        await connection.respond(200, [], b"")
        nursery.start_soon(send_one_and_end)
        assert await connection.next_request() is not None


async def test_a_body_that_drips_is_given_up(engine: Engine, autojump_clock: MockClock) -> None:
    peer = Peer(engine, Limits(head_seconds=10, body_bytes_per_second_min=1024))
    await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
    assert await peer.connection.next_request() is not None

    async def drip() -> None:
        while True:
            await peer.send(b"x")
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        start = trio.current_time()
        with pytest.raises(BadRequest) as caught:
            await peer.connection.read_body(100_000)
        assert caught.value.status == 408
        assert trio.current_time() - start < 12
        nursery.cancel_scope.cancel()
