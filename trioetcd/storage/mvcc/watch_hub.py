"""Watching: everyone who asked is told of every change of their keys, in order, once, and whole revisions at a time.

    publish --> queue of the stream --> take       a synced watcher hears of changes as they are applied
      |
      +-- queue full: the watcher is unsynced from that revision on; `catch_up` reads the store for it, in slices,
          whenever its stream has room, until there is nothing it has not seen; then it is synced again

So a slow reader costs a bounded queue, not memory without end, and misses nothing; unless compaction passes the place
where it is: then it is canceled, and told the compact revision. A watcher that starts in the past begins unsynced, one
that starts in the future waits among the synced ones, and hears of nothing before its start.

Everything here is synchronous, and called between batches. etcd's rules are those of its mvcc watchable store and watch
server; where 3.5.1 has bugs that later releases fixed, the fix is followed (progress before a future start, deletions
at the compact revision).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, Final, NamedTuple

from trioetcd.api import messages as m
from trioetcd.storage.mvcc.records import decode_record
from trioetcd.storage.mvcc.versions import Change, Versions
from trioetcd.storage.mvcc.watch_delivery import SharedEvent, WatchDelivery
from trioetcd.storage.mvcc.watcher import Receiver, Watcher, WatcherSet

INVALID_ID: Final = -1
"""The watch ID of answers that are about no watcher, or about all of the stream's."""

_WATCHERS_A_SLICE: Final = 512
_BYTES_A_SLICE: Final = 4 << 20


class WatchStatus(NamedTuple):
    """How many there are, for metrics."""

    streams: int
    watchers: int
    unsynced: int
    events_pending: int
    events_sent: int


class WatchHub:
    """All streams and watchers of a member."""

    def __init__(self, *, store: Versions) -> None:
        self._store = store
        self._streams: dict[Receiver, None] = {}
        self._synced = WatcherSet()
        self._unsynced: dict[Watcher, None] = {}  # in the order in which they are served
        self._progress_owed: dict[Receiver, None] = {}
        self.events_sent = 0  # handed to those who send, since the start
        self.wake: Callable[[], None] = _nobody
        """Called when `catch_up` has something to do that it did not have before."""

    @property
    def store(self) -> Versions:
        """Where the past is read."""
        return self._store

    @property
    def has_synced(self) -> bool:
        """Whether any watcher is told of changes as they are applied."""
        return bool(self._synced)

    @property
    def has_unsynced(self) -> bool:
        """Whether any watcher is behind (its stream may have no room for it yet)."""
        return bool(self._unsynced)

    def status(self) -> WatchStatus:
        """How many there are."""
        watchers = sum(stream.watcher_count for stream in self._streams)
        pending = sum(stream.events_pending for stream in self._streams)
        return WatchStatus(len(self._streams), watchers, len(self._unsynced), pending, self.events_sent)

    # -- streams come and go

    def add_stream(self, stream: Receiver) -> None:
        """A stream begins."""
        self._streams[stream] = None

    def remove_stream(self, stream: Receiver) -> None:
        """A stream is closed; its watchers were removed."""
        self._streams.pop(stream, None)
        self._progress_owed.pop(stream, None)

    def add(self, watcher: Watcher) -> None:
        """Begin to tell a watcher what it wants from its `next_revision` on."""
        if watcher.next_revision > self._store.revision:
            self._synced.add(watcher)
        else:
            self._unsync(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Tell the watcher nothing more."""
        if watcher in self._unsynced:
            del self._unsynced[watcher]
        else:
            self._synced.remove(watcher)

    def is_synced(self, watcher: Watcher) -> bool:
        """Whether the watcher's stream has, or holds in its queue, all that it wants up to now."""
        return watcher not in self._unsynced

    def _unsync(self, watcher: Watcher) -> None:
        self._unsynced[watcher] = None
        if watcher.stream.has_room:
            self.wake()

    # -- the present

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell the synced watchers of changes that have just been written; several revisions may come at once."""
        if self._synced:
            for watcher, events in self._match(changes).items():
                if watcher.stream.admits(events):
                    watcher.stream.push_events(watcher, events, self._store.revision)
                else:
                    self._synced.remove(watcher)
                    watcher.next_revision = events[0].mod_revision
                    self._unsync(watcher)
        if self._progress_owed:
            self._answer_progress()

    def _match(self, changes: Sequence[Change]) -> dict[Watcher, list[SharedEvent]]:
        matched: dict[Watcher, list[SharedEvent]] = {}
        watchers_of = self._synced.of
        for change in changes:
            kv = change.kv
            shared: SharedEvent | None = None
            for watcher in watchers_of(kv.key):
                if kv.mod_revision < watcher.next_revision or not watcher.wants(kv):
                    continue
                if shared is None:
                    shared = SharedEvent(kv, self._previous(kv, change.previous))
                matched.setdefault(watcher, []).append(shared)
        return matched

    def _previous(self, kv: m.KeyValue, known: m.KeyValue | None) -> m.KeyValue | None:
        """What the key had before the revision of the change: not before the change, if its request made another."""
        if kv.create_revision == kv.mod_revision:
            return None
        if known is None or known.mod_revision < kv.mod_revision:
            return known
        return self._previous_in_store(kv)

    def _previous_in_store(self, kv: m.KeyValue) -> m.KeyValue | None:
        before = kv.mod_revision - 1
        if kv.create_revision == kv.mod_revision or before < self._store.compact_revision:
            return None
        return self._store.get_at(kv.key, before)

    # -- the past

    def catch_up(self, limit: int = 500) -> bool:
        """Serve some unsynced watchers some `limit` changes from the store; return whether more can be done at once.

        Watchers whose streams have no room wait; `wake` is called when one has.
        """
        self._cancel_compacted()
        ready = list(islice((one for one in self._unsynced if one.stream.has_room), _WATCHERS_A_SLICE))
        if not ready:
            return False
        first = min(watcher.next_revision for watcher in ready)
        kvs, last = self._read(first, limit)
        stops = self._deliver_past(kvs, [watcher for watcher in ready if watcher.next_revision <= last])
        for watcher in ready:
            reached = stops.get(watcher.stream, last + 1)
            watcher.next_revision = max(watcher.next_revision, reached)
            del self._unsynced[watcher]
            if watcher.next_revision > self._store.revision:
                self._synced.add(watcher)
            else:
                self._unsynced[watcher] = None  # at the end: everyone has a turn
        if self._progress_owed:
            self._answer_progress()
        return any(watcher.stream.has_room for watcher in self._unsynced)

    def _cancel_compacted(self) -> None:
        """Cancel the watchers that history has left behind; they can never be told everything."""
        compacted = self._store.compact_revision
        for watcher in [one for one in self._unsynced if one.next_revision < compacted]:
            watcher.stream.cancel_compacted(watcher, compacted)

    def _read(self, first: int, limit: int) -> tuple[list[m.KeyValue], int]:
        """About `limit` changes from revision `first` on, whole revisions, and the last revision that they reach to."""
        kvs: list[m.KeyValue] = []
        size_bytes = 0
        newest = self._store.revision
        for _, raw in self._store.records(max(first, 0), newest):
            kv = decode_record(raw)
            is_full = len(kvs) >= limit or size_bytes >= _BYTES_A_SLICE
            if is_full and kv.mod_revision != kvs[-1].mod_revision:
                return kvs, kvs[-1].mod_revision
            kvs.append(kv)
            size_bytes += len(raw)
        return kvs, newest

    def _deliver_past(self, kvs: list[m.KeyValue], watchers: list[Watcher]) -> dict[Receiver, int]:
        """Deliver changes to the watchers that have not seen them; return from where on a stream had no more room."""
        wanted = WatcherSet(watchers)
        with_prev = any(watcher.prev_kv for watcher in watchers)
        pending: dict[Watcher, list[SharedEvent]] = {}
        room = {watcher.stream: watcher.stream.room() for watcher in watchers}
        stops: dict[Receiver, int] = {}
        for main, group in groupby(kvs, attrgetter("mod_revision")):
            for kv in group:
                takers = [
                    watcher
                    for watcher in wanted.of(kv.key)
                    if watcher.next_revision <= main and watcher.stream not in stops and watcher.wants(kv)
                ]
                if takers:
                    shared = SharedEvent(kv, self._previous_in_store(kv) if with_prev else None)
                    for watcher in takers:
                        pending.setdefault(watcher, []).append(shared)
                        room[watcher.stream].take(shared)
            for stream, left in room.items():
                if left.is_used_up and stream not in stops:
                    stops[stream] = main + 1
        for watcher, events in pending.items():
            watcher.stream.push_events(watcher, events, self._store.revision)
        return stops

    # -- progress

    def owe_progress(self, stream: Receiver) -> None:
        """Tell the stream how far its watchers are, as soon as all of them are there."""
        self._progress_owed[stream] = None
        self._answer_progress()

    def notify_progress(self) -> None:
        """Let every stream tell the watchers that asked for it, and were idle, how far they are."""
        for stream in self._streams:
            stream.notify_progress()

    def _answer_progress(self) -> None:
        for stream in [one for one in self._progress_owed if one.is_up_to_date]:
            del self._progress_owed[stream]
            stream.push(WatchDelivery(INVALID_ID, self._store.revision))

    # -- another store

    def seal(self, sealed: Any) -> None:
        """Read the past no more: that raises, as whatever is asked of `sealed` does."""
        self._store = sealed

    def rebind(self, store: Versions) -> None:
        """Go on with a store installed from a snapshot, which is not older than the one before.

        Everyone who was synced has heard of everything up to the old store's revision, and is unsynced from there on.
        """
        told = self._store.revision
        self._store = store
        self._synced = WatcherSet()
        for stream in self._streams:
            for watcher in stream.watchers():
                if watcher not in self._unsynced:
                    watcher.next_revision = max(watcher.next_revision, told + 1)
                    self.add(watcher)
        if self._unsynced:
            self.wake()


def _nobody() -> None:
    """Nobody catches up yet."""
