"""Compaction: giving up history, at once for readers and slice by slice on disk.

The entry of a compaction moves `revision`, in the same engine batch as itself; from then on reads before it are
refused. What that leaves without use is removed in slices by `step`, which every member calls at its own pace. The last
slice writes a marker; a restart between the two markers begins the removal anew, and since what is removed is a
function of index and revision alone, doing it twice is as good as once.
"""

from __future__ import annotations

from typing import Final

from trioetcd.storage.engine import Engine
from trioetcd.storage.mvcc.index import KeyIndex
from trioetcd.storage.mvcc.revision import record_key
from trioetcd.storage.schema import META_COMPACT_FINISHED, META_COMPACT_SCHEDULED
from trioetcd.storage.writes import PendingWrites

NEVER: Final = -1
_KEYS_A_STEP: Final = 1000


class Compaction:
    """Where history begins, and how far the removal of what lies before has come."""

    def __init__(self, *, engine: Engine, writes: PendingWrites) -> None:
        self._engine = engine
        self._writes = writes
        self.revision = _load(engine, META_COMPACT_SCHEDULED)
        self.finished_revision = _load(engine, META_COMPACT_FINISHED)  # <= revision
        self._index = KeyIndex()
        self._remaining: list[bytes] = []

    @property
    def is_pending(self) -> bool:
        """Whether something may still have to be removed."""
        return self.finished_revision < self.revision

    def schedule(self, revision: int, index: KeyIndex) -> None:
        """Move the beginning of history; a removal under way goes on to the new one."""
        self.revision = revision
        self._writes.put(META_COMPACT_SCHEDULED, _dump(revision))
        self._begin(index)

    def resume(self, index: KeyIndex) -> None:
        """After a start: go on with what a crash interrupted."""
        if self.is_pending:
            self._begin(index)

    def _begin(self, index: KeyIndex) -> None:
        self._index = index
        self._remaining = index.compactable()

    def step(self, keys_max: int = _KEYS_A_STEP) -> bool:
        """Remove what is left of some keys, in one engine write; return whether more remains.

        Not to be called between a change and its `flush`.
        """
        if not self.is_pending:
            return False
        batch: list[tuple[bytes, bytes | None]] = []
        for _ in range(min(keys_max, len(self._remaining))):
            removed = self._index.compact(self._remaining.pop(), self.revision)
            batch.extend((record_key(rev), None) for rev in removed)
        if not self._remaining:
            self.finished_revision = self.revision
            batch.append((META_COMPACT_FINISHED, _dump(self.revision)))
        self._engine.write(batch)
        return self.is_pending


def _load(engine: Engine, key: bytes) -> int:
    raw = engine.get(key)
    return NEVER if raw is None else int.from_bytes(raw, "big", signed=True)


def _dump(revision: int) -> bytes:
    return revision.to_bytes(8, "big", signed=True)
