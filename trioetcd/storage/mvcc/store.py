"""The store as the services see it: ranges, read-only transactions, hashes."""

from __future__ import annotations

from trioetcd.api import messages as m
from trioetcd.storage.mvcc.hash import HashKv, hash_kv
from trioetcd.storage.mvcc.range_query import answer_range
from trioetcd.storage.mvcc.txn import read_txn
from trioetcd.storage.mvcc.versions import Versions


class MvccStore(Versions):
    """What can be asked of the store between two batches. See `Versions` for what a batch does to it."""

    def range(self, request: m.RangeRequest) -> m.RangeResponse:
        """Answer a range that has passed `checks.check_range`; no header. Raises COMPACTED and FUTURE_REV."""
        return answer_range(self, request)

    def read_txn(self, request: m.TxnRequest) -> m.TxnResponse:
        """Answer a transaction that `is_read_only` and has passed `checks.check_txn`; its header has the revision."""
        return read_txn(self, request)

    def hash_kv(self, revision: int = 0) -> HashKv:
        """Compute etcd's hash of what the keys were at a revision, 0 being now. Raises COMPACTED and FUTURE_REV."""
        return hash_kv(self, revision)
