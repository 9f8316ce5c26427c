"""What `trioetcd utl snapshot` does with a file: tell of it, or make a member from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from trioetcd.config import ConfigError, LogConfig, MemberConfig, StartRefused
from trioetcd.config.member import parse_initial_cluster
from trioetcd.config.url import parse_urls
from trioetcd.log import make_logger, open_sink
from trioetcd.node.restore import restore
from trioetcd.storage.backup import BackupDamage, BackupSummary, read_stream, summarise
from trioetcd.storage.engine import EngineDamage
from trioetcd.storage.engine_folder import LevelEngineFolder
from trioetcd.storage.filesystem import DirectoryInUse, DiskFailure, OsFileSystem

EXPECTED: Final = (BackupDamage, ConfigError, DirectoryInUse, DiskFailure, EngineDamage, OSError, StartRefused)
"""What can go wrong that an operator can put right; the message says how."""

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_THOUSAND: Final = 1000
_TWO_DIGITS: Final = 10


def describe(file: Path, write_out: str) -> str:
    """What a file holds, as `etcdutl snapshot status` writes it; `write_out` is simple, json or table."""
    return _FORMATS[write_out](summarise(file, check_hash=False))


def restore_file(file: Path, *, skip_hash_check: bool, flags: Mapping[str, str]) -> None:
    """Make the data directory of a member. `flags` are the texts of those of `serve` that have a say in it.

    The file is read through before anything is made. Raises `EXPECTED`.
    """
    log = make_logger(LogConfig(), sink=open_sink(LogConfig().outputs))
    config = MemberConfig(
        name=flags["name"],
        data_dir=Path(flags["data-dir"] or f"{flags['name']}.trioetcd"),
        wal_dir=Path(flags["wal-dir"]) if flags["wal-dir"] else None,
        initial_cluster=parse_initial_cluster(flags["initial-cluster"]),
        initial_cluster_token=flags["initial-cluster-token"],
        initial_advertise_peer_urls=parse_urls(flags["initial-advertise-peer-urls"]),
    )
    summary = summarise(file, check_hash=not skip_hash_check)
    log.info("restoring snapshot", path=str(file), data_dir=str(config.data_dir), revision=summary.revision)
    filesystem = OsFileSystem()
    restore(
        read_stream(file, summary.stream_bytes),
        config=config,
        filesystem=filesystem,
        engine_folder=LevelEngineFolder(filesystem=filesystem, directory=config.data_dir / "member", log=log),
        log=log,
    )


def _simple(summary: BackupSummary) -> str:
    return f"{summary.hash:x}, {summary.revision}, {summary.total_keys}, {readable_size(summary.size_bytes)}"


def _json(summary: BackupSummary) -> str:
    fields = {
        "hash": summary.hash,
        "revision": summary.revision,
        "totalKey": summary.total_keys,
        "totalSize": summary.size_bytes,
    }
    return json.dumps(fields, separators=(",", ":"))


def _table(summary: BackupSummary) -> str:
    titles = ("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE")
    values = _simple(summary).split(", ")
    widths = [max(len(title), len(value)) for title, value in zip(titles, values, strict=True)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    head = "|" + "|".join(f" {title:^{width}} " for title, width in zip(titles, widths, strict=True)) + "|"
    row = "|" + "|".join(f" {value:>{width}} " for value, width in zip(values, widths, strict=True)) + "|"
    return f"{rule}\n{head}\n{rule}\n{row}\n{rule}"


_FORMATS: Final[dict[str, Callable[[BackupSummary], str]]] = {"simple": _simple, "json": _json, "table": _table}


def readable_size(size_bytes: int) -> str:
    """A size as etcdutl writes it: in the unit that leaves it below a thousand, with a decimal below ten."""
    if size_bytes < _TWO_DIGITS:
        return f"{size_bytes} B"
    unit = 0
    size = float(size_bytes)
    while round(size) >= _THOUSAND and unit < len(_UNITS) - 1:
        size /= _THOUSAND
        unit += 1
    return f"{size:.1f} {_UNITS[unit]}" if size < _TWO_DIGITS else f"{size:.0f} {_UNITS[unit]}"
