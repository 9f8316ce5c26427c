from __future__ import annotations

import pytest

from trioetcd.config.auto_compaction import (
    AutoCompaction,
    PeriodicCompaction,
    RevisionCompaction,
    parse_auto_compaction,
)
from trioetcd.config.build import member_config
from trioetcd.config.errors import ConfigError
from trioetcd.config.sources import gather


@pytest.mark.parametrize(
    ("mode", "retention", "what"),
    [
        ("periodic", "0", None),
        ("periodic", "0s", None),
        ("revision", "0", None),
        ("periodic", "2", PeriodicCompaction(7200.0)),
        ("periodic", "5m", PeriodicCompaction(300.0)),
        ("periodic", "1h30m", PeriodicCompaction(5400.0)),
        ("revision", "1000", RevisionCompaction(1000)),
        ("revision", "1us", RevisionCompaction(1000)),  # as etcd reads it: nanoseconds
    ],
)
def test_what_is_asked_for(mode: str, retention: str, what: AutoCompaction | None) -> None:
    assert parse_auto_compaction(mode, retention) == what
    settings = gather({"auto-compaction-mode": mode}, {"ETCD_AUTO_COMPACTION_RETENTION": retention})
    assert member_config(settings).auto_compaction == what


@pytest.mark.parametrize("retention", ["", "-1", "-1h", "x", "5 m", "1ns", "\u0665"])
def test_what_is_refused(retention: str) -> None:
    with pytest.raises(ConfigError, match="--auto-compaction-retention="):
        parse_auto_compaction("periodic", retention)
