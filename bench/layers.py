"""Where the CPU time of an operation goes: samples of a running member by py-spy, folded by layer of the package.

A sample counts for the innermost frame that belongs to a layer, so C code counts for the Python that called it, and
what the kernel does for the call that asked it. The cost of an operation is measured without the profiler, before.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.clusters import cluster
from bench.lines import table
from bench.load import Load, Runner
from bench.measure import BenchError, cpu_times
from bench.options import Options
from bench.workloads import workload_of
from tests.conformance.servers import Server

SAMPLES_A_SECOND = 250
PROFILE_SECONDS = 4.0
CONNECTIONS = 64
HOTTEST = 15

# The first prefix that a frame's file begins with, below the package's folder, names its layer.
LAYERS = (
    ("http11", ("trioetcd/http11/",)),
    ("api codec", ("trioetcd/api/",)),
    ("frontend", ("trioetcd/frontend/",)),
    ("service", ("trioetcd/node/service/",)),
    ("raft, driver", ("trioetcd/raft/", "trioetcd/node/driver.py", "trioetcd/storage/raft_log.py")),
    ("wal", ("trioetcd/storage/wal", "trioetcd/storage/filesystem.py")),
    ("engine", ("trioetcd/storage/engine", "trioetcd/storage/leveldb", "trioetcd/storage/memory_engine")),
    ("mvcc, machine", ("trioetcd/storage/",)),
    ("peer", ("trioetcd/peer/",)),
    ("node", ("trioetcd/node/",)),
    ("trio", ("/trio/", "/outcome/")),
)
NAMES = (*(name for name, _ in LAYERS), "other")
IDLE = re.compile(
    r"_work \(.*/_thread_cache\.py"
)  # a thread without a job waits for a lock, which py-spy takes for work
FRAME = re.compile(r"^(?P<function>.*) \((?P<file>[^()]*?)(?::\d+)?\)$")


class Case(NamedTuple):
    """What is profiled: a workload on the leader of so many members, and whose samples are taken."""

    workload: str
    members: int
    follower: bool = False
    connections: int = CONNECTIONS

    @property
    def title(self) -> str:
        """As it stands in the table."""
        member = "" if self.members == 1 else f", {'a follower' if self.follower else 'the leader'} of {self.members}"
        load = "" if self.connections == CONNECTIONS else f", {self.connections} connection"
        return f"{self.workload}{member}{load}"


CASES = (
    Case("put", 1),
    Case("range", 1),
    Case("txn", 1),
    Case("lease-keep-alive", 1),
    Case("watch", 1),
    Case("put", 3),
    Case("put", 3, follower=True),
    Case("put", 3, connections=1),
)


def measure(options: Options) -> dict[str, Any]:
    """Profile trioetcd under each workload."""
    found = []
    for case in CASES:
        with cluster("trioetcd", case.members, extra=options.flags("trioetcd")) as (leader, servers):
            profiled = next(server for server in servers if (server is leader) is not case.follower)
            found.append(profile(case, leader, profiled, options))
            print(f"{case.title}: {found[-1]['cpu_us']:.1f} µs, {found[-1]['samples']} samples", flush=True)
    return {"settings": {"connections": CONNECTIONS, "samples a second": SAMPLES_A_SECOND}, "cases": found}


def profile(case: Case, leader: Server, profiled: Server, options: Options) -> dict[str, Any]:
    """One run to learn what an operation costs, and one to learn where."""
    runner, workload = Runner(Load(groups=()), options), workload_of(case.workload)
    user, system = cpu_times(profiled.pid)
    sample = runner.measure(workload, leader, [profiled], case.connections)
    user_after, system_after = cpu_times(profiled.pid)
    longer = Runner(Load(groups=()), replace(options, seconds=PROFILE_SECONDS + 1))
    with ThreadPoolExecutor(1) as background:
        load = background.submit(longer.measure, workload, leader, [profiled], case.connections)
        stacks = sample_stacks(profiled.pid, PROFILE_SECONDS)
        load.result()
    by_layer, by_function = fold(stacks)
    total = by_layer.total()
    if not total:
        raise BenchError(f"py-spy saw no work of {profiled.name} while it was under load")
    return {
        "title": case.title,
        "cpu_us": sample.server_cpu,
        "kernel_share": (system_after - system) / (user_after - user + system_after - system),
        "samples": total,
        "layers": {name: by_layer[name] / total for name in NAMES},
        "functions": [[name, count / total] for name, count in by_function.most_common(HOTTEST)],
    }


def sample_stacks(pid: int, seconds: float) -> list[tuple[list[str], int]]:
    """Stacks of a process at work, outermost frame first, and how often each was seen."""
    beside = Path(sys.executable).parent / "py-spy"
    program = str(beside) if beside.exists() else shutil.which("py-spy")
    if program is None:
        raise BenchError("no py-spy found: install the dependency group `bench` (`pip install --group bench`)")
    with tempfile.NamedTemporaryFile(suffix=".stacks") as file:
        command = [program, "record", "--pid", str(pid), "--format", "raw", "--output", file.name, "--function"]
        command += ["--full-filenames", "--rate", str(SAMPLES_A_SECOND), "--duration", str(round(seconds))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        lines = Path(file.name).read_text().splitlines()
    if done.returncode:
        raise BenchError(f"py-spy could not look into process {pid} (it needs ptrace):\n{done.stderr[-2000:]}")
    return [(stack.split(";"), int(count)) for stack, _, count in (line.rpartition(" ") for line in lines)]


def fold(stacks: Iterable[tuple[list[str], int]]) -> tuple[Counter[str], Counter[str]]:
    """Samples by layer, and by the function that they count for."""
    by_layer, by_function = Counter[str](), Counter[str]()
    for frames, count in stacks:
        if IDLE.search(frames[-1]):
            continue
        layer, function = owner(frames)
        by_layer[layer] += count
        by_function[function] += count
    return by_layer, by_function


def owner(frames: list[str]) -> tuple[str, str]:
    """The layer of the innermost frame that has one, and that frame's function with its file."""
    for frame in reversed(frames):
        match = FRAME.match(frame)
        file = match["file"] if match else ""
        for layer, places in LAYERS:
            for place in places:
                if (position := file.rfind(place)) >= 0 and match is not None:
                    return layer, f"{match['function']} ({file[position:].lstrip('/')})"
    return "other", frames[-1]


def page(told: dict[str, Any]) -> str:
    """Microseconds by layer, and where they go within."""
    cases = told["cases"]
    rows = [("all", *(f"{case['cpu_us']:.1f}" for case in cases))]
    rows += [(name, *(f"{case['layers'][name] * case['cpu_us']:.1f}" for case in cases)) for name in NAMES]
    rows += [("in the kernel", *(f"{case['kernel_share']:.0%}" for case in cases))]
    hottest = "\n".join(_hottest(case) for case in cases)
    return (
        f"CPU time of one operation in microseconds, by layer; of `watch`, of one delivery.\n\n"
        f"{table(('layer', *(case['title'] for case in cases)), rows)}\n\n"
        "A sample counts for the innermost frame that belongs to a layer: C code for the Python that called it, and\n"
        f"what the kernel does for the call that asked for it.\n\nThe functions with the most of it:\n\n{hottest}"
    )


def _hottest(case: dict[str, Any]) -> str:
    functions = ", ".join(f"`{name}` {share:.0%}" for name, share in case["functions"])
    return f"- {case['title']}: {functions}"
