"""The command: run seeds, say what happened; on a broken rule say which, and how to see it again."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.raft.simulate.bugs import BUGS
from tests.raft.simulate.runner import Summary, bug_named, run_seeds
from tests.raft.simulate.world import Outcome, World

_FAILURES_SHOWN = 10


def main() -> int:
    """Parse the arguments and run; 1 if a rule was broken."""
    arguments = _parser().parse_args()
    bug = bug_named(arguments.bug)
    if arguments.seed is not None:
        world = World(arguments.seed, bug=bug, trace=print)
        print(world.plan)
        outcome = world.run()
        print(f"seed {outcome.seed}: {outcome.steps} steps, fingerprint {outcome.fingerprint & (2**64 - 1):016x}")
        print(outcome.violation or f"every rule held; agreement {outcome.convergence_ticks} ticks after healing")
        return 0 if outcome.violation is None else 1
    begin = time.perf_counter()
    summary = run_seeds(arguments.start, arguments.seeds, jobs=arguments.jobs, bug=bug)
    _report(summary, time.perf_counter() - begin, arguments.bug)
    return 1 if summary.failures else 0


def _parser() -> argparse.ArgumentParser:
    names = ["none", *(bug.name for bug in BUGS)]
    parser = argparse.ArgumentParser(prog="python -m tests.raft.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many runs")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="one run, with all that is sent and done")
    parser.add_argument("--bug", choices=names, default="none", help="break a rule on purpose")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    return parser


def _report(summary: Summary, seconds: float, bug: str) -> None:
    print(
        f"{summary.seeds} seeds in {seconds:.1f} s, {summary.steps} steps, {summary.steps / seconds:.0f} steps a second"
    )
    print(f"agreement at most {summary.convergence_ticks_max} ticks after healing; what happened:")
    for what, count in summary.counts.most_common():
        print(f"  {count:>9}  {what}")
    for outcome in summary.failures[:_FAILURES_SHOWN]:
        print(describe(outcome, bug))
    print(f"{summary.seeds - len(summary.failures)} passed, {len(summary.failures)} failed")


def describe(outcome: Outcome, bug: str) -> str:
    """A failure, and how to see it again."""
    option = "" if bug == "none" else f" --bug {bug}"
    return (
        f"seed {outcome.seed} FAILED after {outcome.steps} steps: {outcome.violation}\n"
        f"  see it again: python -m tests.raft.simulate --seed {outcome.seed}{option}"
    )


if __name__ == "__main__":
    sys.exit(main())
