"""Defragmentation: LevelDB's own compaction of all there is, in a thread, while requests go on.

What is overwritten, deleted or compacted away stays in LevelDB's files until it merges them, which it does by itself
when it has enough to merge. To ask for it gives the room back now: the way back from a quota that is used up.

It goes piece by piece. In between others may have the engine, for a state that a leader sent takes the place of the
one in use, and that must be closed for it; nobody closes an engine that a thread works on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from typing import Final

import trio

from trioetcd.log import Logger
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.mvcc.revision import first_record_of

PIECE_BYTES: Final = 128 << 20
"""About a second's work."""


class Defragmenter:
    """Compacts the engine. `engine_lock` is held while a thread does so; `running` are under way, or wait for it."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        engine_lock: trio.Lock,
        run_blocking: Callable[[Callable[[], None]], Awaitable[None]],
        clock: Callable[[], float],
        observe: Callable[[float], None],
        log: Logger,
    ) -> None:
        self._machine = machine
        self._engine_lock = engine_lock
        self._run_blocking = run_blocking
        self._clock = clock
        self._observe = observe
        self._log = log
        self.running = 0

    async def defragment(self) -> None:
        """Compact everything; return when it is done. A cancellation waits for the piece under way, and keeps it."""
        began, before = self._clock(), self._machine.size_bytes()
        self._log.info("defragmenting", size_bytes=before)
        self.running += 1
        try:
            await self._compact_pieces(before)
        finally:
            self.running -= 1
        self._observe(self._clock() - began)
        self._log.info("defragmented", size_bytes_before=before, size_bytes=self._machine.size_bytes())

    async def _compact_pieces(self, size_bytes: int) -> None:
        for start, end in pieces(self._machine.store.revision, size_bytes):
            async with self._engine_lock:
                await self._run_blocking(partial(self._machine.engine.compact, start, end))


def pieces(revision: int, size_bytes: int) -> list[tuple[bytes | None, bytes | None]]:
    """Ranges of the engine that follow each other, from its beginning to its end, of about `PIECE_BYTES` each."""
    count = max(1, min(size_bytes // PIECE_BYTES, revision))
    bounds = [first_record_of(revision * number // count) for number in range(1, count)]
    return list(pairwise([None, *bounds, None]))
