from __future__ import annotations

import pytest

from trioetcd.config import ConfigError
from trioetcd.config.values import boolean, duration_seconds, integer


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("100ms", 0.1), ("1h30m", 5400), ("1.5s", 1.5), (".5s", 0.5), ("10m", 600), ("5us", 5e-6)],
)
def test_durations_are_gos(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "10", "s", "1x", "1 s", "-1s", "1s2", "one"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="duration"):
        duration_seconds(text)


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_true_has_gos_spellings(text: str) -> None:
    assert boolean(text)


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False"])
def test_false_has_gos_spellings(text: str) -> None:
    assert not boolean(text)


@pytest.mark.parametrize("text", ["", "yes", "tRUE", "2"])
def test_what_is_no_truth_value(text: str) -> None:
    with pytest.raises(ConfigError, match="neither true nor false"):
        boolean(text)


def test_integers() -> None:
    assert integer("-5") == -5
    for text in ("", "1_000", " 1", "1.0", "0x10", "9223372036854775808", "\u0661"):
        with pytest.raises(ConfigError, match="whole number"):
            integer(text)
