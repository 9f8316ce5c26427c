"""Waits between attempts."""

from __future__ import annotations

from random import Random
from typing import Final

_SECONDS: Final = (0.05, 2.0)  # first and longest wait before another attempt


class Backoff:
    """Waits that double, each cut by chance to between half and all of it, so that clients do not come in step."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.reset()

    def reset(self) -> None:
        """All is well: the next wait is a first one."""
        self._seconds, self._seconds_max = _SECONDS

    def next_seconds(self) -> float:
        """How long to wait now."""
        seconds = self._seconds * self._random.uniform(0.5, 1.0)
        self._seconds = min(self._seconds * 2, self._seconds_max)
        return seconds
