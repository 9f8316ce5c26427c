"""Requests that are begun in the turn in which they came, and answered without their connection's task.

Whatever happens meanwhile, each is answered once, in its turn, or abandoned once, and none is counted for ever.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from tests.http11.begun_rig import DATE, HEAD, Rig, ends, ok, post, start
from trioetcd.http11 import Limits, Phase, Readiness, ServerConnection

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")

LARGE = 4 << 20
"""More than any socket takes at once."""


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


@pytest.fixture
async def rig(readiness: Readiness, nursery: trio.Nursery, open_rigs: list[Rig]) -> Rig:
    rig = await start(readiness, nursery)
    open_rigs.append(rig)
    return rig


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


async def test_whoever_can_serve_a_lone_request_now_may(open_rigs: list[Rig]) -> None:
    """It is answered before any other task has its turn; with others beside it, it takes its time."""
    hastened = 0

    def hasten() -> None:
        nonlocal hastened
        hastened += 1
        open_rigs[0].calls[-1].answer(b"soon")

    readiness = Readiness.create(hasten=hasten)
    assert readiness is not None
    with closing(readiness):
        async with trio.open_nursery() as nursery:
            await nursery.start(readiness.run)
            open_rigs += [await start(readiness, nursery) for _ in range(2)]
            first, second = open_rigs
            for count in (1, 2):
                assert await first.exchange(post(b"slow")) == ok(b"soon")
                assert hastened == count
                assert readiness.begun == 0
            assert await first.exchange(post(b"now")) == ok(b"now")
            assert hastened == 2, "what is answered already is not hastened"
            first.send(post(b"slow"))
            second.send(post(b"slow"))
            await wait_all_tasks_blocked()
            assert hastened == 2, "two came together"
            for rig in open_rigs:
                rig.calls[-1].answer()
                assert await rig.received() == ok(b"slow")
            call = await first.begin_one()
            assert hastened == 2, "others may follow at once, as the last time"
            call.answer()
            assert await first.received() == ok(b"slow")
            assert await first.exchange(post(b"slow")) == ok(b"soon")
            nursery.cancel_scope.cancel()


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


@pytest.mark.parametrize("gives_up", ["the client", "the server"])
async def test_an_answer_that_is_never_read_keeps_nobody(rig: Rig, autojump_clock: MockClock, gives_up: str) -> None:
    call = await rig.begin_one()
    call.answer(b"l" * LARGE)
    rig.peer.shutdown(socket.SHUT_WR)
    await trio.sleep(60)
    if gives_up == "the client":
        rig.peer.close()
    await trio.sleep(1 if gives_up == "the client" else 300)
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
