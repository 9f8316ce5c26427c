"""`--max-concurrent-streams`: calls beyond it wait, in order; pages do not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from trioetcd.frontend.limited import LimitedHandler


class Slow:
    """A handler that answers when it is told to."""

    is_stream = False

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = trio.Event()

    async def handle(self, connection: Any, request: Any, _: Any) -> None:
        self.begun.append(request.name)
        await self.may_end.wait()


def request(name: str) -> Any:
    return SimpleNamespace(name=name)


async def test_calls_beyond_the_limit_wait_for_their_turn(nursery: trio.Nursery) -> None:
    slow, running = Slow(), trio.Semaphore(2)
    one, other = (LimitedHandler(slow, running=running) for _ in range(2))
    nursery.start_soon(one.handle, None, request("first"), None)
    nursery.start_soon(other.handle, None, request("second"), None)
    await wait_all_tasks_blocked()
    nursery.start_soon(one.handle, None, request("third"), None)
    await wait_all_tasks_blocked()
    assert sorted(slow.begun) == ["first", "second"]
    slow.may_end.set()
    await wait_all_tasks_blocked()
    assert slow.begun[2:] == ["third"]


async def test_a_call_that_is_cancelled_gives_its_turn_back(nursery: trio.Nursery) -> None:
    slow = Slow()
    handler = LimitedHandler(slow, running=trio.Semaphore(1))
    with trio.CancelScope() as scope:
        nursery.start_soon(handler.handle, None, request("waits"), None)
        scope.cancel()
        await handler.handle(None, request("gone"), None)  # type: ignore[arg-type] # the handler is not real
    slow.may_end.set()
    await wait_all_tasks_blocked()
    assert slow.begun == ["waits"]
