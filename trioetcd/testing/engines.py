"""The engine of a simulated machine: in memory, with a tail of batches that a crash may take.

    name on the disk --> store: what is durable, the batches after that, and the state with all of them

Names (`db`, `db.snap-INDEX`, `db.old`) are small files of a `MemoryFileSystem`, so that a swap of engines is renames
that a crash can lose, reorder, or come between; the bytes are here. A batch is durable with the next synced write. A
crash loses those after some point, as LevelDB loses the tail of its log, never one from between.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from trioetcd.storage.engine import EngineDamage
from trioetcd.storage.engine_protocol import Batch, View
from trioetcd.storage.engine_transfer import TransferDamage, TransferReader
from trioetcd.storage.filesystem import FileSystem
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.testing.disk import CrashMode

_TOKEN_BYTES: Final = 8


class _Store:
    """The bytes of one engine. live = durable with all of `unsynced`."""

    def __init__(self) -> None:
        self.durable: dict[bytes, bytes] = {}
        self.unsynced: list[Batch] = []
        self.live = MemoryEngine()

    def write(self, batch: Batch, *, sync: bool) -> None:
        self.live.write(batch)
        self.unsynced.append(batch)
        if sync:
            self._keep(len(self.unsynced))

    def crash(self, random: Random, mode: CrashMode) -> None:
        """Lose the batches after some point."""
        survivors = {CrashMode.DROP: 0, CrashMode.KEEP: len(self.unsynced)}
        self._keep(survivors.get(mode, random.randint(0, len(self.unsynced))))
        self.unsynced.clear()
        self.live = MemoryEngine()
        self.live.write(list(self.durable.items()))

    def _keep(self, count: int) -> None:
        for batch in self.unsynced[:count]:
            for key, value in batch:
                if value is None:
                    self.durable.pop(key, None)
                else:
                    self.durable[key] = value
        del self.unsynced[:count]


class MemoryEngineFolder:
    """An `EngineFolder` on the directory of a `MemoryFileSystem`.

    `random` draws where a crash cuts. Call `crash` together with the file system's own. Engines and receivers that
    were opened before it are dead; what they are asked to do then raises what the file system's
    `before_operation` raises, so a simulated machine that is off stays as it was.
    """

    def __init__(self, *, filesystem: FileSystem, directory: Path, random: Random) -> None:
        self._filesystem = filesystem
        self._directory = directory
        self._random = random
        self._current = directory / "db"
        self._old = directory / "db.old"
        self._stores: dict[int, _Store] = {}
        self._stores_made = 0
        self.boots = 0

    def open(self, *, create: bool) -> StoredEngine:
        """See `EngineFolder`."""
        if not self._filesystem.exists(self._current):
            if not create:
                raise EngineDamage(self._current, "there is none")
            self.put_aside(self._current, _Store())
        return StoredEngine(folder=self, path=self._current, store=self._find(self._current))

    def receive(self, index: int) -> StoreReceiver:
        """See `EngineFolder`."""
        return StoreReceiver(folder=self, path=self._received(index))

    def has_received(self, index: int) -> bool:
        """See `EngineFolder`."""
        return self._filesystem.exists(self._received(index))

    def swap_in(self, index: int) -> None:
        """See `EngineFolder`: the steps are those of `LevelEngineFolder`."""
        received = self._received(index)
        if self._filesystem.exists(received):
            if self._filesystem.exists(self._current):
                self._remove(self._old)
                self._filesystem.rename(self._current, self._old)
            self._filesystem.rename(received, self._current)
            self._filesystem.sync_directory(self._directory)
        self._remove(self._old)
        self.discard_passed(index)

    def discard_passed(self, index: int) -> None:
        """See `EngineFolder`."""
        for name in self._filesystem.list_directory(self._directory):
            if name.startswith("db.snap-") and name <= self._received(index).name:
                self._remove(self._directory / name)

    def discard_received(self) -> None:
        """See `EngineFolder`."""
        for name in self._filesystem.list_directory(self._directory):
            if name.startswith("db.snap-"):
                self._remove(self._directory / name)

    def crash(self, mode: CrashMode) -> None:
        """Lose the tails of all engines, as `mode` says; to be called after the file system's `crash`."""
        self.boots += 1
        for store in self._stores.values():
            store.crash(self._random, mode)

    def remove(self) -> None:
        """Take the engine in use away, as an operator's mistake or a lost disk does."""
        self._remove(self._current)
        self._filesystem.sync_directory(self._directory)

    def put_aside(self, path: Path, store: _Store) -> None:
        """Give a store its name, durably."""
        self._stores_made += 1
        self._stores[self._stores_made] = store
        part = path.with_suffix(".part")
        self._remove(part)
        file = self._filesystem.create(part)
        try:
            file.write(0, self._stores_made.to_bytes(_TOKEN_BYTES, "big"))
            file.sync()
        finally:
            file.close()
        self._filesystem.rename(part, path)
        self._filesystem.sync_directory(self._directory)

    def _find(self, path: Path) -> _Store:
        file = self._filesystem.open(path)
        try:
            return self._stores[int.from_bytes(file.read(0, _TOKEN_BYTES), "big")]
        finally:
            file.close()

    def _remove(self, path: Path) -> None:
        if self._filesystem.exists(path):
            self._filesystem.unlink(path)

    def _received(self, index: int) -> Path:
        return self._directory / f"db.snap-{index:016x}"


class StoredEngine:
    """An `Engine` whose bytes outlive it, as those of a folder on a disk do."""

    def __init__(self, *, folder: MemoryEngineFolder, path: Path, store: _Store) -> None:
        self._folder = folder
        self._path = path
        self._store = store
        self._boot = folder.boots
        self._closed = False

    def get(self, key: bytes, /) -> bytes | None:
        """See `Engine`."""
        return self._live().get(key)

    def range(self, start: bytes, end: bytes | None, /, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `Engine`."""
        return self._live().range(start, end, reverse=reverse)

    def write(self, batch: Batch, /, *, sync: bool = False) -> None:
        """See `Engine`."""
        self._live()
        self._store.write(batch, sync=sync)

    def view(self) -> View:
        """See `Engine`."""
        return self._live().view()

    def size_bytes(self) -> int:
        """See `Engine`."""
        return self._live().size_bytes()

    def compact(self, start: bytes | None = None, end: bytes | None = None, /) -> None:
        """See `Engine`: nothing to give back."""

    def let_go(self) -> None:
        """See `Engine`: there are no files."""

    def close(self) -> None:
        """See `Engine`."""
        self._closed = True

    def _live(self) -> MemoryEngine:
        if self._closed or self._boot != self._folder.boots:
            raise EngineDamage(self._path, "it is closed" if self._closed else "it was opened before a crash")
        return self._store.live


class StoreReceiver:
    """A `Receiver` whose result gets its name when it is whole."""

    def __init__(self, *, folder: MemoryEngineFolder, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._store = _Store()
        self._reader = TransferReader()

    def feed(self, data: bytes) -> None:
        """See `Receiver`."""
        for pairs in self._reader.feed(data):
            self._store.write(pairs, sync=False)

    def finish(self) -> None:
        """See `Receiver`."""
        if self._reader.total is None:
            raise TransferDamage("the stream stopped before its end")
        self._store.write([], sync=True)
        self._folder.put_aside(self._path, self._store)

    def abort(self) -> None:
        """See `Receiver`: it has no name yet, so there is nothing to remove."""
