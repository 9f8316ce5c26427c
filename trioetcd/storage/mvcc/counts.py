"""How many operations a member's store has done since the start of the process, for metrics; counted as etcd does."""

from __future__ import annotations


class OpCounts:
    """Plain integers that only grow; no state depends on them, and a snapshot that replaces the state leaves them.

    A range is counted for each range that is answered, each guard that is looked at, and each write that needs what
    the key had. A deletion is one however many keys it finds. A transaction is counted when it does more than one
    operation, in a request of whatever kind. `put_bytes` are those of keys and values.
    """

    __slots__ = ("compacted_keys", "deletes", "put_bytes", "puts", "ranges", "txns")

    def __init__(self) -> None:
        self.ranges = 0
        self.puts = 0
        self.deletes = 0
        self.txns = 0
        self.put_bytes = 0
        self.compacted_keys = 0
