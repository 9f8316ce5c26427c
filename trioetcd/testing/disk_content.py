"""What of a simulated disk is durable, what is not yet, and what a crash makes of the difference."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

SECTOR_BYTES: Final = 512


class CrashMode(Enum):
    """What becomes of changes that were not synced."""

    DROP = "all are lost"
    KEEP = "all arrive"
    TORN = "they arrive in order, up to some byte of one of them"
    SUBSET = "some sectors arrive as of some change, others not; so do names and sizes"
    ZEROED = "as SUBSET, but the file has its new size: what did not arrive of it is zero"


class Change(NamedTuple):
    """Bytes written at an offset; the file is at least as long as their end, also if there are none."""

    offset: int
    data: bytes

    @property
    def end(self) -> int:
        """The offset behind the last byte written."""
        return self.offset + len(self.data)

    def apply(self, content: bytearray) -> None:
        """Make the change; a file that is too short is filled up with zeros."""
        content.extend(bytes(max(self.end - len(content), 0)))
        content[self.offset : self.end] = self.data

    def part(self, start: int, end: int) -> Change:
        """What it does within [start, end)."""
        start, end = max(start, self.offset), min(end, self.end)
        return Change(start, self.data[start - self.offset : end - self.offset])


class Inode:
    """A file without its name. live = durable with all changes, but for those that a failed sync lost."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.live = bytearray()
        self.changes: list[Change] = []

    def write(self, offset: int, data: bytes) -> None:
        """Write what is seen at once and durable after a sync."""
        change = Change(offset, data)
        change.apply(self.live)
        self.changes.append(change)

    def sync(self) -> None:
        """Make all changes durable."""
        for change in self.changes:
            change.apply(self.durable)
        self.changes.clear()

    def overwrite(self, offset: int, data: bytes) -> None:
        """Change bytes, durable or not."""
        for content in (self.live, self.durable):
            content[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        """Cut the content short, durable or not."""
        for content in (self.live, self.durable):
            del content[size:]

    def crash(self, random: Random, mode: CrashMode) -> None:
        """Let go of the changes that do not survive."""
        for change in self._surviving(random, mode):
            change.apply(self.durable)
        self.changes.clear()
        self.live = bytearray(self.durable)

    def _surviving(self, random: Random, mode: CrashMode) -> list[Change]:
        match mode:
            case CrashMode.DROP:
                return []
            case CrashMode.KEEP:
                return self.changes
            case CrashMode.TORN:
                return self._torn(random)
            case CrashMode.SUBSET:
                return self._sectors(random)
            case CrashMode.ZEROED:
                return [*self._sectors(random), Change(max((c.end for c in self.changes), default=0), b"")]

    def _torn(self, random: Random) -> list[Change]:
        count = random.randint(0, len(self.changes))
        kept = self.changes[:count]
        if count < len(self.changes):
            torn = self.changes[count]
            kept.append(torn.part(torn.offset, torn.offset + random.randint(0, len(torn.data))))
        return kept

    def _sectors(self, random: Random) -> list[Change]:
        """Let each sector arrive as it was after some change to it, or as it was before all of them."""
        touched: dict[int, list[Change]] = {}
        kept = [change for change in self.changes if not change.data and random.getrandbits(1)]
        for change in self.changes:
            first = change.offset - change.offset % SECTOR_BYTES
            for start in range(first, change.end, SECTOR_BYTES):
                touched.setdefault(start, []).append(change.part(start, start + SECTOR_BYTES))
        for parts in touched.values():
            kept += parts[: random.randint(0, len(parts))]
        return kept


class NameChange(NamedTuple):
    """A name given (`new`), taken (`old`), or changed; all within one directory."""

    inode: Inode
    old: Path | None
    new: Path | None

    @property
    def directory(self) -> Path | None:
        """The directory that must be synced for it."""
        path = self.new or self.old
        return None if path is None else path.parent

    def apply(self, names: dict[Path, Inode]) -> None:
        """Make the change; a rename replaces what had the name."""
        if self.old is not None and names.get(self.old) is self.inode:
            del names[self.old]
        if self.new is not None:
            names[self.new] = self.inode


def surviving_names(changes: list[NameChange], random: Random, mode: CrashMode) -> list[NameChange]:
    """The changes of names that a crash leaves, in order."""
    match mode:
        case CrashMode.DROP:
            return []
        case CrashMode.KEEP:
            return changes
        case CrashMode.TORN:
            return changes[: random.randint(0, len(changes))]
        case CrashMode.SUBSET | CrashMode.ZEROED:
            return [change for change in changes if random.getrandbits(1)]
