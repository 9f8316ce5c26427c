"""A disk in memory that forgets what was not synced, and fails when it is told to.

A file is bytes that are durable and changes that are not yet. `File.sync` makes its changes durable, and
`sync_directory` the names in a directory; `crash` throws the rest away in one of the ways in which real disks do. The
model is no kinder than they are: a sector of 512 bytes is written whole or not at all, sectors reach the disk in any
order, a file's bytes and its name do so independently, and after a failed sync the pages count as clean although they
never arrived.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from random import Random

from trioetcd.storage.filesystem import DirectoryInUse
from trioetcd.testing.disk_content import CrashMode, Inode, NameChange, surviving_names

__all__ = ["CrashMode", "MemoryFile", "MemoryFileSystem"]


class MemoryFileSystem:
    """A `FileSystem` in memory.

    `capacity_bytes` bounds the sizes of all files together (ENOSPC beyond). `before_operation` is called with a word
    on each operation that changes something, before it does: the points at which a crash can come. While
    `syncs_lie`, the disk says that it has synced a file and has not.
    """

    def __init__(
        self, *, capacity_bytes: int | None = None, before_operation: Callable[[str], None] | None = None
    ) -> None:
        self.capacity_bytes = capacity_bytes
        self.before_operation = before_operation
        self.syncs_lie = False
        self.boots = 0  # Handles opened before the last crash are dead.
        self._directories = {Path("/")}
        self._names: dict[Path, Inode] = {}
        self._durable_names: dict[Path, Inode] = {}
        self._name_changes: list[NameChange] = []
        self._locked: set[Path] = set()
        self._syncs_until_failure: int | None = None

    # What a FileSystem does.

    def make_directory(self, path: Path, /) -> None:
        """See `FileSystem`."""
        self._operate(f"make directory {path}")
        self._directories.update([path, *path.parents])

    def create(self, path: Path, /) -> MemoryFile:
        """See `FileSystem`."""
        self._operate(f"create {path}")
        if path.parent not in self._directories:
            raise _error(errno.ENOENT, path)
        if path in self._names:
            raise _error(errno.EEXIST, path)
        inode = Inode()
        self._change_name(NameChange(inode, None, path))
        return MemoryFile(self, inode, path)

    def open(self, path: Path, /) -> MemoryFile:
        """See `FileSystem`."""
        return MemoryFile(self, self._find(path), path)

    def exists(self, path: Path, /) -> bool:
        """See `FileSystem`."""
        return path in self._names or path in self._directories

    def list_directory(self, path: Path, /) -> list[str]:
        """See `FileSystem`."""
        return sorted(name.name for name in self._names if name.parent == path)

    def rename(self, source: Path, target: Path, /) -> None:
        """See `FileSystem`."""
        self._operate(f"rename {source} to {target}")
        self._change_name(NameChange(self._find(source), source, target))

    def unlink(self, path: Path, /) -> None:
        """See `FileSystem`."""
        self._operate(f"unlink {path}")
        self._change_name(NameChange(self._find(path), path, None))

    def sync_directory(self, path: Path, /) -> None:
        """See `FileSystem`."""
        self._operate(f"sync directory {path}")
        fails = self.next_sync_fails()
        changes = [change for change in self._name_changes if change.directory == path]
        self._name_changes = [change for change in self._name_changes if change.directory != path]
        if fails:
            raise _error(errno.EIO, path)
        for change in changes:
            change.apply(self._durable_names)

    @contextmanager
    def lock(self, path: Path, /) -> Iterator[None]:
        """See `FileSystem`; another holder is another part of this process."""
        if path in self._locked:
            raise DirectoryInUse(path, str(os.getpid()))
        self._locked.add(path)
        boot = self.boots
        try:
            yield
        finally:
            if boot == self.boots:
                self._locked.discard(path)

    # What befalls it.

    def crash(self, random: Random, mode: CrashMode) -> None:
        """Lose power: what was not synced is treated as `mode` says, and every open file is dead."""
        self.boots += 1
        self._locked.clear()
        for change in surviving_names(self._name_changes, random, mode):
            change.apply(self._durable_names)
        self._name_changes.clear()
        self._names = dict(self._durable_names)
        for inode in dict.fromkeys(self._names.values()):
            inode.crash(random, mode)

    def fail_sync(self, *, after: int | None = 1) -> None:
        """Let the sync that comes as number `after` from now fail with EIO; what it was to write never arrives.

        None takes that back.
        """
        self._syncs_until_failure = after

    def overwrite(self, path: Path, offset: int, data: bytes) -> None:
        """Change bytes behind the file system's back, as rot, a misdirected write or an operator does."""
        self._find(path).overwrite(offset, data)

    def flip_bit(self, path: Path, offset: int, bit: int = 0) -> None:
        """Flip one bit of a file's bytes."""
        self.overwrite(path, offset, bytes([self.content(path)[offset] ^ (1 << bit)]))

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file short behind the file system's back."""
        self._find(path).truncate(size)

    def content(self, path: Path) -> bytes:
        """All bytes of a file as a reader sees them now."""
        return bytes(self._find(path).live)

    def clone(self) -> MemoryFileSystem:
        """A disk of its own with the same content, durable or not; `before_operation` is not taken along."""
        hook, self.before_operation = self.before_operation, None
        try:
            return deepcopy(self)
        finally:
            self.before_operation = hook

    # For `MemoryFile`.

    def next_sync_fails(self) -> bool:
        """Count one sync, and say whether it is the one that fails."""
        if self._syncs_until_failure is None:
            return False
        self._syncs_until_failure -= 1
        if self._syncs_until_failure > 0:
            return False
        self._syncs_until_failure = None
        return True

    def operate(self, what: str, path: Path, boot: int) -> None:
        """Announce an operation on a file; EBADF if the file was opened before a crash."""
        if boot != self.boots:
            raise _error(errno.EBADF, path)
        self._operate(f"{what} {path}")

    def reserve(self, inode: Inode, size: int, path: Path) -> None:
        """Refuse a size that does not fit the disk."""
        used = sum(len(other.live) for other in dict.fromkeys(self._names.values()) if other is not inode)
        if self.capacity_bytes is not None and used + max(size, len(inode.live)) > self.capacity_bytes:
            raise _error(errno.ENOSPC, path)

    def _operate(self, what: str) -> None:
        if self.before_operation is not None:
            self.before_operation(what)

    def _find(self, path: Path) -> Inode:
        if path not in self._names:
            raise _error(errno.ENOENT, path)
        return self._names[path]

    def _change_name(self, change: NameChange) -> None:
        change.apply(self._names)
        self._name_changes.append(change)


class MemoryFile:
    """A `File` of a `MemoryFileSystem`."""

    def __init__(self, fs: MemoryFileSystem, inode: Inode, path: Path) -> None:
        self._fs = fs
        self._inode = inode
        self._path = path
        self._boot = fs.boots

    def size(self) -> int:
        """See `File`."""
        return len(self._inode.live)

    def read(self, offset: int, size: int, /) -> bytes:
        """See `File`."""
        return bytes(self._inode.live[offset : offset + size])

    def write(self, offset: int, data: bytes, /) -> None:
        """See `File`."""
        self._fs.operate(f"write {len(data)} bytes at {offset} of", self._path, self._boot)
        self._fs.reserve(self._inode, offset + len(data), self._path)
        self._inode.write(offset, bytes(data))

    def begin_writing(self, _offset: int, _size: int, /) -> None:
        """See `File`: here only a sync writes, and a crash may keep what was not synced as it is."""

    def preallocate(self, size: int, /) -> None:
        """See `File`."""
        self._fs.operate("preallocate", self._path, self._boot)
        self._fs.reserve(self._inode, size, self._path)
        self._inode.write(max(size, len(self._inode.live)), b"")

    def sync(self) -> None:
        """See `File`."""
        self._fs.operate("sync", self._path, self._boot)
        if self._fs.next_sync_fails():
            self._inode.changes.clear()  # They stay readable, count as written, and are not.
            raise _error(errno.EIO, self._path)
        if not self._fs.syncs_lie:
            self._inode.sync()

    def close(self) -> None:
        """See `File`."""


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
