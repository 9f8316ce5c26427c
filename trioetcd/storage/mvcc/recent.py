"""Records that ranges read lately, so that the next range of the same keys need not ask the engine.

A get of LevelDB takes 2.5 us, as it verifies the block of each record that is not in its memory table any more; of a
range of 100 keys that was two thirds. What is here takes 0.2 us. A revision's record never changes, so nothing here
can be out of date; what a compaction removes is not asked for any more, and goes like what nobody asks for.

Two generations, of which the older one is dropped when the younger is full: what is asked for in time moves up.
"""

from __future__ import annotations

from typing import Final

BYTES_MAX: Final = 32 << 20  # of both generations
_OVERHEAD_BYTES: Final = 150  # a `bytes`, a number, and their share of a dict


class RecentRecords:
    """Records by revision (numbers of `mvcc.revision`), about `bytes_max` of them."""

    __slots__ = ("_half_bytes", "_older", "_younger", "_younger_bytes")

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._half_bytes = bytes_max // 2
        self._younger: dict[int, bytes] = {}
        self._younger_bytes = 0
        self._older: dict[int, bytes] = {}

    def get(self, rev: int) -> bytes | None:
        """The record of a revision, if it was read lately."""
        record = self._younger.get(rev)
        if record is None:
            record = self._older.get(rev)
            if record is not None:
                self.keep(rev, record)
        return record

    def keep(self, rev: int, record: bytes) -> None:
        """Keep a record that was read now."""
        self._younger[rev] = record
        self._younger_bytes += len(record) + _OVERHEAD_BYTES
        if self._younger_bytes > self._half_bytes:
            self._older, self._younger, self._younger_bytes = self._younger, {}, 0
