"""Many runs: over several processes, summed up."""

from __future__ import annotations

import gc
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.raft.simulate.bugs import BUGS, NO_BUG, Bug
from tests.raft.simulate.world import Outcome, World

_SEEDS_A_TASK = 25


@dataclass(slots=True)
class Summary:
    """The sum of many outcomes."""

    seeds: int = 0
    steps: int = 0
    convergence_ticks_max: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.seeds += 1
        self.steps += outcome.steps
        self.convergence_ticks_max = max(self.convergence_ticks_max, outcome.convergence_ticks)
        self.counts.update(outcome.counts)
        if outcome.violation is not None:
            self.failures.append(outcome)


def bug_named(name: str) -> Bug:
    """The planted bug of this name; `KeyError` if there is none."""
    return {bug.name: bug for bug in (NO_BUG, *BUGS)}[name]


def run_seed(seed: int, bug: Bug = NO_BUG) -> Outcome:
    """One run."""
    return World(seed, bug=bug).run()


def seeds_until_found(bug: Bug, *, limit: int) -> Outcome | None:
    """The first outcome, from seed 0 on, that breaks a rule; None if none of `limit` seeds does."""
    for seed in range(limit):
        outcome = run_seed(seed, bug)
        if outcome.violation is not None:
            return outcome
    return None


def run_seeds(start: int, count: int, *, jobs: int, bug: Bug = NO_BUG) -> Summary:
    """All runs of [start, start + count), over so many processes."""
    summary = Summary()
    for outcomes in _tasks(start, count, jobs, bug):
        for outcome in outcomes:
            summary.add(outcome)
    return summary


def _tasks(start: int, count: int, jobs: int, bug: Bug) -> Iterator[list[Outcome]]:
    ranges = [
        (first, min(first + _SEEDS_A_TASK, start + count), bug.name)
        for first in range(start, start + count, _SEEDS_A_TASK)
    ]
    if jobs <= 1:
        yield from map(_run_range, ranges)
        return
    # New processes, not forked ones: they begin alike wherever they are started from.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_run_range, ranges)


def _run_range(task: tuple[int, int, str]) -> list[Outcome]:
    first, end, name = task
    bug = bug_named(name)
    gc.disable()  # a run makes few cycles, and they are let go with it
    try:
        return [run_seed(seed, bug) for seed in range(first, end)]
    finally:
        gc.enable()
        gc.collect()
