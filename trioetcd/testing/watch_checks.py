"""What a watch promises, as checks of what one watcher was told against what really happened.

Made for any tier of test: responses as they came from a stream in memory, or over the network from real processes. Nine
checks after those of etcd's robustness tests; each is a function of a `WatchRecord` and the history, and yields what is
wrong in words. `check_watch` runs all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from trioetcd.api import messages as m

FROM_KEY: Final = b"\0"


@dataclass(kw_only=True)
class WatchRecord:
    """One watcher: what it asked, and every response after the one that said it was created, fragments joined."""

    request: m.WatchCreateRequest
    created_revision: int
    responses: list[m.WatchResponse] = field(default_factory=list)

    @property
    def first_revision(self) -> int:
        """The first revision whose changes the watcher is to hear of."""
        return self.request.start_revision or self.created_revision + 1

    def events(self) -> list[m.Event]:
        """All events in the order in which they came."""
        return [event for response in self.responses for event in response.events]

    def wants(self, event: m.Event) -> bool:
        """Whether range and filters let the event pass."""
        key, start, end = _kv(event).key, self.request.key or b"\0", self.request.range_end
        in_range = key == start if not end else start <= key and (end == FROM_KEY or key < end)
        unwanted = m.FilterType.NODELETE if event.type == m.EventType.DELETE else m.FilterType.NOPUT
        return in_range and unwanted not in self.request.filters


History = Sequence[m.Event]
"""Every change that was committed, in order, with `prev_kv` wherever the key had a value before the revision."""

Check = Callable[[WatchRecord, History], Iterator[str]]


def _kv(event: m.Event) -> m.KeyValue:
    assert event.kv is not None, "an event has a key"
    return event.kv


def _rev(event: m.Event) -> int:
    return _kv(event).mod_revision


def check_filter(record: WatchRecord, _: History) -> Iterator[str]:
    """Every event is one that the watcher asked for."""
    for event in record.events():
        if not record.wants(event):
            yield f"an event that was not asked for: {event}"


def check_ordered(record: WatchRecord, _: History) -> Iterator[str]:
    """Revisions never go back."""
    for before, after in pairwise(record.events()):
        if _rev(after) < _rev(before):
            yield f"revision {_rev(after)} came after {_rev(before)}"


def check_unique(record: WatchRecord, _: History) -> Iterator[str]:
    """No change is told twice."""
    seen: set[tuple[int, bytes, int]] = set()
    for event in record.events():
        identity = (_rev(event), _kv(event).key, event.type)
        if identity in seen:
            yield f"told twice: {identity}"
        seen.add(identity)


def check_atomic(record: WatchRecord, _: History) -> Iterator[str]:
    """The changes of one revision come in one response."""
    for before, after in pairwise(response for response in record.responses if response.events):
        if _rev(before.events[-1]) == _rev(after.events[0]):
            yield f"revision {_rev(after.events[0])} was split over two responses"


def check_bookmarkable(record: WatchRecord, _: History) -> Iterator[str]:
    """Progress never goes back, is never behind what was told, and nothing comes later that it covers."""
    progress = told = 0
    for response in record.responses:
        if response.events:
            if _rev(response.events[0]) <= progress:
                yield f"revision {_rev(response.events[0])} came after progress at {progress}"
            told = _rev(response.events[-1])
        elif not response.canceled:
            revision = 0 if response.header is None else response.header.revision
            if revision < max(progress, told):
                yield f"progress at {revision} came after {max(progress, told)}"
            if revision < record.first_revision - 1:
                yield f"progress at {revision} is before the start at {record.first_revision}"
            progress = revision


def check_resumable(record: WatchRecord, history: History) -> Iterator[str]:
    """The first event is the first that is wanted at or after the start."""
    events = record.events()
    wanted = next((event for event in history if _rev(event) >= record.first_revision and record.wants(event)), None)
    if events and (wanted is None or _rev(events[0]) != _rev(wanted)):
        yield f"began at {_rev(events[0])}, wanted {None if wanted is None else _rev(wanted)}"


def check_reliable(record: WatchRecord, history: History) -> Iterator[str]:
    """Between the start and the last event (or progress) nothing that is wanted is missing, and nothing is made up."""
    reached = max((_reached(response) for response in record.responses), default=0)
    wanted = [event for event in history if record.first_revision <= _rev(event) <= reached and record.wants(event)]
    told = [(event.type, event.kv) for event in record.events()]
    if told != [(event.type, event.kv) for event in wanted]:
        yield f"told {[_rev(event) for event in record.events()]}, wanted {[_rev(event) for event in wanted]}"


def _reached(response: m.WatchResponse) -> int:
    if response.events:
        return _rev(response.events[-1])
    return 0 if response.header is None or response.canceled else response.header.revision


def check_is_create(record: WatchRecord, _: History) -> Iterator[str]:
    """Creations are told as such: version 1 and a create revision equal to the mod revision go together."""
    for event in record.events():
        kv = _kv(event)
        if event.type == m.EventType.PUT and (kv.version == 1) != (kv.create_revision == kv.mod_revision):
            yield f"neither created nor changed: {kv}"


def check_prev_kv(record: WatchRecord, history: History) -> Iterator[str]:
    """What was before is told if it was asked for and is right; it may be missing only where it is compacted."""
    truth = {(_rev(event), _kv(event).key, event.type): event.prev_kv for event in history}
    for event in record.events():
        expected = truth.get((_rev(event), _kv(event).key, event.type))
        if event.prev_kv is not None and (not record.request.prev_kv or event.prev_kv != expected):
            yield f"before revision {_rev(event)} was {expected}, told {event.prev_kv}"


CHECKS: Final[tuple[Check, ...]] = (
    check_filter,
    check_ordered,
    check_unique,
    check_atomic,
    check_bookmarkable,
    check_resumable,
    check_reliable,
    check_is_create,
    check_prev_kv,
)


def check_watch(record: WatchRecord, history: History) -> list[str]:
    """Everything that is wrong with what the watcher was told; an empty list if nothing is."""
    return [f"{check.__name__}: {wrong}" for check in CHECKS for wrong in check(record, history)]
