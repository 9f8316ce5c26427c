"""The engine in memory: for tests, for simulated disks, and as the model of what an engine must do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from sortedcontainers import SortedDict

from trioetcd.storage.engine_protocol import Batch


class MemoryEngine:
    """An `Engine` without a disk. `sync` means nothing here: what is written stays as long as the object."""

    def __init__(self) -> None:
        # Readers that outlive a step share the map; the next write makes a copy for itself while there are any.
        self._map = _Map()

    def get(self, key: bytes, /) -> bytes | None:
        """See `Engine`."""
        value: bytes | None = self._map.pairs.get(key)
        return value

    def range(self, start: bytes, end: bytes | None, /, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `Engine`."""
        return _iterate(self, start, end, reverse=reverse)

    def write(self, batch: Batch, /, *, sync: bool = False) -> None:  # noqa: ARG002 - as the protocol has it
        """See `Engine`."""
        if self._map.readers:
            self._map = _Map(self._map.pairs)
        pairs = self._map.pairs
        for key, value in batch:
            if value is None:
                pairs.pop(key, None)
            else:
                pairs[key] = value

    def view(self) -> MemoryView:
        """See `Engine`."""
        return MemoryView(self._map)

    def size_bytes(self) -> int:
        """See `Engine`: the bytes of keys and values."""
        return sum(len(key) + len(value) for key, value in self._map.pairs.items())

    def compact(self, start: bytes | None = None, end: bytes | None = None, /) -> None:
        """See `Engine`: nothing to give back."""

    def let_go(self) -> None:
        """See `Engine`: there are no files."""

    def close(self) -> None:
        """See `Engine`."""

    def borrow(self) -> _Map:
        """The present map, to be counted as read."""
        return self._map


class MemoryView:
    """A `View` of a `MemoryEngine`."""

    def __init__(self, borrowed: _Map) -> None:
        self._map = borrowed
        self._open = True
        borrowed.readers += 1

    def get(self, key: bytes, /) -> bytes | None:
        """See `Reader`."""
        value: bytes | None = self._map.pairs.get(key)
        return value

    def range(self, start: bytes, end: bytes | None, /, *, reverse: bool = False) -> Iterator[tuple[bytes, bytes]]:
        """See `Reader`."""
        return _iterate(self, start, end, reverse=reverse)

    def close(self) -> None:
        """See `View`."""
        self._map.readers -= self._open
        self._open = False

    def borrow(self) -> _Map:
        """The map as of the view."""
        return self._map

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


class _Map:
    """A sorted map, and how many views and iterations read it."""

    __slots__ = ("pairs", "readers")

    def __init__(self, pairs: SortedDict | None = None) -> None:
        self.pairs = SortedDict(pairs or {})
        self.readers = 0


def _iterate(
    source: MemoryEngine | MemoryView, start: bytes, end: bytes | None, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    borrowed = source.borrow()
    borrowed.readers += 1
    try:
        pairs = borrowed.pairs
        for key in pairs.irange(start, end, (True, False), reverse):
            yield key, pairs[key]
    finally:
        borrowed.readers -= 1
