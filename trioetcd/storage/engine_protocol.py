"""What an engine is: an ordered map of bytes to bytes, with atomic batches and consistent views."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Self

Batch = Sequence[tuple[bytes, bytes | None]]
"""Keys with their new values, in order; None deletes."""


class Reader(Protocol):
    """What can be read from, an engine or a view of it. Any read may raise `EngineDamage`."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value of a key, or None."""
        ...

    def range(self, start: bytes, end: bytes | None, /, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the pairs of [start, end) in order of keys; `end` None is no limit.

        The pairs are those as of the first step, whatever is written meanwhile.
        """
        ...


class View(Reader, Protocol):
    """The engine as it was when the view was made. To be closed before the engine is."""

    def close(self) -> None:
        """Let go of what the view holds; closing twice is allowed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *args: object) -> None: ...


class Engine(Reader, Protocol):
    """See the module. Reads may run beside each other; a write excludes nothing but another write."""

    def write(self, batch: Batch, /, *, sync: bool = False) -> None:
        """Apply a batch as a whole; with `sync` it and all batches before it are durable on return."""
        ...

    def view(self) -> View:
        """The present state, to be read at leisure."""
        ...

    def size_bytes(self) -> int:
        """What it takes on disk."""
        ...

    def compact(self, start: bytes | None = None, end: bytes | None = None, /) -> None:
        """Give back the room of deleted and overwritten keys of [start, end); blocks long if the range is large."""
        ...

    def let_go(self) -> Callable[[], None] | None:
        """Let go of files that were removed: what is left to do, to be run in a thread; None if there is nothing."""
        ...

    def close(self) -> None:
        """Close without a sync; closing twice is allowed."""
        ...
