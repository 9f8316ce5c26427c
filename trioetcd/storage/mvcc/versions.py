"""Keys, their versions, and the revision: what the store does to them and what it can look up.

A request changes keys by `put` and `delete_range`; `commit` makes those changes one revision (or none, if nothing
changed). Reads between them see the changes made so far. Nothing here waits or writes: the bytes gather in
`PendingWrites`, the changes in a list for the watchers, and `StateMachine.apply` writes and publishes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.engine import Engine
from trioetcd.storage.leases import Leases
from trioetcd.storage.mvcc.compaction import Compaction
from trioetcd.storage.mvcc.counts import OpCounts
from trioetcd.storage.mvcc.index import FROM_KEY, KeyIndex
from trioetcd.storage.mvcc.recent import RecentRecords
from trioetcd.storage.mvcc.records import (
    decode_record,
    decode_without_value,
    encode_record,
    encode_tombstone,
    key_and_lease,
)
from trioetcd.storage.mvcc.revision import (
    MAIN_SHIFT,
    NO_REVISION,
    first_record_of,
    main_of,
    record_key,
    revision,
    revision_of_record,
    sub_of,
)
from trioetcd.storage.schema import REVISION_PREFIX, prefix_end
from trioetcd.storage.writes import PendingWrites

FIRST_REVISION: Final = 1
"""The revision of a store that was never written to; the first write makes revision 2."""


class Change(NamedTuple):
    """One change of one key. `previous` is what the key had before the request that changed it, if it lived then."""

    kv: m.KeyValue
    previous: m.KeyValue | None


class Versions:
    """The versions of all keys.

    Revisions in this interface are main revisions. `compact_revision` is -1 before the first compaction, as etcd's
    is: that decides which odd revisions (0, negative ones) are refused as compacted.
    """

    def __init__(self, *, engine: Engine, writes: PendingWrites, leases: Leases, counts: OpCounts) -> None:
        self._engine = engine
        self._writes = writes
        self._leases = leases
        self.counts = counts
        self.compaction = Compaction(engine=engine, writes=writes, counts=counts)
        self._revision = FIRST_REVISION
        self._sub = 0  # changes since the last commit: they belong to revision + 1
        self._changes: list[Change] = []
        self._got_rev = NO_REVISION  # by `get`, the last time: a guard asks, and then its put
        self._got: m.KeyValue | None = None
        self._recent = RecentRecords()
        self.is_watched = True
        """Whether changes are kept for watchers; while there are none, that would be 0.7 of the 4 us of a put."""
        leased: dict[bytes, int] = {}
        self.index = KeyIndex.build(self._scan(leased))
        for key, lease in leased.items():
            leases.attach(lease, key)
        self._revision = max(self._revision, self.compaction.revision)
        self.compaction.resume(self.index)

    # -- open

    def _scan(self, leased: dict[bytes, int]) -> Iterator[tuple[bytes, int]]:
        """Every retained revision in order; on the way it finds the newest, and the keys that hang on leases."""
        rev = FIRST_REVISION << MAIN_SHIFT
        for record, raw in self._engine.range(REVISION_PREFIX, prefix_end(REVISION_PREFIX)):
            rev = revision_of_record(record)
            key, lease = key_and_lease(raw)
            if lease:
                leased[key] = lease
            elif leased:
                leased.pop(key, None)
            yield key, rev
        self._revision = main_of(rev)

    # -- where it stands

    @property
    def revision(self) -> int:
        """The newest committed revision."""
        return self._revision

    @property
    def read_revision(self) -> int:
        """What a read sees now: the request's own revision once it has changed something."""
        return self._revision + 1 if self._sub else self._revision

    @property
    def compact_revision(self) -> int:
        """Up to where history is compacted; -1 if never. Reads at it are answered, before it refused."""
        return self.compaction.revision

    # -- writes

    def put(self, key: bytes, value: bytes, lease: int, previous: m.KeyValue | None) -> None:
        """Give a key a value; `previous` is what `get` says it has now, and the lease must be there."""
        main = self._revision + 1
        if previous is None:
            create, version = main, 1
        else:
            create, version = previous.create_revision, previous.version + 1
            if previous.lease:
                self._leases.detach(previous.lease, key)
        if lease:
            self._leases.attach(lease, key)
        rev = main << MAIN_SHIFT | self._sub << 1
        self._sub += 1
        self.index.add(key, rev)
        self._writes.put(record_key(rev), encode_record(create, main, version, lease, key, value))
        counts = self.counts
        counts.puts += 1
        counts.put_bytes += len(key) + len(value)
        if self.is_watched:
            self._changes.append(Change(m.KeyValue(key, create, main, version, value, lease), previous))

    def delete_range(self, key: bytes, range_end: bytes) -> int:
        """Delete the keys of a range; return how many there were."""
        self.counts.deletes += 1
        keys = self._live_keys(key, range_end)
        for one in keys:
            self.delete(one)
        return len(keys)

    def _live_keys(self, key: bytes, range_end: bytes) -> list[bytes]:
        if not range_end:
            return [key] if self.index.newest(key) else []
        return self.index.live(key, end_of(range_end))

    def delete(self, key: bytes) -> None:
        """Delete a key that lives."""
        previous = self.get(key)
        assert previous is not None, f"a key that lives has a value: {key!r}"
        if previous.lease:
            self._leases.detach(previous.lease, key)
        main = self._revision + 1
        rev = revision(main, self._sub, tombstone=True)
        self._sub += 1
        self.index.add(key, rev)
        self._writes.put(record_key(rev), encode_tombstone(main, key))
        if self.is_watched:
            self._changes.append(Change(m.KeyValue(key, 0, main), previous))

    def commit(self) -> int:
        """End a request: what it changed is one revision. Returns the revision that the store is at now."""
        if self._sub:
            self._revision += 1
            self._sub = 0
        return self._revision

    def take_changes(self) -> list[Change]:
        """The changes since the last call that were kept, in order, for the watchers."""
        changes, self._changes = self._changes, []
        return changes

    # -- reads

    def get(self, key: bytes) -> m.KeyValue | None:
        """What a key has now. It is the caller's to give on, not to change: who asks again gets the same."""
        rev = self.index.newest(key)
        if rev == self._got_rev:
            return self._got
        self._got_rev, self._got = rev, self._load_once(rev) if rev else None
        return self._got

    def _load_once(self, rev: int) -> m.KeyValue:
        """As `load`, of what is not kept, for mostly it is about to be overwritten."""
        return decode_record(self._recent.get(rev) or self._read(rev))

    def get_at(self, key: bytes, main: int) -> m.KeyValue | None:
        """What a key had at a revision that is not compacted."""
        rev = self.index.at(key, main)
        return self.load(rev) if rev else None

    def load(self, rev: int) -> m.KeyValue:
        """The version written at a revision of the index."""
        return decode_record(self._record(rev))

    def load_without_value(self, rev: int) -> m.KeyValue:
        """As `load`, without the value."""
        return decode_without_value(self._record(rev))

    def _record(self, rev: int) -> bytes:
        record = self._recent.get(rev)
        if record is None:
            record = self._read(rev)
            self._recent.keep(rev, record)
        return record

    def _read(self, rev: int) -> bytes:
        raw = self._writes.get(record_key(rev))
        if raw is None:
            raise LookupError(
                f"revision {main_of(rev)}.{sub_of(rev)} is in the index and not in the engine: "
                "the data directory is damaged; replace this member"
            )
        return raw

    def check_revision(self, main: int) -> None:
        """Raise COMPACTED or FUTURE_REV unless a read at revision `main` (> 0) can be answered."""
        if main > self.read_revision:
            raise ApiError.of(ErrorKind.FUTURE_REV)
        if main < self.compact_revision:
            raise ApiError.of(ErrorKind.COMPACTED)

    def records(self, first: int, last: int) -> Iterator[tuple[bytes, bytes]]:
        """Every record from main revision `first` to `last` as the engine has it, in order.

        Reads the engine alone: not to be used between a change and its `flush`.
        """
        return self._engine.range(first_record_of(first), first_record_of(last + 1))

    # -- compaction

    def compact(self, main: int) -> None:
        """Give up history before revision `main`; what that removes is removed by `compaction.step`."""
        if main <= self.compact_revision:
            raise ApiError.of(ErrorKind.COMPACTED)
        if main > self._revision:
            raise ApiError.of(ErrorKind.FUTURE_REV)
        self.compaction.schedule(main, self.index)


def end_of(range_end: bytes) -> bytes | None:
    r"""The end of a range as the index wants it: None for etcd's `\0`, which stands for "from key on"."""
    return None if range_end == FROM_KEY else range_end
