"""The command on a real member, for a moment: figures come out, and stand on the page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.servers import REPOSITORY

pytestmark = pytest.mark.process


def test_the_command_measures_a_member(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "load", "--workloads=put,lease-keep-alive,watch-latency"]
    command += ["--connections=4", "--generator=bundled", "--servers=trioetcd", "--rounds=1", "--seconds=0.3"]
    done = subprocess.run(
        [*command, f"--out={tmp_path}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == os.EX_OK, done.stdout + done.stderr
    load = json.loads((tmp_path / "load.json").read_text())
    assert [line["workload"] for line in load["lines"]] == ["put", "lease-keep-alive", "watch-latency"]
    for line in load["lines"]:
        (sample,) = line["samples"]["trioetcd"]
        assert sample["operations"] > 10
        assert sample["server_cores"] > 0
        assert 0 < sample["p50"] <= sample["p99"]
    assert "load took" in done.stdout
