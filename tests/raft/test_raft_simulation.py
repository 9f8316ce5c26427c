"""The core under faults: thousands of runs in which every rule holds, and planted bugs that break them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.raft.simulate.bugs import BUGS, Bug
from tests.raft.simulate.checks import is_majority
from tests.raft.simulate.runner import run_seed, run_seeds, seeds_until_found
from tests.raft.simulate.world import STUCK_REMOVAL

ROOT = Path(__file__).parent.parent.parent

SEEDS = 2000
SEEDS_TO_FIND_A_BUG_MAX = 500

# A run without each of these would not show much.
KINDS = (
    "lost",
    "doubled",
    "reordered",
    "cut off",
    "partition",
    "one-way partition",
    "crash",
    "crash lost unsynced writes",
    "pause",
    "membership change",
    "leader transfer",
    "forget leader",
    "campaign",
    "compaction",
    "snapshot installed",
    "read answered",
    "entry chosen",
)


@pytest.mark.timeout(300)
def test_every_rule_holds_in_every_run() -> None:
    summary = run_seeds(0, SEEDS, jobs=os.cpu_count() or 1)
    print(f"{summary.seeds} seeds, {summary.steps} steps, {dict(summary.counts)}")  # noqa: T201 (its numbers are a result: -rP shows them)
    assert [(failure.seed, str(failure.violation)) for failure in summary.failures] == []
    assert summary.seeds == SEEDS
    assert summary.counts[STUCK_REMOVAL] <= SEEDS / 500, "that is rare, or an excuse"
    assert [kind for kind in KINDS if summary.counts[kind] < SEEDS / 10] == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    found = seeds_until_found(bug, limit=SEEDS_TO_FIND_A_BUG_MAX)
    assert found is not None, f"nobody notices that {bug.breaks}"
    print(f"{bug.name}: found by {found.seed + 1} seeds: {found.violation}")  # noqa: T201 (its numbers are a result: -rP shows them)
    whole = run_seed(found.seed)
    assert whole.violation is None, "the bug is gone afterwards"


def test_a_seed_replays_exactly() -> None:
    assert run_seed(11) == run_seed(11)
    assert run_seed(11).fingerprint != run_seed(12).fingerprint


def test_a_failure_replays_exactly() -> None:
    bug = next(bug for bug in BUGS if bug.name == "skip-log-matching")
    first = seeds_until_found(bug, limit=SEEDS_TO_FIND_A_BUG_MAX)
    assert first is not None
    again = run_seed(first.seed, bug)
    assert (again.steps, again.fingerprint) == (first.steps, first.fingerprint)
    assert str(again.violation) == str(first.violation)


def test_a_seed_replays_in_another_process() -> None:
    """Neither the order of a set nor a hash of text may decide anything, as both differ between processes."""
    outputs = {_simulate("--seed", "11", hash_seed=hash_seed) for hash_seed in ("1", "2")}
    assert len(outputs) == 1
    outcome = run_seed(11)
    assert f"seed 11: {outcome.steps} steps, fingerprint {outcome.fingerprint & (2**64 - 1):016x}" in outputs.pop()


def test_the_command_says_what_failed_and_how_to_see_it_again() -> None:
    output = _simulate("--seeds", "3", "--jobs", "1", "--bug", "forget-vote", status=1)
    assert "FAILED" in output
    assert "python -m tests.raft.simulate --seed 0 --bug forget-vote" in output
    assert output.splitlines()[-1] == "0 passed, 3 failed"
    assert _simulate("--seeds", "3", "--jobs", "1").splitlines()[-1] == "3 passed, 0 failed"


def _simulate(*arguments: str, status: int = 0, hash_seed: str = "0") -> str:
    run = subprocess.run(
        [sys.executable, "-m", "tests.raft.simulate", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == status, run.stderr
    return run.stdout


def test_a_majority_is_more_than_half() -> None:
    assert is_majority({1, 2}, {1, 2, 3})
    assert not is_majority({1, 2}, {1, 2, 3, 4})
    assert not is_majority({4, 5, 6}, {1, 2, 3})
