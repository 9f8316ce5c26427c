"""The few things that the log and the snapshots ask of a disk, and how a real one does them.

Two rules of POSIX file systems decide the shape (see "All file systems are not created equal", OSDI 2014, and
"Can applications recover from fsync failures?", ATC 2020):

- A file's bytes and its name become durable apart from each other: `File.sync` makes bytes durable,
  `FileSystem.sync_directory` makes names durable. Nothing else does.
- After a sync has failed, the pages that were not written count as clean: a second sync succeeds and proves nothing.
  So the first failure is final. Callers turn the `OSError` into `DiskFailure` and never write again.

Everything here blocks. Errors of a file system are `OSError`, as the system gives them.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol

from trioetcd.storage.write_back import begin_writing

DIRECTORY_MODE: Final = 0o700
FILE_MODE: Final = 0o600
LOCK_FILE: Final = "lock"


class DiskFailure(Exception):
    """A write or a sync failed; what is on the disk is no longer known, so the member must stop.

    A restart reads back what is really there. `cause` is the system's own error.
    """

    def __init__(self, path: Path, action: str, cause: OSError) -> None:
        hint = "free some space, then start the member again" if cause.errno == errno.ENOSPC else "check the disk"
        super().__init__(f"{action} {path} failed: {cause.strerror or cause}; nothing more is written, {hint}")
        self.path = path
        self.action = action
        self.cause = cause


class DirectoryInUse(Exception):
    """Another process holds the data directory."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(
            f"data directory {path} is in use by process {holder or 'unknown'}: "
            "stop that process, or give this member a directory of its own"
        )
        self.path = path
        self.holder = holder


class File(Protocol):
    """An open file. Offsets and sizes are in bytes. Not to be used from two threads at once."""

    def size(self) -> int:
        """The size as a reader sees it now, durable or not."""
        ...

    def read(self, offset: int, size: int, /) -> bytes:
        """Read up to `size` bytes; fewer only at the end of the file."""
        ...

    def write(self, offset: int, data: bytes, /) -> None:
        """Write all of `data` at `offset`. Durable after the next `sync`."""
        ...

    def begin_writing(self, offset: int, size: int, /) -> None:
        """Let the disk begin to write these bytes, without waiting. A hint: only `sync` makes them durable."""
        ...

    def preallocate(self, size: int, /) -> None:
        """Reserve room, so that the file has at least `size` bytes, the new ones zero, and later writes find space."""
        ...

    def sync(self) -> None:
        """Make all bytes and the size durable (`fdatasync`)."""
        ...

    def close(self) -> None:
        """Close without a sync; closing twice is allowed."""
        ...


class FileSystem(Protocol):
    """Files and directories below one root. Directories are made 0700 and files 0600."""

    def make_directory(self, path: Path, /) -> None:
        """Make a directory and its parents; those that exist are left as they are. Names are durable on return."""
        ...

    def create(self, path: Path, /) -> File:
        """Create a file that must not exist, for reading and writing."""
        ...

    def open(self, path: Path, /) -> File:
        """Open a file that exists, for reading and writing."""
        ...

    def exists(self, path: Path, /) -> bool:
        """Whether a file or directory of this name is there."""
        ...

    def list_directory(self, path: Path, /) -> list[str]:
        """The names in a directory, sorted; none if there is no such directory."""
        ...

    def rename(self, source: Path, target: Path, /) -> None:
        """Give a file another name in one step, replacing what had it. Durable after `sync_directory`."""
        ...

    def unlink(self, path: Path, /) -> None:
        """Remove a file's name. Durable after `sync_directory`."""
        ...

    def sync_directory(self, path: Path, /) -> None:
        """Make the names in a directory durable."""
        ...

    def lock(self, path: Path, /) -> AbstractContextManager[None]:
        """Hold a directory for this process alone; `DirectoryInUse` if another one does."""
        ...


class OsFile:
    """A `File` on a descriptor of the operating system."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def size(self) -> int:
        """See `File`."""
        return os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int, /) -> bytes:
        """See `File`."""
        first = os.pread(self._descriptor, size, offset)
        if len(first) in (0, size):
            return first
        return first + self.read(offset + len(first), size - len(first))

    def write(self, offset: int, data: bytes, /) -> None:
        """See `File`."""
        written = os.pwrite(self._descriptor, data, offset)
        while written < len(data):  # A short write: go on, so that the reason comes out as an error.
            written += os.pwrite(self._descriptor, memoryview(data)[written:], offset + written)

    def begin_writing(self, offset: int, size: int, /) -> None:
        """See `File`."""
        begin_writing(self._descriptor, offset, size)

    def preallocate(self, size: int, /) -> None:
        """See `File`."""
        os.posix_fallocate(self._descriptor, 0, size)

    def sync(self) -> None:
        """See `File`."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """See `File`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class OsFileSystem:
    """The `FileSystem` of the operating system."""

    def make_directory(self, path: Path, /) -> None:
        """See `FileSystem`."""
        if path.is_dir():
            return
        if path.parent != path:
            self.make_directory(path.parent)
        path.mkdir(mode=DIRECTORY_MODE)
        self.sync_directory(path.parent)

    def create(self, path: Path, /) -> OsFile:
        """See `FileSystem`."""
        return OsFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))

    def open(self, path: Path, /) -> OsFile:
        """See `FileSystem`."""
        return OsFile(os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def exists(self, path: Path, /) -> bool:
        """See `FileSystem`."""
        return path.exists()

    def list_directory(self, path: Path, /) -> list[str]:
        """See `FileSystem`."""
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []

    def rename(self, source: Path, target: Path, /) -> None:
        """See `FileSystem`."""
        source.replace(target)

    def unlink(self, path: Path, /) -> None:
        """See `FileSystem`."""
        path.unlink()

    def sync_directory(self, path: Path, /) -> None:
        """See `FileSystem`."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path, /) -> AbstractContextManager[None]:
        """See `FileSystem`."""
        return lock_directory(path)


@contextmanager
def lock_directory(path: Path) -> Iterator[None]:
    """Hold a data directory for this process alone, while the body runs.

    The lock is `flock` on a file in the directory that holds the process's id. The system lets go of it when the
    process ends, however it ends; the file stays, and means nothing without the lock. `DirectoryInUse` if it is held.
    """
    descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise DirectoryInUse(path, holder) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)
