from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trioetcd.config import ConfigError, LogConfig
from trioetcd.log import Logger, LogSink, Throttle, make_logger, null_logger, open_sink

NOW = datetime(2026, 11, 21, 8, 58, 18, 11_900, tzinfo=UTC)


class Lines:
    """A logger and what it wrote."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "log"
        self.sink = open_sink([str(self.path)])

    def logger(self, **config: Any) -> Logger:
        return make_logger(LogConfig(**config), sink=self.sink, now=lambda: NOW)

    def take(self) -> str:
        text = self.path.read_text()
        os.truncate(self.path, 0)
        return text


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    return Lines(tmp_path)


def test_a_line_has_zaps_look(lines: Lines) -> None:
    lines.logger().bind(logger="raft", local_member_id="8e9e05c52164694d").info("elected leader", term=7)
    assert lines.take() == (
        '{"level":"info","ts":"2026-11-21T08:58:18.011Z","logger":"raft","msg":"elected leader",'
        '"local-member-id":"8e9e05c52164694d","term":7}\n'
    )


def test_levels_have_zaps_names(lines: Lines) -> None:
    log = lines.logger(level="debug")
    log.debug("a")
    log.warning("b")
    log.error("c")
    log.critical("d")
    assert [json.loads(line)["level"] for line in lines.take().splitlines()] == ["debug", "warn", "error", "fatal"]


def test_what_is_below_the_level_is_not_written(lines: Lines) -> None:
    log = lines.logger(level="warn")
    log.debug("a")
    log.info("b")
    assert lines.take() == ""
    log.warning("c")
    assert json.loads(lines.take())["msg"] == "c"


def test_every_value_has_a_form(lines: Lines) -> None:
    lines.logger().info("x", key=b"\xffa", ids={2, 1}, path=Path("/p"), huge=2**70, text="\udcff", none=None)
    event = json.loads(lines.take())
    assert (event["key"], event["ids"], event["path"], event["none"]) == ("\\xffa", [1, 2], "/p", None)
    assert event["huge"] == 2**70


def test_an_exception_is_one_field_of_one_line(lines: Lines) -> None:
    log = lines.logger()
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("failed")
    (line,) = lines.take().splitlines()
    assert json.loads(line)["exception"].endswith("ValueError: bad")


def test_lines_for_people(lines: Lines) -> None:
    lines.logger(format="console").bind(logger="raft").warning(
        "lost leader", term=7, why="no answer", peers=[1], to="a"
    )
    assert lines.take() == (
        "2026-11-21T08:58:18.011Z warn  raft: lost leader  term=7  why='no answer'  peers=[1]  to=a\n"
    )


def test_a_line_that_cannot_be_written_is_counted(lines: Lines) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    try:
        sink = LogSink(descriptors=[reading])
        make_logger(LogConfig(), sink=sink).info("lost")
        assert sink.lost_lines == 1
    finally:
        os.close(reading)


def test_an_output_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be opened"):
        open_sink([str(tmp_path / "none" / "log")])


def test_a_log_file_is_its_owners_alone(lines: Lines) -> None:
    assert lines.path.stat().st_mode & 0o777 == 0o600


def test_the_null_logger_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    null_logger().error("x")
    assert capfd.readouterr() == ("", "")


def test_a_throttle_admits_one_in_an_interval_and_counts_the_rest() -> None:
    now = 0.0
    throttle = Throttle(interval_seconds=10, clock=lambda: now)
    assert [throttle.admit("a"), throttle.admit("a"), throttle.admit("a"), throttle.admit("b")] == [0, None, None, 0]
    now = 9.9
    assert throttle.admit("a") is None
    now = 10.0
    assert throttle.admit("a") == 3
    assert throttle.admit("a") is None


def test_a_throttle_remembers_no_more_than_it_may() -> None:
    throttle = Throttle(interval_seconds=10, clock=lambda: 0.0, keys_max=2)
    assert [throttle.admit(key) for key in "abc"] == [0, 0, 0]
    assert throttle.admit("c") is None
    assert throttle.admit("a") == 0
