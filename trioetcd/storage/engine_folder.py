"""Where the engine of a member is, and how one that a leader sent takes its place.

    db                 the engine in use
    db.snap-INDEX      one that a leader sent, whole and verified, not yet in use (INDEX as 16 hex digits)
    db.snap-INDEX.N    one that is coming, the Nth since the start: leaders that change, or send again what they believe
                       lost, may send several at once
    db.old             the one that was in use, for the moment of the swap

A swap is two renames, and a crash may come between any two steps. `swap_in` may be repeated until it has come through,
and a start does so when the newest snapshot is one that was received and is not yet in use.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from trioetcd.log import Logger
from trioetcd.storage.engine import Engine, LevelEngine, remove_engine
from trioetcd.storage.engine_transfer import EngineReceiver
from trioetcd.storage.filesystem import FileSystem


class Receiver(Protocol):
    """An engine on its way in."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes; raises `TransferDamage` for what is not as it was sent."""

    def finish(self) -> None:
        """Verify that all has come, and make it durable."""

    def abort(self) -> None:
        """Remove what has come so far."""


class EngineFolder(Protocol):
    """The place of a member's engine."""

    def open(self, *, create: bool) -> Engine:
        """Open the engine in use; with `create`, make an empty one where there is none."""
        ...

    def receive(self, index: int) -> Receiver:
        """A place for an engine that stands for the log up to `index`."""
        ...

    def has_received(self, index: int) -> bool:
        """Whether such an engine is there, whole."""
        ...

    def swap_in(self, index: int) -> None:
        """Put it in the place of the one in use, which must be closed; those before it are passed."""

    def discard_passed(self, index: int) -> None:
        """Remove received engines, whole, that stand for no more than `index`, which the one in use has reached."""

    def discard_received(self) -> None:
        """Remove every engine that is not in use, whole or not: to be called at a start, when none is awaited."""


class LevelEngineFolder:
    """Engines in folders of a real file system."""

    def __init__(self, *, directory: Path, filesystem: FileSystem, log: Logger) -> None:
        self._directory = directory
        self._filesystem = filesystem
        self._log = log
        self._current = directory / "db"
        self._old = directory / "db.old"
        self._receivers = 0  # since the start

    def open(self, *, create: bool) -> Engine:
        """Open the engine in use; raises `EngineDamage` for what cannot be trusted, and for one that is not there."""
        engine = LevelEngine.open(self._current, create=create)
        if (cut := engine.cut) is not None:
            self._log.warning(
                "cut off the end of the database's log, left by a crash; the write-ahead log has it",
                file=str(cut.file),
                offset=cut.offset,
                what=cut.what,
            )
        return engine

    def receive(self, index: int) -> Receiver:
        """Start an engine aside, in a place of its own."""
        path = self._received(index)
        self._receivers += 1
        part = path.with_name(f"{path.name}.{self._receivers}")
        remove_engine(part)
        return _KeptWhenWhole(part=part, path=path, filesystem=self._filesystem)

    def has_received(self, index: int) -> bool:
        """Whether an engine for `index` is there, whole: it has its name only then."""
        return self._received(index).exists()

    def swap_in(self, index: int) -> None:
        """Put the received engine in place; may be repeated after a crash at any step."""
        received = self._received(index)
        if received.exists():
            if self._current.exists():
                shutil.rmtree(self._old, ignore_errors=True)
                self._filesystem.rename(self._current, self._old)
            self._filesystem.rename(received, self._current)
            self._filesystem.sync_directory(self._directory)
        shutil.rmtree(self._old, ignore_errors=True)
        self.discard_passed(index)

    def discard_passed(self, index: int) -> None:
        """Remove received engines, whole, that stand for no more than `index`: the core passed them over."""
        for path in self._directory.glob("db.snap-" + "?" * 16):
            if path <= self._received(index):
                remove_engine(path)

    def discard_received(self) -> None:
        """Remove every engine that was received and not put in place, whole or not, and what a swap left behind."""
        for path in (*self._directory.glob("db.snap-*"), *self._directory.glob(self._old.name)):
            shutil.rmtree(path)

    def _received(self, index: int) -> Path:
        return self._directory / f"db.snap-{index:016x}"


class _KeptWhenWhole:
    """A receiver whose result gets its name only when it is whole, and only if no other has it.

    What has the name may already be counted on by the log. It is the same state: of one index there is only one.
    """

    def __init__(self, *, part: Path, path: Path, filesystem: FileSystem) -> None:
        self._receiver = EngineReceiver(path=part)
        self._part = part
        self._path = path
        self._filesystem = filesystem

    def feed(self, data: bytes) -> None:
        self._receiver.feed(data)

    def finish(self) -> None:
        self._receiver.finish()
        if self._path.exists():
            remove_engine(self._part)
            return
        self._filesystem.rename(self._part, self._path)
        self._filesystem.sync_directory(self._path.parent)

    def abort(self) -> None:
        self._receiver.abort()
