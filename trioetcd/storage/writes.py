"""What one batch of entries writes: gathered while they are applied, and written to the engine at once.

Whoever changes state in the course of a batch puts the bytes here; whoever reads in the same batch looks here first.
"""

from __future__ import annotations

from trioetcd.storage.engine import Engine


class PendingWrites:
    """Writes that the engine does not have yet. The last write of a key wins."""

    __slots__ = ("_engine", "_writes")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writes: dict[bytes, bytes | None] = {}

    def put(self, key: bytes, value: bytes) -> None:
        """Write a value."""
        self._writes[key] = value

    def delete(self, key: bytes) -> None:
        """Delete a key."""
        self._writes[key] = None

    def get(self, key: bytes) -> bytes | None:
        """What the engine will have once this is written."""
        if key in self._writes:
            return self._writes[key]
        return self._engine.get(key)

    def flush(self, *, sync: bool = False) -> None:
        """Write everything in one batch, atomically. A failure is final: the state in memory is ahead of the disk."""
        if self._writes or sync:
            self._engine.write(list(self._writes.items()), sync=sync)
            self._writes.clear()
