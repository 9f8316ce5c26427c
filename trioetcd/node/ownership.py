"""Whose data directory it is: a small file at its top says that it is ours, and in which format."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from trioetcd.config import StartRefused
from trioetcd.storage.filesystem import LOCK_FILE, FileSystem

OWNER_FILE: Final = "trioetcd-format"
FORMAT: Final = b"trioetcd data directory, format 1\n"


def check_owner(filesystem: FileSystem, data_dir: Path) -> None:
    """Raise `StartRefused` for a directory with files in it that are not ours. Changes nothing."""
    if not filesystem.exists(data_dir):
        return
    names = [name for name in filesystem.list_directory(data_dir) if name != LOCK_FILE]
    if OWNER_FILE in names:
        _check_format(filesystem, data_dir / OWNER_FILE)
    elif filesystem.exists(data_dir / "member" / "snap" / "db") or "proxy" in names:
        raise StartRefused(
            f"{data_dir} is the data directory of etcd, whose files trioetcd does not read: "
            "give this member another --data-dir"
        )
    elif names:
        raise StartRefused(
            f"{data_dir} has files in it that are not trioetcd's ({', '.join(sorted(names)[:3])}): "
            "give this member an empty --data-dir, or one that does not exist yet"
        )


def write_owner(filesystem: FileSystem, data_dir: Path) -> None:
    """Mark a directory as ours, durably, before anything else is written to it."""
    path = data_dir / OWNER_FILE
    if filesystem.exists(path):
        return
    file = filesystem.create(path)
    try:
        file.write(0, FORMAT)
        file.sync()
    finally:
        file.close()
    filesystem.sync_directory(data_dir)


def _check_format(filesystem: FileSystem, path: Path) -> None:
    file = filesystem.open(path)
    try:
        found = file.read(0, 4 * len(FORMAT))
    finally:
        file.close()
    if found not in (FORMAT, b""):  # empty: a crash came between the name and the bytes, and nothing else was written
        raise StartRefused(
            f"{path} says {found.decode(errors='replace').strip()!r}, this version reads "
            f"{FORMAT.decode().strip()!r}: start the version of trioetcd that wrote the directory"
        )
