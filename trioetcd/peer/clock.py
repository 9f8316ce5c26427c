"""Times of the wall clock on the wire, in the form of RFC 3339 with nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def format_time(seconds: float) -> str:
    """Seconds since 1970 as `2026-11-21T08:58:18.011000Z`."""
    return (_EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """Seconds since 1970; raises ValueError. Digits below the microsecond are dropped."""
    head, dot, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    if dot:
        text = f"{head}.{rest[: min(digits, 6)]:0<6}{rest[digits:]}"
    return (datetime.fromisoformat(text) - _EPOCH).total_seconds()
