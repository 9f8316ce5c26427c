"""Runs that can be repeated: a clock that jumps, and a scheduler that draws from a seed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import trio
import trio.testing
from trio._core import _run

T = TypeVar("T")

_SCHEDULER: Final = vars(_run)
"""Trio's scheduler draws from a Random that has no public name; Hypothesis is given the same two variables."""


def simulate(function: Callable[..., Awaitable[T]], *args: object, seed: int = 0) -> T:
    """Run an async function to its end on a clock that jumps, with Trio's scheduler seeded; return its result.

    The same function with the same seed does the same, step by step, if all chance in it is drawn from seeds.
    """
    with _seeded_scheduler(seed):
        return trio.run(function, *args, clock=trio.testing.MockClock(autojump_threshold=0))


@contextmanager
def _seeded_scheduler(seed: int) -> Iterator[None]:
    random_state, deterministic = _SCHEDULER["_r"].getstate(), _SCHEDULER["_ALLOW_DETERMINISTIC_SCHEDULING"]
    _SCHEDULER["_r"].seed(seed)
    _SCHEDULER["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    try:
        yield
    finally:
        _SCHEDULER["_r"].setstate(random_state)
        _SCHEDULER["_ALLOW_DETERMINISTIC_SCHEDULING"] = deterministic
