from __future__ import annotations

from collections.abc import Callable, Sequence

import trio
from trio.testing import MockClock

from trioetcd.log import null_logger
from trioetcd.node.upkeep.purge import Purge


async def inline(work: Callable[[], None]) -> None:
    work()


class Files:
    def __init__(self, *names: str) -> None:
        self.names = list(names)

    def purge(self, max_files: int) -> list[str]:
        removed = self.names[: max(0, len(self.names) - max_files)]
        del self.names[: len(removed)]
        return removed


class Segments(Files):
    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.removed: list[str] = []

    give_up = Files.purge

    def remove(self, names: Sequence[str]) -> None:
        self.removed += names


async def test_old_files_go_every_thirty_seconds(autojump_clock: MockClock) -> None:
    wal, snapshots = Segments("1", "2", "3"), Files("a", "b", "c", "d")
    purge = Purge(wal=wal, snapshots=snapshots, max_wals=2, max_snapshots=1, run_blocking=inline, log=null_logger())
    async with trio.open_nursery() as nursery:
        await nursery.start(purge.run)
        await trio.sleep(29)
        assert wal.names == ["1", "2", "3"]
        await trio.sleep(2)
        assert (wal.names, snapshots.names) == (["2", "3"], ["d"])
        wal.names.append("4")
        await trio.sleep(30)
        assert (wal.names, wal.removed) == (["3", "4"], ["1", "2"])
        nursery.cancel_scope.cancel()


async def test_zero_keeps_all() -> None:
    wal, snapshots = Segments("1", "2"), Files("a", "b")
    purge = Purge(wal=wal, snapshots=snapshots, max_wals=0, max_snapshots=0, run_blocking=inline, log=null_logger())
    await purge.purge_once()
    assert (wal.names, snapshots.names) == (["1", "2"], ["a", "b"])
