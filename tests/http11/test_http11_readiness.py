"""Sockets that share one epoll: nothing that arrives is missed, whatever it coincides with."""

from __future__ import annotations

import select
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import count

import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from trioetcd.http11 import LeanSocketStream, Readiness
from trioetcd.http11.readiness import TURN_SECONDS

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")


@pytest.fixture
async def readiness(nursery: trio.Nursery) -> AsyncIterator[Readiness]:
    shared = Readiness.create()
    assert shared is not None
    with closing(shared):
        await nursery.start(shared.run)
        yield shared
        nursery.cancel_scope.cancel()


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.fixture
def stream(readiness: Readiness, sockets: tuple[socket.socket, socket.socket]) -> LeanSocketStream:
    return LeanSocketStream(sockets[0], readiness=readiness)


@pytest.fixture
def peer(sockets: tuple[socket.socket, socket.socket]) -> socket.socket:
    return sockets[1]


async def test_data_wakes_the_reader(stream: LeanSocketStream, peer: socket.socket, nursery: trio.Nursery) -> None:
    received: list[bytes] = []

    async def read() -> None:
        received.append(await stream.receive_some())

    nursery.start_soon(read)
    await wait_all_tasks_blocked()
    assert received == []
    peer.sendall(b"hello")
    with trio.fail_after(5):
        while not received:
            await trio.lowlevel.checkpoint()
    assert received == [b"hello"]


async def test_what_came_while_nobody_waited_is_there_for_the_next_read(
    stream: LeanSocketStream, peer: socket.socket
) -> None:
    with trio.fail_after(5):
        for word in (b"one", b"two", b"three"):
            peer.sendall(word)
            await wait_all_tasks_blocked()
            assert await stream.receive_some() == word


async def test_more_than_a_buffer_is_read_without_another_edge(stream: LeanSocketStream, peer: socket.socket) -> None:
    peer.sendall(b"x" * 100)
    with trio.fail_after(5):
        pieces = [await stream.receive_some(30) for _ in range(4)]
    assert [len(piece) for piece in pieces] == [30, 30, 30, 10]


async def test_an_end_that_came_with_the_last_data_is_seen(stream: LeanSocketStream, peer: socket.socket) -> None:
    peer.sendall(b"last words")
    peer.shutdown(socket.SHUT_WR)
    with trio.fail_after(5):
        assert await stream.receive_some() == b"last words"
        assert await stream.receive_some() == b""
        assert await stream.receive_some() == b""


async def test_an_end_that_comes_alone_wakes_the_reader(
    stream: LeanSocketStream, peer: socket.socket, nursery: trio.Nursery
) -> None:
    async def leave() -> None:
        await wait_all_tasks_blocked()
        peer.close()

    nursery.start_soon(leave)
    with trio.fail_after(5):
        assert await stream.receive_some() == b""


async def test_a_cancelled_wait_loses_nothing(stream: LeanSocketStream, peer: socket.socket) -> None:
    with trio.move_on_after(0.01) as scope:
        await stream.receive_some()
    assert scope.cancelled_caught
    peer.sendall(b"still here")
    with trio.fail_after(5):
        assert await stream.receive_some() == b"still here"


async def test_closing_wakes_the_reader(stream: LeanSocketStream, nursery: trio.Nursery) -> None:
    async def close() -> None:
        await wait_all_tasks_blocked()
        await stream.aclose()

    nursery.start_soon(close)
    with trio.fail_after(5), pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()


async def test_a_descriptor_that_is_used_again_begins_anew(readiness: Readiness) -> None:
    """What was known of a closed socket says nothing of the next one under its number."""
    for _ in range(3):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        stream = LeanSocketStream(ours, readiness=readiness)
        theirs.sendall(b"word")
        theirs.close()
        await wait_all_tasks_blocked()
        await stream.aclose()
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        stream = LeanSocketStream(ours, readiness=readiness)
        with trio.move_on_after(0.01) as scope:
            await stream.receive_some()
        assert scope.cancelled_caught
        await stream.aclose()


async def test_many_sockets_at_once(readiness: Readiness) -> None:
    pairs = [socket.socketpair() for _ in range(300)]
    received: list[bytes] = []

    async def read(ours: socket.socket) -> None:
        ours.setblocking(False)
        stream = LeanSocketStream(ours, readiness=readiness)
        received.append(await stream.receive_some())
        await stream.aclose()

    with trio.fail_after(10):
        async with trio.open_nursery() as readers:
            for ours, _ in pairs:
                readers.start_soon(read, ours)
            await wait_all_tasks_blocked()
            for number, (_, theirs) in enumerate(pairs):
                theirs.sendall(b"%d" % number)
    assert sorted(received) == sorted(b"%d" % number for number in range(len(pairs)))
    for _, theirs in pairs:
        theirs.close()


# -- answers that leave together


@pytest.fixture
def gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if many connections were served."""
    monkeypatch.setattr(Readiness, "is_gathering", True)


async def test_answers_gather_while_three_connections_are_served(
    readiness: Readiness, autojump_clock: trio.testing.MockClock
) -> None:
    connections = pairs(readiness, 3)
    assert readiness.is_gathering
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connections[0][0].receive_some)
            await wait_all_tasks_blocked()
            assert not readiness.is_gathering, "one waits for its client"
            connections[0][1].sendall(b"request")
            await trio.sleep(0.5)
            assert readiness.is_gathering
    for stream, theirs in connections:
        await stream.aclose()
        theirs.close()
    assert not readiness.is_gathering


def pairs(readiness: Readiness, count: int) -> list[tuple[LeanSocketStream, socket.socket]]:
    found = []
    for _ in range(count):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.settimeout(5)
        found.append((LeanSocketStream(ours, readiness=readiness), theirs))
    return found


@pytest.mark.usefixtures("gathering")
async def test_gathered_answers_leave_in_the_next_turn(readiness: Readiness) -> None:
    connections = pairs(readiness, 3)
    for number, (stream, theirs) in enumerate(connections):
        answer = b"answer %d" % number
        assert stream.send_soon(answer) == len(answer)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(100)
    await wait_all_tasks_blocked()
    for number, (stream, theirs) in enumerate(connections):
        assert theirs.recv(100) == b"answer %d" % number
        await stream.aclose()
        theirs.close()


@pytest.mark.usefixtures("gathering")
async def test_answers_of_one_connection_stay_in_order(readiness: Readiness) -> None:
    ((stream, theirs),) = pairs(readiness, 1)
    for piece in (b"one ", b"two ", b"three"):
        assert stream.send_soon(piece) == len(piece)
    await wait_all_tasks_blocked()
    assert theirs.recv(100) == b"one two three"
    await stream.aclose()
    theirs.close()


@pytest.mark.usefixtures("gathering")
async def test_closing_sends_what_is_gathered(readiness: Readiness) -> None:
    ((stream, theirs),) = pairs(readiness, 1)
    stream.send_soon(b"last words")
    await stream.aclose()
    assert theirs.recv(100) == b"last words"
    assert theirs.recv(100) == b""
    theirs.close()


@pytest.mark.usefixtures("gathering")
async def test_a_client_that_reads_slowly_gets_the_rest(readiness: Readiness) -> None:
    ((stream, theirs),) = pairs(readiness, 1)
    filler = 0
    while (sent := stream.send_nowait(b"f" * 4096)) == 4096:
        filler += sent
    filler += sent
    assert stream.send_soon(b"answer" * 100) == 600  # gathered: the socket is full, and takes none of it
    await wait_all_tasks_blocked()

    def read_all() -> bytes:
        received = b""
        while len(received) < filler + 600 + 5:
            received += theirs.recv(65536)
        return received

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, b"after")
        received = await trio.to_thread.run_sync(read_all)
    assert received == b"f" * filler + b"answer" * 100 + b"after"
    await stream.aclose()
    theirs.close()


@pytest.mark.usefixtures("gathering")
async def test_a_client_that_left_hurts_nobody(readiness: Readiness) -> None:
    (gone, theirs), (stream, other) = pairs(readiness, 2)
    theirs.close()
    gone.send_soon(b"to nobody")
    stream.send_soon(b"to somebody")
    await wait_all_tasks_blocked()
    assert other.recv(100) == b"to somebody"
    assert await gone.receive_some() == b""
    await gone.aclose()
    await stream.aclose()
    other.close()


@pytest.mark.usefixtures("gathering")
async def test_closing_a_full_connection_can_be_given_up(readiness: Readiness) -> None:
    ((stream, theirs),) = pairs(readiness, 1)
    while stream.send_nowait(b"f" * 4096):
        pass
    stream.send_soon(b"never read")
    await wait_all_tasks_blocked()
    with trio.move_on_after(0.01) as scope:
        await stream.aclose()
    assert scope.cancelled_caught
    with pytest.raises(trio.ClosedResourceError):
        await stream.receive_some()
    theirs.close()


async def test_a_read_that_is_cancelled_before_it_waited_loses_nothing(
    stream: LeanSocketStream, peer: socket.socket
) -> None:
    peer.sendall(b"a request")
    await wait_all_tasks_blocked()  # the edge has come, and nobody waited
    with trio.CancelScope() as scope:
        scope.cancel()
        await stream.receive_some()
    assert scope.cancelled_caught
    with trio.fail_after(5):
        assert await stream.receive_some() == b"a request"


@pytest.mark.usefixtures("gathering")
async def test_what_is_gathered_leaves_before_the_end(readiness: Readiness) -> None:
    """An answer to a body that nobody wants is followed by the end at once."""
    ((stream, theirs),) = pairs(readiness, 1)
    stream.send_soon(b"last words")
    await stream.send_eof()
    assert theirs.recv(100) == b"last words"
    assert theirs.recv(100) == b""
    await stream.aclose()
    theirs.close()


def read_exactly(peer: socket.socket, size: int) -> None:
    while size:
        received = peer.recv(size)
        assert received, f"the connection ended {size} bytes too soon"
        size -= len(received)


@pytest.mark.usefixtures("gathering")
async def test_only_one_task_waits_for_a_full_socket(readiness: Readiness) -> None:
    """The rest of an answer waits; the client reads, and the next answer fills the socket in the same turn."""
    ((stream, theirs),) = pairs(readiness, 1)
    filler = 0
    while sent := stream.send_nowait(b"f" * 4096):
        filler += sent
    stream.send_soon(b"answer" * 100)
    await wait_all_tasks_blocked()  # a task waits for the socket
    received = theirs.recv(filler)
    large = b"l" * (4 << 20)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, read_exactly, theirs, filler - len(received) + 600 + len(large))
        sent = stream.send_soon(large)
        await stream.send_all(large[sent:])
    await stream.aclose()
    theirs.close()


async def test_the_rest_of_a_large_answer_is_not_copied_for_each_piece_of_it(readiness: Readiness) -> None:
    ((stream, theirs),) = pairs(readiness, 1)
    size = 4 << 20
    stream.send_whole(b"l" * size)
    left = size
    tracemalloc.start()
    while left > 1 << 20:
        left -= len(theirs.recv(65_536))
        stream.flush()
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1 << 20
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, read_exactly, theirs, left)
        await stream.finish_sending()
    await stream.aclose()
    theirs.close()


async def test_what_is_sent_whole_while_the_socket_is_full_stays_in_order(readiness: Readiness) -> None:
    ((stream, theirs),) = pairs(readiness, 1)
    filled = 0
    while sent := stream.send_nowait(b"f" * 4096):
        filled += sent
    for piece in (b"one ", b"two ", b"three"):
        stream.send_whole(piece)
    received = b""
    while len(received) < filled + len(b"one two three"):
        received += theirs.recv(65_536)
        await wait_all_tasks_blocked()
    assert received == b"f" * filled + b"one two three"
    await stream.aclose()
    theirs.close()


class Brisk:
    """A lone client that asks again while it is answered, `requests` times; and somebody else who wants his turns."""

    def __init__(self, readiness: Readiness, *, requests: int) -> None:
        ((self.stream, self._theirs),) = pairs(readiness, 1)
        self._left = requests
        self._begun = trio.Event()
        self.served = 0
        self.served_between_turns_max = 0

    def _take(self, data: bytes) -> bool:
        self._begun.set()
        self.served += len(data)  # one byte each
        self._left -= len(data)
        if self._left > 0:
            self._theirs.sendall(b"?")
        return self._left <= 0

    async def run(self) -> None:
        """Serve them all, while another task takes every turn that it gets."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._count)
            self._theirs.sendall(b"?")
            with trio.fail_after(5):
                await self.stream.receive_into(self._take)
            nursery.cancel_scope.cancel()
        self._theirs.close()
        await self.stream.aclose()

    async def _count(self) -> None:
        await self._begun.wait()
        seen = self.served
        while True:
            await trio.lowlevel.checkpoint()
            self.served_between_turns_max = max(self.served_between_turns_max, self.served - seen)
            seen = self.served


async def test_a_lone_client_that_asks_again_at_once_is_served_without_a_turn_of_the_scheduler() -> None:
    moments = count()
    requests_a_turn = 4
    readiness = Readiness.create(stopwatch=lambda: next(moments) * 0.3 * TURN_SECONDS)
    assert readiness is not None
    with closing(readiness):
        async with trio.open_nursery() as nursery:
            await nursery.start(readiness.run)
            brisk = Brisk(readiness, requests=500)
            await brisk.run()
            nursery.cancel_scope.cancel()
    assert brisk.served == 500
    # The tasks of one turn run in any order, so between two turns of one there may be two of another.
    assert 2 < brisk.served_between_turns_max <= 2 * requests_a_turn, "and everybody else has a turn now and then"


async def test_nothing_is_lingered_for_while_a_request_waits_for_others(readiness: Readiness) -> None:
    readiness.begun += 1
    brisk = Brisk(readiness, requests=500)
    await brisk.run()
    assert brisk.served_between_turns_max <= 2  # see above


async def test_two_clients_are_served_in_turn(readiness: Readiness) -> None:
    """Whoever comes while another is lingered for is served as soon."""
    brisk, other = Brisk(readiness, requests=500), Brisk(readiness, requests=500)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(brisk.run)
        nursery.start_soon(other.run)
    assert brisk.served == other.served == 500
