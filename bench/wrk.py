"""Requests by `wrk`, where it is installed: one core of it sends several times what any server here answers."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.measure import BenchError, Measurement, children_cpu_seconds

SCRIPT = Path(__file__).parent / "wrk" / "replay.lua"


def available() -> bool:
    """Whether there is a wrk."""
    return shutil.which("wrk") is not None


def write_requests(requests: Sequence[bytes], path: Path) -> None:
    """The file that the script replays."""
    path.write_bytes(b"".join(b"%d\n%s" % (len(request), request) for request in requests))


def run(address: tuple[str, int], requests: Sequence[bytes], *, connections: int, seconds: float) -> Measurement:
    """Send the requests in a circle for so long."""
    with tempfile.NamedTemporaryFile(suffix=".requests") as file:
        write_requests(requests, Path(file.name))
        before = children_cpu_seconds()
        url = f"http://{address[0]}:{address[1]}"
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            f"-s{SCRIPT}",
            url,
            "--",
            file.name,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
        used = children_cpu_seconds() - before
    return parse(done.stdout + done.stderr, used)


def parse(output: str, cpu_seconds: float) -> Measurement:
    """What the script's last line says; errors of any kind fail the run."""
    match = re.search(r"^RESULT (.*)$", output, re.MULTILINE)
    if match is None:
        raise BenchError(f"wrk did not report:\n{output[-2000:]}")
    fields = {name: int(value) for name, _, value in (part.partition("=") for part in match[1].split())}
    errors = {name: fields[name] for name in ("connect", "read", "write", "status", "timeout") if fields[name]}
    if errors or not fields["requests"]:
        raise BenchError(f"not every request was answered well: {errors or 'none was answered'}")
    seconds = fields["microseconds"] / 1e6
    return Measurement(
        operations=fields["requests"],
        seconds=seconds,
        p50=fields["p50"],
        p90=fields["p90"],
        p99=fields["p99"],
        worst=fields["max"],
        generator_cores=cpu_seconds / seconds,
    )
