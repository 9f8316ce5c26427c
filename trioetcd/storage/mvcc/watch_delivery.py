"""What a watch stream delivers, in the order in which it is to be sent.

Events are shared: one object for all watchers that want it, with a place for what the front end makes of it, so that
each event is encoded once however many streams send it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from trioetcd.api import messages as m

_OVERHEAD_BYTES: Final = 64
_PUT: Final = int(m.EventType.PUT)
_DELETE: Final = int(m.EventType.DELETE)


class SharedEvent:
    """One change of one key. Never changed, but for the two slots that belong to whoever encodes it.

    `prev_kv` is there for watchers that want it; it is None for a key that was just created, and where history before
    the change is compacted.
    """

    __slots__ = ("encoded", "encoded_with_prev", "event", "kv", "prev_kv", "size_bytes")

    def __init__(self, kv: m.KeyValue, prev_kv: m.KeyValue | None) -> None:
        self.kv = kv  # of a deletion, key and mod revision
        self.prev_kv = prev_kv
        self.event = m.Event(_PUT if kv.create_revision else _DELETE, kv)
        self.encoded: object = None
        self.encoded_with_prev: object = None
        size = _OVERHEAD_BYTES + len(kv.key) + len(kv.value)
        self.size_bytes = size if prev_kv is None else size + len(prev_kv.key) + len(prev_kv.value)

    @property
    def mod_revision(self) -> int:
        """The revision of the change."""
        return self.kv.mod_revision

    def message(self, *, with_prev: bool) -> m.Event:
        """The event as a watcher is told it."""
        if not with_prev or self.prev_kv is None:
            return self.event
        return m.Event(self.event.type, self.event.kv, self.prev_kv)


class WatchDelivery(NamedTuple):
    """One response of a stream: a watcher created or canceled, its events, or (with nothing of these) its progress.

    `revision` is for the header; 0 means that etcd leaves it out. `may_split` says that the watcher asked for
    fragments; `fragment` that this is one, and more follow. `prev_kv` says whether the events are to be told with what
    was before.
    """

    watch_id: int
    revision: int
    created: bool = False
    canceled: bool = False
    compact_revision: int = 0
    cancel_reason: str = ""
    events: tuple[SharedEvent, ...] = ()
    prev_kv: bool = False
    may_split: bool = False
    fragment: bool = False

    @property
    def size_bytes(self) -> int:
        """About what it takes in memory."""
        return _OVERHEAD_BYTES + sum(event.size_bytes for event in self.events)

    def response(self, header: m.ResponseHeader) -> m.WatchResponse:
        """The message to send, under a header that has cluster, member and term."""
        header.revision = self.revision
        return m.WatchResponse(
            header=header,
            watch_id=self.watch_id,
            created=self.created,
            canceled=self.canceled,
            compact_revision=self.compact_revision,
            cancel_reason=self.cancel_reason,
            fragment=self.fragment,
            events=[event.message(with_prev=self.prev_kv) for event in self.events],
        )


def split_delivery(
    delivery: WatchDelivery, bytes_max: int, size_of: Callable[[WatchDelivery], int]
) -> Iterator[WatchDelivery]:
    """What to send for a delivery: itself, or if its watcher asked for fragments, pieces below `bytes_max`.

    A piece has at least one event, however large. All but the last have `fragment` set. `size_of` tells what a delivery
    is on the wire (etcd: in protobuf), and `bytes_max` is etcd's `--max-request-bytes` and 512 KiB.
    """
    events = delivery.events
    if not delivery.may_split or len(events) < 2 or size_of(delivery) < bytes_max:
        yield delivery
        return
    empty_bytes = size_of(delivery._replace(events=()))
    start, size = 0, empty_bytes
    for place, event in enumerate(events):
        event_bytes = size_of(delivery._replace(events=(event,))) - empty_bytes
        if place > start and size + event_bytes >= bytes_max:
            yield delivery._replace(events=events[start:place], fragment=True)
            start, size = place, empty_bytes
        size += event_bytes
    yield delivery._replace(events=events[start:])
