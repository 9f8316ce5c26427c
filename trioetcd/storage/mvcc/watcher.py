"""A watcher, what it wants, and what it needs of the stream that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from trioetcd.api import messages as m
from trioetcd.storage.mvcc.range_index import RangeIndex
from trioetcd.storage.mvcc.versions import end_of
from trioetcd.storage.mvcc.watch_delivery import SharedEvent, WatchDelivery


class Room:
    """What a stream's queue may still take."""

    __slots__ = ("_bytes", "_events")

    def __init__(self, events: int, size_bytes: int) -> None:
        self._events = events
        self._bytes = size_bytes

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more should be added, but for what belongs to a revision already begun."""
        return self._events <= 0 or self._bytes <= 0

    def take(self, event: SharedEvent) -> None:
        """Count an event."""
        self._events -= 1
        self._bytes -= event.size_bytes


class Receiver(Protocol):
    """A stream, as the hub sees it."""

    @property
    def has_room(self) -> bool:
        """Whether the queue may take more events."""
        ...

    @property
    def is_up_to_date(self) -> bool:
        """Whether every watcher has been told (or the queue holds) everything up to the store's revision."""
        ...

    @property
    def watcher_count(self) -> int:
        """How many watchers the stream has."""
        ...

    @property
    def events_pending(self) -> int:
        """How many events wait to be sent."""
        ...

    def watchers(self) -> Iterator[Watcher]:
        """The stream's watchers, in the order in which they were created."""
        ...

    def room(self) -> Room:
        """What the queue may still take."""
        ...

    def admits(self, events: Sequence[SharedEvent]) -> bool:
        """Whether the queue takes these events: it has room, and they fit or are of one revision."""
        ...

    def push(self, delivery: WatchDelivery) -> None:
        """Queue something to send."""

    def notify_progress(self) -> None:
        """Tell the idle watchers that asked for it how far they are."""

    def push_events(self, watcher: Watcher, events: Sequence[SharedEvent], revision: int) -> None:
        """Queue events of one watcher; `revision` is the store's."""

    def cancel_compacted(self, watcher: Watcher, compact_revision: int) -> None:
        """End a watcher that history has left behind."""


class Watcher:
    """One watch. Synced: it has been told (or its stream's queue holds) all it wants up to the store's revision."""

    __slots__ = (
        "fragment",
        "id",
        "idle",
        "is_exact",
        "key",
        "next_revision",
        "no_delete",
        "no_put",
        "prev_kv",
        "progress_notify",
        "range_end",
        "stream",
    )

    def __init__(self, stream: Receiver, watch_id: int, request: m.WatchCreateRequest, next_revision: int) -> None:
        self.stream = stream
        self.id = watch_id
        self.key = request.key or b"\0"
        self.is_exact = not request.range_end
        self.range_end = end_of(request.range_end)
        self.next_revision = next_revision  # synced: hears of nothing before; unsynced: has heard of all before
        self.no_put = m.FilterType.NOPUT in request.filters
        self.no_delete = m.FilterType.NODELETE in request.filters
        self.prev_kv = request.prev_kv
        self.progress_notify = request.progress_notify
        self.fragment = request.fragment
        self.idle = True  # nothing was sent since the last `notify_progress`

    def wants(self, kv: m.KeyValue) -> bool:
        """Whether the filters let the change pass."""
        return not (self.no_put if kv.create_revision else self.no_delete)


class WatcherSet:
    """Watchers by what they watch."""

    def __init__(self, watchers: Sequence[Watcher] = ()) -> None:
        self._exact: dict[bytes, dict[Watcher, None]] = {}
        self._ranges: RangeIndex[Watcher] = RangeIndex()
        for watcher in watchers:
            self.add(watcher)

    def __bool__(self) -> bool:
        return bool(self._exact) or bool(self._ranges)

    def add(self, watcher: Watcher) -> None:
        """Take a watcher in."""
        if watcher.is_exact:
            self._exact.setdefault(watcher.key, {})[watcher] = None
        else:
            self._ranges.add(watcher.key, watcher.range_end, watcher)

    def remove(self, watcher: Watcher) -> None:
        """Let a watcher go that was taken in."""
        if watcher.is_exact:
            same_key = self._exact[watcher.key]
            del same_key[watcher]
            if not same_key:
                del self._exact[watcher.key]
        else:
            self._ranges.remove(watcher.key, watcher.range_end, watcher)

    def of(self, key: bytes) -> list[Watcher]:
        """Everyone who watches the key."""
        found = list(self._exact.get(key, ()))
        if self._ranges:
            found.extend(self._ranges.find(key))
        return found
