"""`--auto-compaction-mode` and `--auto-compaction-retention`, read as etcd reads them.

mode       retention     what is kept
periodic   10            the last 10 hours
periodic   5m            the last 5 minutes
revision   1000          the last 1000 revisions
either     0             everything: no compaction but those that clients ask for
"""

from __future__ import annotations

from typing import Final, NamedTuple

from trioetcd.config.errors import ConfigError
from trioetcd.config.values import duration_seconds

PERIOD_SECONDS_MIN: Final = 0.01
"""A tenth of it is how often a periodic compactor looks; etcd takes less, and then does nothing else."""

_HOUR_SECONDS: Final = 3600.0


class PeriodicCompaction(NamedTuple):
    """Keep what is younger than this."""

    period_seconds: float


class RevisionCompaction(NamedTuple):
    """Keep so many revisions."""

    revisions: int


AutoCompaction = PeriodicCompaction | RevisionCompaction


def parse_auto_compaction(mode: str, retention: str) -> AutoCompaction | None:
    """What the two flags ask for; None is no compaction of its own. Raises `ConfigError` for another retention."""
    number = _number(retention)
    if mode == "revision":
        revisions = number if number is not None else int(_duration_seconds(retention) * 1_000_000_000)
        return RevisionCompaction(revisions) if revisions else None
    period_seconds = number * _HOUR_SECONDS if number is not None else _duration_seconds(retention)
    if 0 < period_seconds < PERIOD_SECONDS_MIN:
        raise ConfigError(f"--auto-compaction-retention={retention} is too short; expected 10ms or more, or 0 for none")
    return PeriodicCompaction(period_seconds) if period_seconds else None


def _number(retention: str) -> int | None:
    return int(retention) if retention.isascii() and retention.isdigit() else None


def _duration_seconds(retention: str) -> float:
    try:
        return duration_seconds(retention)
    except ConfigError as error:
        raise ConfigError(
            f"--auto-compaction-retention={retention}: expected a number (hours, or revisions) or a duration such as 5m"
        ) from error
