"""Requests that are begun in the turn in which they came, and answered without their connection's task.

Whatever happens meanwhile, each is answered once, in its turn, or abandoned once, and none is counted for ever.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from itertools import pairwise
from random import Random

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from trioetcd.http11 import (
    BadRequest,
    DateField,
    KnownHeads,
    LeanSocketStream,
    Limits,
    Phase,
    Readiness,
    Reaper,
    Request,
    ServerConnection,
    prepare_head,
)

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")

DATE = DateField(lambda: 784111777.0)
HEAD = prepare_head(200, [])
LARGE = 4 << 20
"""More than any socket takes at once."""


def post(body: bytes, *fields: bytes, version: bytes = b"1.1") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"POST /x HTTP/%b\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (version, lines, len(body), body)


def ok(body: bytes, extra: bytes = b"") -> bytes:
    date = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    return b"HTTP/1.1 200 OK\r\n%b%bContent-Length: %d\r\n\r\n%b" % (extra, date, len(body), body)


class Call:
    """A request that was begun, and how often it was given up."""

    def __init__(self, connection: ServerConnection, request: Request) -> None:
        self.connection = connection
        self.body = request.body or b""
        self.abandoned = 0

    def answer(self, body: bytes | None = None) -> None:
        """Answer it, with what it sent unless that is told."""
        self.connection.answer_begun(HEAD, self.body if body is None else body)

    def abandon(self) -> None:
        self.abandoned += 1


class Rig:
    """A client, and the connection that serves it: `begins` tells what becomes of a request, by its body.

    What is not begun is answered by the connection's task with `long:` before its body.
    """

    def __init__(self, readiness: Readiness, *, limits: Limits | None = None) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.readiness = readiness
        self.stream = LeanSocketStream(ours, readiness=readiness)
        self.connection = ServerConnection(self.stream, date=DATE, limits=limits, known_heads=KnownHeads())
        self.reaper = Reaper()
        self.calls: list[Call] = []
        self.begun_bodies: list[bytes] = []
        self.now_body: bytes | None = None  # of what is answered at once
        self.handling = trio.Event()  # a handler of the connection's task answers once this is set
        self.handling.set()
        self.scope = trio.CancelScope()
        self.served = trio.Event()  # no request comes any more
        self.ended = trio.Event()
        self.on_begin: Callable[[], object] = bool
        self.error: Exception | None = None

    def begin(self, request: Request) -> Call | None:
        body = request.body or b""
        if body.startswith(b"long"):
            return None
        if body.startswith(b"broken"):
            raise ValueError("a defect")
        call = Call(self.connection, request)
        self.begun_bodies.append(body)
        self.on_begin()
        if body.startswith(b"now"):
            call.answer(self.now_body)
        else:
            self.calls.append(call)
        return call

    async def serve(self) -> None:
        try:
            with self.scope, self.reaper.guard(self.connection):
                while await self.connection.next_request(self.begin) is not None:
                    body = await self.connection.read_body(1 << 20)
                    await self.handling.wait()
                    await self.connection.respond_prepared(HEAD, b"long:" + body)
        except BadRequest as error:
            await self.connection.refuse(error)
        except (trio.BrokenResourceError, ValueError) as error:
            self.error = error
        finally:
            self.served.set()
            with trio.move_on_after(1, shield=True):
                await self.connection.aclose()
            self.ended.set()

    def send(self, data: bytes) -> None:
        self.peer.sendall(data)

    async def received(self) -> bytes:
        """What the client has got once everybody waits."""
        await wait_all_tasks_blocked()
        data = b""
        with suppress(BlockingIOError):
            while more := self.peer.recv(1 << 20):
                data += more
        return data

    async def exchange(self, data: bytes) -> bytes:
        self.send(data)
        return await self.received()

    async def begin_one(self, body: bytes = b"slow") -> Call:
        """A request that is begun and waits."""
        self.send(post(body))
        await wait_all_tasks_blocked()
        return self.calls[-1]

    async def read_until(self, size: int) -> bytes:
        """Read as a client does that is awake."""
        data = b""
        while len(data) < size:
            with suppress(BlockingIOError):
                more = self.peer.recv(1 << 20)
                assert more, f"the connection ended after {len(data)} of {size} bytes"
                data += more
            await trio.lowlevel.checkpoint()
        return data

    def fill(self) -> int:
        """Send until the socket is full, beside what the connection sends; the number of bytes."""
        filled = 0
        while sent := self.stream.send_nowait(b"f" * 4096):
            filled += sent
        return filled


@pytest.fixture
async def readiness(nursery: trio.Nursery) -> AsyncIterator[Readiness]:
    shared = Readiness.create()
    assert shared is not None
    with closing(shared):
        await nursery.start(shared.run)
        yield shared
        nursery.cancel_scope.cancel()


@pytest.fixture
def open_rigs() -> Iterator[list[Rig]]:
    rigs: list[Rig] = []
    yield rigs
    for rig in rigs:
        rig.peer.close()


async def start(readiness: Readiness, nursery: trio.Nursery, limits: Limits | None = None) -> Rig:
    """A connection whose usual heads, of bodies of three and four bytes, are known."""
    rig = Rig(readiness, limits=limits)
    await nursery.start(rig.reaper.run)
    nursery.start_soon(rig.serve)
    for body in (b"1st", b"four"):
        assert await rig.exchange(post(body)) == ok(b"long:" + body)
    return rig


@pytest.fixture
async def rig(readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig]) -> Rig:
    rig = await start(readiness, nursery)
    open_rigs.append(rig)
    return rig


async def ends(rig: Rig) -> bool:
    """Whether the connection was closed by now, without a request that is still counted."""
    await wait_all_tasks_blocked()
    if not rig.ended.is_set():
        return False
    assert rig.readiness.begun == 0
    return True


# -- the usual


async def test_what_is_answered_at_once_needs_no_task(rig: Rig) -> None:
    rig.handling = trio.Event()  # the task would not answer
    for _ in range(3):
        assert await rig.exchange(post(b"now")) == ok(b"now")
    assert rig.begun_bodies == [b"now"] * 3
    assert rig.connection.phase is Phase.IDLE
    assert rig.connection.requests_served == 5
    assert rig.readiness.begun == 0


async def test_what_waits_is_answered_by_whoever_has_the_answer(rig: Rig) -> None:
    call = await rig.begin_one()
    assert await rig.received() == b""
    assert rig.connection.phase is Phase.BUSY
    assert rig.readiness.begun == 1
    call.answer(b"result")
    assert await rig.received() == ok(b"result")
    assert rig.connection.phase is Phase.IDLE
    assert rig.readiness.begun == 0
    assert call.abandoned == 0


async def test_what_is_not_taken_is_served_by_the_task_and_counted_once(rig: Rig) -> None:
    assert await rig.exchange(post(b"long")) == ok(b"long:long")
    assert rig.connection.requests_served == 3
    assert await rig.exchange(post(b"now")) == ok(b"now")


@pytest.mark.parametrize(
    ("request_bytes", "extra"),
    [
        (post(b"now", b"Connection: close"), b"Connection: close\r\n"),
        (post(b"now", version=b"1.0"), b""),
        (post(b"now", b"Connection: keep-alive", version=b"1.0"), b"Connection: keep-alive\r\n"),
    ],
)
async def test_what_may_end_the_connection_is_for_the_task(
    readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig], request_bytes: bytes, extra: bytes
) -> None:
    for _ in range(2):  # also when the same head came before, on another connection
        rig = await start(readiness, nursery)
        open_rigs.append(rig)
        assert await rig.exchange(request_bytes) == ok(b"long:now", extra)
        assert await ends(rig) is (b"keep-alive" not in extra)


async def test_without_a_readiness_all_is_for_the_task(nursery: trio.Nursery) -> None:
    theirs, ours = memory_stream_pair()
    connection = ServerConnection(theirs, date=DATE)
    for _ in range(2):
        await ours.send_all(post(b"now"))
        request = await connection.next_request(lambda _: pytest.fail("nobody may begin it"))
        assert request is not None
        await connection.respond_prepared(HEAD, b"")


async def test_a_defect_is_raised_in_the_task(rig: Rig) -> None:
    """As that of a handler is, and takes the member down; not the reader of all connections."""
    assert await rig.exchange(post(b"broken-")) == ok(b"long:broken-")  # its head was not known
    rig.send(post(b"broken-"))
    assert await ends(rig)
    assert isinstance(rig.error, ValueError)


# -- what comes before the answer


async def test_pipelined_requests_wait_for_the_answer_and_keep_their_order(rig: Rig) -> None:
    call = await rig.begin_one()
    for body in (b"abc", b"four", b"now"):
        rig.send(post(body))
        assert await rig.received() == b""
    rig.send(post(b"x" * 11)[:-5])
    assert await rig.received() == b""
    call.answer()
    assert await rig.received() == b"".join([ok(b"slow"), ok(b"long:abc"), ok(b"long:four"), ok(b"long:now")])
    assert await rig.exchange(b"x" * 5) == ok(b"long:" + b"x" * 11)
    assert await rig.exchange(post(b"now")) == ok(b"now")
    assert rig.begun_bodies == [b"slow", b"now"]


@pytest.mark.parametrize("answered_first", [True, False])
async def test_an_answer_and_the_next_request_in_one_turn(
    rig: Rig, readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig], *, answered_first: bool
) -> None:
    """The task may be woken by the next request, and run when the answer has left already."""
    call = await rig.begin_one()
    other = await start(readiness, nursery)
    open_rigs.append(other)
    other.on_begin = call.answer
    for one in (other, rig) if answered_first else (rig, other):  # seen by the reader in this order, in one turn
        one.send(post(b"now"))
    second = ok(b"now") if answered_first else ok(b"long:now")
    assert await rig.received() == ok(b"slow") + second
    assert await other.received() == ok(b"now")
    assert await rig.exchange(post(b"now")) == ok(b"now")


async def test_pipelined_rubbish_is_refused_behind_the_answer(rig: Rig) -> None:
    call = await rig.begin_one()
    assert await rig.exchange(b"rub bish\r\n\r\n") == b""
    call.answer()
    received = await rig.received()
    assert received.startswith(ok(b"slow") + b"HTTP/1.1 400 Bad Request\r\n")
    assert await ends(rig)


async def test_a_client_that_leaves_behind_a_pipelined_request_is_noticed(rig: Rig, autojump_clock: MockClock) -> None:
    """The task waits for the answer and does not read; so somebody else looks after departures."""
    call = await rig.begin_one()
    rig.send(post(b"now"))
    await trio.sleep(60)
    assert not rig.ended.is_set()
    rig.peer.close()
    await trio.sleep(1)
    assert await ends(rig)
    assert call.abandoned == 1


async def test_pipelined_requests_that_were_read_by_who_looks_after_departures_are_served(
    rig: Rig, autojump_clock: MockClock
) -> None:
    call = await rig.begin_one()
    for body in (b"abc", b"now"):
        rig.send(post(body))
        await trio.sleep(60)
    call.answer()
    assert await rig.received() == ok(b"slow") + ok(b"long:abc") + ok(b"long:now")
    assert await rig.exchange(post(b"now")) == ok(b"now")


async def test_a_request_that_fills_the_buffer(rig: Rig, autojump_clock: MockClock) -> None:
    """There is no other edge for what a full read left behind."""
    size = 65_536 - len(post(b"." * 65_000)) + 65_000
    assert len(post(b"now" + b"." * (size - 3))) == 65_536
    long, now, slow = (start + b"." * (size - len(start)) for start in (b"long", b"now", b"slow"))
    assert await rig.exchange(post(long)) == ok(b"long:" + long)
    assert await rig.exchange(post(long) + post(b"now")) == ok(b"long:" + long) + ok(b"now")
    assert await rig.exchange(post(now) + post(b"now")) == ok(now) + ok(b"now")
    assert await rig.exchange(post(slow) + post(b"now")) == b""
    await trio.sleep(60)
    rig.calls[0].answer()
    assert await rig.received() == ok(slow) + ok(b"long:now")
    assert await rig.exchange(post(b"now")) == ok(b"now")
    assert rig.readiness.begun == 0


# -- answers that leave together


async def test_answers_of_requests_that_waited_leave_together(
    readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig]
) -> None:
    """Their connections wait to be read, and are served all the same."""
    open_rigs += [await start(readiness, nursery) for _ in range(3)]
    calls = [await rig.begin_one() for rig in open_rigs]
    for call in calls:
        call.answer()
    assert [rig.stream.has_unsent for rig in open_rigs] == [True, False, False]  # so many more are served
    for rig in open_rigs:
        assert await rig.received() == ok(b"slow")


# -- the client's end


@pytest.mark.parametrize("body", [b"now", b"four", b"long"])
async def test_a_request_that_comes_with_the_end(rig: Rig, body: bytes) -> None:
    rig.send(post(body))
    rig.peer.shutdown(socket.SHUT_WR)
    await wait_all_tasks_blocked()
    for call in rig.calls:
        call.answer()
    assert await rig.received() == ok(b"long:long" if body == b"long" else body)
    assert await ends(rig)
    assert [call.abandoned for call in rig.calls] == [0] * len(rig.calls)


async def test_an_answer_that_is_under_way_when_the_client_ends_its_side(rig: Rig, autojump_clock: MockClock) -> None:
    call = await rig.begin_one()
    rig.peer.shutdown(socket.SHUT_WR)
    await trio.sleep(0.2)
    assert not rig.ended.is_set()
    call.answer()
    assert await rig.received() == ok(b"slow")
    assert await ends(rig)
    assert call.abandoned == 0


async def test_an_end_while_a_request_waits_abandons_it(rig: Rig, autojump_clock: MockClock) -> None:
    call = await rig.begin_one()
    rig.peer.shutdown(socket.SHUT_WR)
    await trio.sleep(0.3)
    assert await ends(rig)
    assert call.abandoned == 1
    assert await rig.received() == b""


async def test_a_reset_while_a_request_waits_abandons_it(
    readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socketpair", tcp_pair)
    rig = await start(readiness, nursery)
    open_rigs.append(rig)
    call = await rig.begin_one()
    rig.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    rig.peer.close()
    with trio.fail_after(5):
        await rig.ended.wait()
    assert await ends(rig)
    assert isinstance(rig.error, trio.BrokenResourceError)
    assert call.abandoned == 1


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
    return ours, theirs


async def test_an_answer_to_a_client_that_left_hurts_nobody(rig: Rig) -> None:
    call = await rig.begin_one()
    rig.peer.close()
    call.answer()  # before anybody has seen it
    assert await ends(rig)
    assert call.abandoned == 0


# -- the server's end


async def test_a_cancelled_connection_abandons_once_what_waits(rig: Rig) -> None:
    call = await rig.begin_one()
    rig.scope.cancel()
    assert await ends(rig)
    assert call.abandoned == 1
    await rig.connection.aclose()
    assert call.abandoned == 1


async def test_a_cancelled_connection_abandons_once_what_waits_before_another(rig: Rig) -> None:
    call = await rig.begin_one()
    rig.send(post(b"now"))
    await wait_all_tasks_blocked()
    rig.scope.cancel()
    assert await ends(rig)
    assert call.abandoned == 1


async def test_an_answer_in_the_turn_of_a_cancellation_arrives(rig: Rig) -> None:
    call = await rig.begin_one()
    rig.scope.cancel()
    call.answer()
    assert await rig.received() == ok(b"slow")
    assert await ends(rig)
    assert call.abandoned == 0


@pytest.mark.parametrize("pipelined", [b"", post(b"now")])
async def test_finish_lets_the_one_that_waits_be_the_last(rig: Rig, pipelined: bytes) -> None:
    call = await rig.begin_one()
    rig.connection.finish()
    rig.send(pipelined)
    await wait_all_tasks_blocked()
    assert not rig.ended.is_set()
    call.answer()
    assert await rig.received() == ok(b"slow", b"Connection: close\r\n")
    assert await ends(rig)


async def test_after_finish_nothing_is_begun(rig: Rig) -> None:
    rig.connection.finish()
    assert await rig.exchange(post(b"now")) == b""
    assert await ends(rig)


# -- a client that does not read


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_large_answer_is_sent_as_the_client_reads(rig: Rig, at_once: bool) -> None:
    body = bytes(range(256)) * (LARGE // 256)
    rig.now_body = body
    rig.send(post(b"now" if at_once else b"slow"))
    await wait_all_tasks_blocked()
    for call in rig.calls:
        call.answer(body)
    assert rig.connection.phase is Phase.IDLE
    assert rig.stream.has_unsent
    assert await rig.read_until(len(ok(body))) == ok(body)
    assert not rig.stream.has_unsent


async def test_a_full_socket_takes_the_answer_later(rig: Rig) -> None:
    call = await rig.begin_one()
    filled = rig.fill()
    call.answer(b"result")
    await wait_all_tasks_blocked()
    assert rig.stream.has_unsent
    assert await rig.read_until(filled + len(ok(b"result"))) == b"f" * filled + ok(b"result")


async def test_nothing_is_begun_while_an_answer_waits_for_the_client(rig: Rig) -> None:
    """Else answers would gather for who does not read."""
    call = await rig.begin_one()
    call.answer(b"l" * LARGE)
    for _ in range(50):
        rig.send(post(b"now"))
        await wait_all_tasks_blocked()
    assert rig.begun_bodies == [b"slow"]
    expected = ok(b"l" * LARGE) + ok(b"long:now") * 50
    assert await rig.read_until(len(expected)) == expected
    assert await rig.exchange(post(b"now")) == ok(b"now")


@pytest.mark.parametrize("ending", ["the client ends its side", "finish"])
async def test_a_large_answer_is_not_cut_short_by_the_end(rig: Rig, autojump_clock: MockClock, ending: str) -> None:
    """Who closes the connection does not wait for long: so what comes before waits for the client to read."""
    call = await rig.begin_one()
    if ending == "finish":
        rig.connection.finish()
    call.answer(b"l" * LARGE)
    if ending != "finish":
        rig.peer.shutdown(socket.SHUT_WR)
    await trio.sleep(60)
    assert not rig.served.is_set()
    expected = ok(b"l" * LARGE, b"Connection: close\r\n" if ending == "finish" else b"")
    assert await rig.read_until(len(expected)) == expected
    assert await ends(rig)


# -- deadlines


async def test_a_connection_that_idles_after_a_begun_request_is_ended(
    readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig], autojump_clock: MockClock
) -> None:
    rig = await start(readiness, nursery, Limits(head_seconds=10, idle_seconds=60))
    open_rigs.append(rig)
    for _ in range(4):
        await trio.sleep(50)
        assert await rig.exchange(post(b"now")) == ok(b"now")
    await trio.sleep(59)
    assert not rig.ended.is_set()
    await trio.sleep(2)
    assert await ends(rig)


async def test_a_head_that_drips_after_a_begun_request_is_ended(
    readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig], autojump_clock: MockClock
) -> None:
    rig = await start(readiness, nursery, Limits(head_seconds=10, idle_seconds=60))
    open_rigs.append(rig)
    assert await rig.exchange(post(b"now")) == ok(b"now")
    rig.send(b"POST /")
    await trio.sleep(9)
    assert not rig.ended.is_set()
    await trio.sleep(2)
    assert await ends(rig)


async def test_a_request_that_waits_is_not_idle(
    readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig], autojump_clock: MockClock
) -> None:
    rig = await start(readiness, nursery, Limits(head_seconds=10, idle_seconds=60))
    open_rigs.append(rig)
    call = await rig.begin_one()
    await trio.sleep(600)
    call.answer()
    assert await rig.received() == ok(b"slow")


# -- whatever comes when


def answers_in(received: bytes) -> tuple[list[bytes], bytes]:
    """The bodies of the answers that are there whole, and the rest."""
    found = []
    while (end := received.find(b"\r\n\r\n") + 4) > 3:
        assert received.startswith(b"HTTP/1.1 200 OK\r\n"), "an answer does not follow the one before"
        size = int(received[:end].partition(b"Content-Length: ")[2])
        if len(received) < end + size:
            break
        found.append(received[end : end + size])
        received = received[end + size :]
    return found, received


def bursts_of(bodies: list[bytes], random: Random) -> Iterator[list[bytes]]:
    """Requests as they may be sent: one most often, else several at once; in one piece or in some."""
    while bodies:
        together = random.choice([1, 1, 1, 1, 1, 2, 3])
        data = b"".join(map(post, bodies[:together]))
        del bodies[:together]
        cuts = sorted(random.choices(range(len(data)), k=random.choice([0, 0, 0, 1, 2])))
        yield [data[start:end] for start, end in pairwise([0, *cuts, len(data)])]


@pytest.mark.parametrize("seed", range(20))
async def test_every_request_is_answered_once_and_in_its_turn(rig: Rig, autojump_clock: MockClock, seed: int) -> None:
    """Pipelined or not, in pieces or not; answered whenever it may be, to a client that reads when it likes."""
    random = Random(seed)
    kinds = random.choices([b"now", b"slow", b"long"], k=60)
    bodies = [b"%b%03d%b" % (kind, number, b"." * random.choice([0, 0, 500])) for number, kind in enumerate(kinds)]
    for size in {len(body) for body in bodies}:  # their heads are known then
        await rig.exchange(post(b"long".ljust(size, b".")))
    bursts = bursts_of(list(bodies), random)
    pieces: list[bytes] = []
    answers: list[bytes] = []
    rest = b""
    while len(answers) < len(bodies):
        match random.choice(["send", "send", "sleep", "answer", "read"]):
            case "send":
                if not pieces and (rig.connection.phase is Phase.IDLE or random.random() < 0.05):
                    pieces = next(bursts, [])
                if pieces:
                    with suppress(BlockingIOError):
                        pieces[0] = pieces[0][rig.peer.send(pieces[0]) :]
                    pieces = pieces if pieces[0] else pieces[1:]
                if random.random() < 0.8:
                    await wait_all_tasks_blocked()
            case "sleep":
                await trio.sleep(random.choice([0, 0, 0, 0.1, 1]))
            case "answer" if rig.calls:
                rig.calls.pop(0).answer(random.choice([None, None, None, b"." * 1_000_000]))
            case "read":
                more, rest = answers_in(rest + await rig.received())
                answers += more
    assert rest == b""
    assert len(rig.begun_bodies) >= 3
    for body, answer in zip(bodies, answers, strict=True):
        assert answer.removeprefix(b"long:") == body or (len(answer) == 1_000_000 and body.startswith(b"slow"))
    assert rig.readiness.begun == 0
    assert await rig.exchange(post(b"now")) == ok(b"now")
