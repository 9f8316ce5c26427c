"""What the engine let go of is closed where blocking work is done, and looked for every second."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import trio
from trio.testing import MockClock

from trioetcd.node.upkeep.removed_files import RemovedFiles


async def test_what_was_let_go_is_closed_by_blocking_work(autojump_clock: MockClock) -> None:
    told: list[str] = []
    left = [None, lambda: told.append("closed"), None]

    async def run_blocking(work: Callable[[], None]) -> None:
        told.append("blocking")
        work()

    machine = SimpleNamespace(engine=SimpleNamespace(let_go=left.pop))
    removed = RemovedFiles(machine=machine, run_blocking=run_blocking)  # type: ignore[arg-type] # only its engine
    async with trio.open_nursery() as nursery:
        await nursery.start(removed.run)
        await trio.sleep(1.5)
        assert told == []
        await trio.sleep(1)
        assert told == ["blocking", "closed"]
        await trio.sleep(1)
        assert (told, left) == (["blocking", "closed"], [])
        nursery.cancel_scope.cancel()
