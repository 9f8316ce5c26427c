"""Whether the cluster is about to go back to the version before: set and ended through the log, alike on all members.

It is a promise that members of that version may join, kept where etcd keeps it, beside the cluster's version.
"""

from __future__ import annotations

from trioetcd.storage.engine import Reader
from trioetcd.storage.schema import META_DOWNGRADE
from trioetcd.storage.writes import PendingWrites


class Downgrade:
    """The version that the cluster goes back to, `X.Y.0`, or None. Changed only by apply."""

    def __init__(self, *, engine: Reader, writes: PendingWrites) -> None:
        self._writes = writes
        raw = engine.get(META_DOWNGRADE)
        self.target: str | None = None if raw is None else raw.decode()

    def begin(self, target: str) -> None:
        """Note the version to go back to."""
        self.target = target
        self._writes.put(META_DOWNGRADE, target.encode())

    def end(self) -> None:
        """Stay at the version that there is."""
        self.target = None
        self._writes.delete(META_DOWNGRADE)

    def digest_parts(self) -> list[object]:
        """What all members must agree on."""
        return [self.target]
