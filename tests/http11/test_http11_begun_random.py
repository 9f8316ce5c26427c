"""Requests that are begun, in conversations that chance makes up."""

from __future__ import annotations

import select
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.http11.begun_rig import Rig, ok, post, serving
from trioetcd.http11 import Phase

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")


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


async def converse(rig: Rig, bodies: list[bytes], random: Random) -> list[bytes]:
    """Send requests with these bodies, each answered at some time; return the bodies of the answers."""
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
    return answers


@pytest.mark.parametrize("seed", range(20))
async def test_every_request_is_answered_once_and_in_its_turn(autojump_clock: MockClock, seed: int) -> None:
    """Pipelined or not, in pieces or not; answered whenever it may be, to a client that reads when it likes."""
    random = Random(seed)
    kinds = random.choices([b"now", b"slow", b"long"], k=60)
    bodies = [b"%b%03d%b" % (kind, number, b"." * random.choice([0, 0, 500])) for number, kind in enumerate(kinds)]
    async with serving() as rig:
        answers = await converse(rig, bodies, random)
        assert len(rig.begun_bodies) >= 3
        for body, answer in zip(bodies, answers, strict=True):
            assert answer.removeprefix(b"long:") == body or (len(answer) == 1_000_000 and body.startswith(b"slow"))
        assert rig.readiness.begun == 0
        assert await rig.exchange(post(b"now")) == ok(b"now")
