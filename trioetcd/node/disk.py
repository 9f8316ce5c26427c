"""Where a sync runs.

On a fast disk a sync takes about 130 microseconds and a hop to a thread 46 more (p99 90), so the loop does it inline.
On a slow one the loop would stand still, so a thread does it and the loop goes on reading requests. Which of the two
the disk is, is measured, and measured again: the choice follows an average of the last syncs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, Protocol

RunBlocking = Callable[[Callable[[], None]], Awaitable[None]]
"""Runs a blocking function elsewhere; not abandoned on cancellation, since a sync half waited for is not done."""

INLINE_SECONDS_MAX: Final = 0.0008
_WEIGHT: Final = 0.05  # of the newest sync in the average: a single hiccup of 10 ms moves the choice for ~50 syncs
_SLOW_SYNC_SECONDS: Final = 1.0


class Syncable(Protocol):
    """What can be made durable; raises and stays failed when that fails."""

    def begin_sync(self) -> None:
        """Let the disk begin, without waiting."""

    def sync(self) -> None:
        """Return once everything written is on the disk."""


class DiskStatus(NamedTuple):
    """What the disk has shown so far."""

    inline: bool
    syncs: int
    average_seconds: float
    slow_syncs: int


class Disk:
    """Syncs a file, inline or in a thread, and tells `observe` how long each took."""

    def __init__(
        self,
        *,
        file: Syncable,
        run_blocking: RunBlocking,
        clock: Callable[[], float],
        observe: Callable[[float], None],
    ) -> None:
        self._file = file
        self._run_blocking = run_blocking
        self._clock = clock
        self._observe = observe
        self._average_seconds = 0.0
        self._syncs = 0
        self._slow_syncs = 0
        self._begun_seconds: float | None = None  # what it took to begin the sync that `settle` is to finish

    @property
    def inline(self) -> bool:
        """Whether the next sync should run in the loop: then call `sync_inline`, else await `sync_in_thread`."""
        return self._average_seconds < INLINE_SECONDS_MAX

    def sync_inline(self) -> None:
        """Sync now; blocks the loop for as long as it takes."""
        started = self._clock()
        self._file.sync()
        self._account(self._clock() - started)

    def begin(self) -> None:
        """Begin a sync of what is written; it is durable once `settle` has returned. What is done between is for free.

        Measured on ext4: of 120 microseconds, 20 begin it, 50 are the disk's alone, 50 end it. What counts as the time
        of the sync, also for the choice of where the next one runs, is what the loop stood still for.
        """
        started = self._clock()
        self._file.begin_sync()
        self._begun_seconds = self._clock() - started

    def settle(self) -> None:
        """Finish the sync that was begun, if there is one."""
        if self._begun_seconds is None:
            return
        started = self._clock()
        self._file.sync()
        self._account(self._clock() - started + self._begun_seconds)
        self._begun_seconds = None

    async def sync_in_thread(self) -> None:
        """Sync in a thread. Cancellation is noticed only when the sync is done."""
        await self._run_blocking(self.sync_inline)

    def status(self) -> DiskStatus:
        """What the disk has shown so far."""
        return DiskStatus(self.inline, self._syncs, self._average_seconds, self._slow_syncs)

    def _account(self, seconds: float) -> None:
        self._syncs += 1
        self._slow_syncs += seconds > _SLOW_SYNC_SECONDS
        self._average_seconds += (seconds - self._average_seconds) * _WEIGHT
        self._observe(seconds)
