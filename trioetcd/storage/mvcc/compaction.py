"""Compaction: giving up history, at once for readers and slice by slice on disk.

The entry of a compaction moves `revision`, in the same engine batch as itself; from then on reads before it are
refused. What that leaves without use is removed in slices by `step`, which every member calls at its own pace. The last
slice writes a marker; a restart between the two markers begins the removal anew, and since what is removed is a
function of index and revision alone, doing it twice is as good as once.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from trioetcd.storage.engine import Engine
from trioetcd.storage.mvcc.counts import OpCounts
from trioetcd.storage.mvcc.index import KeyIndex
from trioetcd.storage.mvcc.revision import record_key
from trioetcd.storage.schema import META_COMPACT_FINISHED, META_COMPACT_SCHEDULED
from trioetcd.storage.writes import PendingWrites

NEVER: Final = -1
_REMOVALS_A_STEP: Final = 500  # about 1 ms


class Compaction:
    """Where history begins, and how far the removal of what lies before has come."""

    def __init__(self, *, engine: Engine, writes: PendingWrites, counts: OpCounts) -> None:
        self._engine = engine
        self._counts = counts
        self._writes = writes
        self.revision = _load(engine, META_COMPACT_SCHEDULED)
        self.finished_revision = _load(engine, META_COMPACT_FINISHED)  # <= revision
        self._index = KeyIndex()
        self._remaining: list[bytes] = []  # keys to look at
        self._doomed: deque[int] = deque()  # revisions that the index has let go of and the engine still has

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

    def step(self, removals_max: int = _REMOVALS_A_STEP) -> bool:
        """Look at so many keys and remove so many revisions at most, in one engine write; return whether more remains.

        Not to be called between a change and its `flush`.
        """
        if not self.is_pending:
            return False
        doomed = self._doomed
        for _ in range(min(removals_max, len(self._remaining))):
            if len(doomed) >= removals_max:
                break
            doomed.extend(self._index.compact(self._remaining.pop(), self.revision))
        removed = [record_key(doomed.popleft()) for _ in range(min(removals_max, len(doomed)))]
        batch: list[tuple[bytes, bytes | None]] = [(key, None) for key in removed]
        if not self._remaining and not doomed:
            self.finished_revision = self.revision
            batch.append((META_COMPACT_FINISHED, _dump(self.revision)))
        self._engine.write(batch)
        self._counts.compacted_keys += len(removed)
        return self.is_pending


def _load(engine: Engine, key: bytes) -> int:
    raw = engine.get(key)
    return NEVER if raw is None else int.from_bytes(raw, "big", signed=True)


def _dump(revision: int) -> bytes:
    return revision.to_bytes(8, "big", signed=True)
