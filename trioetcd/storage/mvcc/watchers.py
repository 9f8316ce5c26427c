"""One client's watch stream: its watchers, and what waits to be sent to it, in order and bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from trioetcd.api import messages as m
from trioetcd.storage.mvcc.versions import end_of
from trioetcd.storage.mvcc.watch_delivery import SharedEvent, WatchDelivery, split_delivery
from trioetcd.storage.mvcc.watch_hub import INVALID_ID, WatchHub, WatchStatus
from trioetcd.storage.mvcc.watcher import Room, Watcher

__all__ = ["INVALID_ID", "SharedEvent", "WatchDelivery", "WatchHub", "WatchStatus", "WatchStream", "split_delivery"]

EVENTS_MAX: Final = 4096
BYTES_MAX: Final = 8 << 20
AUTO_ID: Final = 0

_EMPTY_RANGE: Final = "mvcc: watcher range is empty"
_DUPLICATE_ID: Final = "mvcc: duplicate watch ID provided on the WatchStream"


class WatchStream:
    """One client's watchers, and what waits to be sent to it, in order.

    `wake` is called when the queue begins to hold something; whoever sends then takes until None. The queue of a stream
    that is not read holds at most `events_max` deliveries and events or `bytes_max`, and what one revision may add to
    that. Answers to requests are queued without regard to that: who reads requests should wait while there is no
    `has_room`.
    """

    def __init__(
        self,
        hub: WatchHub,
        wake: Callable[[], None],
        *,
        events_max: int = EVENTS_MAX,
        bytes_max: int = BYTES_MAX,
    ) -> None:
        self._hub = hub
        self._wake = wake
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._watchers: dict[int, Watcher] = {}
        self._left_behind: set[int] = set()  # IDs that compaction ended: taken, as with etcd, until they are canceled
        self._next_id = 0
        self._queue: deque[tuple[WatchDelivery, int]] = deque()  # with its size in bytes
        self._queued_events = 0  # a delivery without events counts as one
        self._queued_bytes = 0
        hub.add_stream(self)

    # -- what the client asks

    def create(self, request: m.WatchCreateRequest) -> None:
        """Create a watcher; the answer is queued: created, or created and canceled with the reason."""
        revision = self._hub.store.revision
        reason = self._refusal(request)
        if reason:
            self.refuse(reason)
            return
        watch_id = request.watch_id or self._auto_id()
        watcher = Watcher(self, watch_id, request, request.start_revision or revision + 1)
        self._watchers[watch_id] = watcher
        self.push(WatchDelivery(watch_id, revision, created=True))
        self._hub.add(watcher)

    def _refusal(self, request: m.WatchCreateRequest) -> str:
        end = end_of(request.range_end)
        if end and end <= (request.key or b"\0"):
            return _EMPTY_RANGE
        return _DUPLICATE_ID if request.watch_id != AUTO_ID and self._is_taken(request.watch_id) else ""

    def _is_taken(self, watch_id: int) -> bool:
        return watch_id in self._watchers or watch_id in self._left_behind

    def _auto_id(self) -> int:
        while self._is_taken(self._next_id):
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def refuse(self, reason: str, watch_id: int = INVALID_ID) -> None:
        """Answer the creation of a watcher that is not to be (an empty range, a permission that is not there).

        The ID is told unless a watcher has it, whose end this would seem to be.
        """
        if self._is_taken(watch_id):
            watch_id = INVALID_ID
        revision = self._hub.store.revision
        self.push(WatchDelivery(watch_id, revision, created=True, canceled=True, cancel_reason=reason))

    def cancel(self, watch_id: int) -> None:
        """End a watcher; an ID that is nobody's is passed over in silence, as etcd does."""
        watcher = self._watchers.pop(watch_id, None)
        if watcher is not None:
            self._hub.remove(watcher)
        elif watch_id in self._left_behind:
            self._left_behind.remove(watch_id)
        else:
            return
        self.push(WatchDelivery(watch_id, self._hub.store.revision, canceled=True))

    def request_progress(self) -> None:
        """Queue the store's revision under ID -1, once all watchers have been told everything up to it."""
        self._hub.owe_progress(self)

    def notify_progress(self) -> None:
        """Tell the watchers that asked for it, and had nothing to hear since the last call, how far they are.

        A stream that has yet to send something is left alone.
        """
        revision = self._hub.store.revision
        quiet = not self._queue
        for watcher in self._watchers.values():
            if watcher.progress_notify and watcher.idle and quiet and self._has_told_up_to(watcher, revision):
                self.push(WatchDelivery(watcher.id, revision))
            watcher.idle = True

    def close(self) -> None:
        """End all watchers, and drop what waits to be sent."""
        for watcher in self._watchers.values():
            self._hub.remove(watcher)
        self._watchers.clear()
        self._queue.clear()
        self._hub.remove_stream(self)

    # -- what is sent

    def take(self) -> WatchDelivery | None:
        """The next thing to send; None if there is nothing, until `wake` is called."""
        if not self._queue:
            return None
        had_room = self.has_room
        delivery, size_bytes = self._queue.popleft()
        self._queued_events -= len(delivery.events) or 1
        self._queued_bytes -= size_bytes
        self._hub.events_sent += len(delivery.events)
        if not had_room and self.has_room and self._hub.has_unsynced:
            self._hub.wake()
        return delivery

    @property
    def has_room(self) -> bool:
        """Whether the queue may take more events."""
        return self._queued_events < self._events_max and self._queued_bytes < self._bytes_max

    @property
    def is_up_to_date(self) -> bool:
        """Whether every watcher has been told (or the queue holds) everything up to the store's revision."""
        revision = self._hub.store.revision
        return all(self._has_told_up_to(watcher, revision) for watcher in self._watchers.values())

    @property
    def watcher_count(self) -> int:
        """How many watchers the stream has."""
        return len(self._watchers)

    @property
    def events_pending(self) -> int:
        """How many events wait to be sent."""
        return sum(len(delivery.events) for delivery, _ in self._queue)

    # -- for the hub

    def watchers(self) -> Iterator[Watcher]:
        """The stream's watchers, in the order in which they were created."""
        return iter(self._watchers.values())

    def _has_told_up_to(self, watcher: Watcher, revision: int) -> bool:
        """A watcher that starts in the future is told of no progress before its start: it would resume from there."""
        return self._hub.is_synced(watcher) and watcher.next_revision <= revision + 1

    def room(self) -> Room:
        """What the queue may still take."""
        return Room(self._events_max - self._queued_events, self._bytes_max - self._queued_bytes)

    def admits(self, events: Sequence[SharedEvent]) -> bool:
        """Whether the queue takes these events: it has room, and they fit or are of one revision."""
        if not self.has_room:
            return False
        if events[0].mod_revision == events[-1].mod_revision:
            return True
        size = sum(event.size_bytes for event in events)
        return self._queued_events + len(events) <= self._events_max and self._queued_bytes + size <= self._bytes_max

    def push_events(self, watcher: Watcher, events: Sequence[SharedEvent], revision: int) -> None:
        """Queue events of one watcher; `revision` is the store's."""
        watcher.idle = False
        self.push(
            WatchDelivery(
                watcher.id, revision, events=tuple(events), prev_kv=watcher.prev_kv, may_split=watcher.fragment
            )
        )

    def cancel_compacted(self, watcher: Watcher, compact_revision: int) -> None:
        """End a watcher that history has left behind."""
        del self._watchers[watcher.id]
        self._left_behind.add(watcher.id)
        self._hub.remove(watcher)
        self.push(WatchDelivery(watcher.id, 0, canceled=True, compact_revision=compact_revision))

    def push(self, delivery: WatchDelivery) -> None:
        """Queue something to send."""
        was_empty = not self._queue
        size_bytes = delivery.size_bytes
        self._queue.append((delivery, size_bytes))
        self._queued_events += len(delivery.events) or 1
        self._queued_bytes += size_bytes
        if was_empty:
            self._wake()
