"""The text of a value, read as etcd's flags are read: Go's integers, booleans and durations."""

from __future__ import annotations

import re
from typing import Final

from trioetcd.config.errors import ConfigError
from trioetcd.config.flags import Flag, Kind
from trioetcd.config.url import parse_urls

_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


def integer(text: str) -> int:
    """A decimal integer of at most 64 bits."""
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise ConfigError(f"{text!r} is not a whole number of at most 64 bits")
    return int(text)


def boolean(text: str) -> bool:
    """A truth value, in any of Go's spellings."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ConfigError(f"{text!r} is neither true nor false")


def duration_seconds(text: str) -> float:
    """A duration such as `1h30m`, `100ms` or `0`, in seconds."""
    if text == "0":
        return 0.0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(f"{text!r} is not a duration; expected one such as 10m, 1.5s or 100ms")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def check(flag: Flag, text: str) -> None:
    """Raise `ConfigError` when `text` is not of the flag's kind or not among its choices."""
    if flag.choices and text not in flag.choices:
        raise ConfigError(f"{text!r} is not one of {', '.join(flag.choices)}")
    if flag.kind is Kind.INTEGER:
        integer(text)
    elif flag.kind is Kind.BOOLEAN:
        boolean(text)
    elif flag.kind is Kind.DURATION:
        duration_seconds(text)
    elif flag.kind is Kind.URLS and text != flag.default:
        parse_urls(text)
