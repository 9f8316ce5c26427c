from __future__ import annotations

import errno
import gc
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner

from trioetcd.cli import main
from trioetcd.cli.garbage import THRESHOLDS
from trioetcd.cli.serve import serve_member
from trioetcd.config import ConfigError, MemberConfig, StartRefused


@pytest.fixture(autouse=True)
def keep_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True)
def keep_garbage_collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class FakeMember:
    """Stands for the member: remembers its configuration, raises what it is told to, before or after it is up."""

    def __init__(self, *, before: BaseException | None = None, after: BaseException | None = None) -> None:
        self.before, self.after = before, after
        self.config: MemberConfig | None = None

    async def __call__(
        self, config: MemberConfig, *, log: Any, stop: trio.Event, task_status: trio.TaskStatus[None]
    ) -> None:
        self.config = config
        if self.before is not None:
            raise self.before
        task_status.started()
        if self.after is not None:
            raise self.after
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()


def test_what_is_there_when_the_member_is_up_is_no_garbage_to_look_for() -> None:
    assert gc.get_freeze_count() == 0
    assert serve_member({}, {}, run=FakeMember()) == 0
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold() == THRESHOLDS


def log_of(capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_signal_stops_the_member_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    member = FakeMember()
    assert serve_member({"name": "m1"}, {"ETCD_NAME": "other"}, run=member) == 0
    assert member.config is not None
    assert member.config.name == "m1"
    messages = {event["msg"]: event for event in log_of(capfd)}
    assert messages["--name=m1 wins over ETCD_NAME=other"]["level"] == "warn"
    assert messages["starting an etcd-compatible member"]["flags"] == {"name": "m1"}
    assert messages["received signal; shutting down"]["signal"] == "SIGTERM"
    assert "stopped" in messages


def test_what_a_member_writes_is_its_owners_alone() -> None:
    serve_member({}, {}, run=FakeMember())
    assert os.umask(0o077) == 0o077


@pytest.mark.parametrize(
    "failure",
    [
        StartRefused("the directory is foreign"),
        ConfigError("the directory is foreign"),
        ExceptionGroup("tree", [ExceptionGroup("core", [StartRefused("the directory is foreign")])]),
    ],
)
def test_an_expected_failure_of_the_start_is_one_line(failure: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    assert serve_member({"log-level": "error"}, {}, run=FakeMember(before=failure)) == 1
    assert capfd.readouterr().err == "trioetcd: the directory is foreign\n"


def test_a_taken_port_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    taken = OSError(errno.EADDRINUSE, "Address already in use")
    assert serve_member({"log-level": "error"}, {}, run=FakeMember(before=taken)) == 1
    assert "Address already in use" in capfd.readouterr().err


@pytest.mark.parametrize(
    "member",
    [
        FakeMember(before=RuntimeError("a broken invariant")),
        FakeMember(before=ExceptionGroup("both", [StartRefused("x"), RuntimeError("a broken invariant")])),
        FakeMember(after=OSError(errno.ENOSPC, "No space left on device")),
    ],
)
def test_anything_else_keeps_its_traceback(member: FakeMember, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(BaseExceptionGroup):
        serve_member({"log-level": "error", "log-outputs": str(log)}, {}, run=member)
    event = json.loads(log.read_text())
    assert (event["level"], event["msg"]) == ("fatal", "the member failed")
    assert "Traceback" in event["exception"]


def test_too_few_descriptors_end_the_start(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("trioetcd.cli.serve.descriptor_limit", lambda: 149)
    assert serve_member({}, {}, run=FakeMember()) == 1
    assert "limit of open files is 149" in capfd.readouterr().err


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command with a member that ends at once; what it was configured as is in `.config`."""
    member = FakeMember()
    monkeypatch.setattr("trioetcd.cli.serve._run_production_member", member)  # its only seam below the command
    runner = CliRunner()
    for variable in [name for name in os.environ if name.startswith(("ETCD_", "TRIOETCD_"))]:
        monkeypatch.delenv(variable)

    def run(*arguments: str) -> Any:
        result = runner.invoke(main, ["serve", *arguments])
        result.config = member.config  # type: ignore[attr-defined] # for the test's eyes
        return result

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("--name", "m1", "--max-wals", "7", "--pre-vote=false"),
        ("-name", "m1", "-max-wals", "7", "-pre-vote=false"),
        ("--name=m1", "-max-wals=7", "--pre-vote", "--pre-vote=f"),
    ],
)
def test_one_dash_or_two_with_or_without_an_equals_sign(invoke: Any, arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 0
    assert (result.config.name, result.config.max_wals, result.config.pre_vote) == ("m1", 7, False)


def test_a_switch_without_a_value_is_on(invoke: Any) -> None:
    assert invoke("--pre-vote").config.pre_vote is True


@pytest.mark.parametrize(
    "arguments",
    [
        ("--nosuch", "1"),
        ("-nosuch",),
        ("stray",),
        ("--heartbeat-interval", "x"),
        ("--listen-peer-urls", "foo"),
        ("--initial-cluster-state", "maybe"),
        ("--name",),
    ],
)
def test_a_command_line_that_cannot_be_read_is_2_with_the_usage(invoke: Any, arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cert-file", "c"),
        ("--client-cert-auth",),
        ("--config-file", "f"),
        ("--listen-peer-urls", "https://[::]:1"),
        ("--election-timeout", "200"),
        ("--listen-client-urls", "http://127.0.0.1:1"),
    ],
)
def test_what_cannot_start_is_1_with_one_line(invoke: Any, arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert result.output.startswith("trioetcd: ")
    assert arguments[0] in result.output
    assert result.output.count("\n") == 1


def test_help_shows_what_is_served_and_hides_the_rest(invoke: Any) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert "--initial-cluster-token TEXT" in result.output
    assert "--cert-file" not in result.output


@pytest.mark.parametrize("arguments", [["version"], ["--version"]])
def test_the_version_names_the_etcd_it_follows(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0
    assert "etcd Version: 3.5." in result.output
