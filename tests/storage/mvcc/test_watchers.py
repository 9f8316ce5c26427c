"""Watchers: etcd's answers one by one, and its guarantees under slow readers and compactions."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from trioetcd.api import messages as m
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.storage.mvcc.records import decode_record
from trioetcd.storage.mvcc.watchers import WatchDelivery, WatchStream, split_delivery
from trioetcd.storage.requests import Proposal, RaftRequest
from trioetcd.testing.watch_checks import WatchRecord, check_watch


class World:
    """A machine and the history of what was applied to it."""

    def __init__(self) -> None:
        self.machine = StateMachine.open(engine=MemoryEngine())
        self.hub = self.machine.watch_hub
        self.history: list[m.Event] = []

    def do(self, *ops: object) -> tuple[object, ...]:
        """Apply requests as one entry, and remember what they changed."""
        index = self.machine.applied.index + 1
        before = self.machine.store.revision
        proposal = Proposal(index, tuple(RaftRequest(op) for op in ops))
        results: list[object] = []
        self.machine.apply([Committed(index, 1, proposal)], tell=lambda _, found: results.extend(found))
        self._remember(before)
        return results

    def _remember(self, before: int) -> None:
        store = self.machine.store
        for _, raw in list(store.records(before + 1, store.revision)):
            kv = decode_record(raw)
            kind = m.EventType.PUT if kv.create_revision else m.EventType.DELETE
            created = kv.create_revision == kv.mod_revision
            prev = None if created else store.get_at(kv.key, kv.mod_revision - 1)
            self.history.append(m.Event(kind, kv, prev))

    def stream(self, **limits: int) -> WatchStream:
        return WatchStream(self.hub, lambda: None, **limits)

    def compact(self, revision: int) -> None:
        self.do(m.CompactionRequest(revision=revision))
        while self.machine.store.compaction.step(3):
            pass


def put(key: bytes, value: bytes = b"v", **more: object) -> m.PutRequest:
    return m.PutRequest(key=key, value=value, **more)  # type: ignore[arg-type]  # the fields of the request


def delete(key: bytes, range_end: bytes = b"") -> m.DeleteRangeRequest:
    return m.DeleteRangeRequest(key=key, range_end=range_end)


def drain(stream: WatchStream) -> list[WatchDelivery]:
    taken = []
    while (delivery := stream.take()) is not None:
        taken.append(delivery)
    return taken


def watch(**fields: object) -> m.WatchCreateRequest:
    return m.WatchCreateRequest(**fields)  # type: ignore[arg-type]  # the fields of the request


def keys_of(delivery: WatchDelivery) -> list[tuple[int, bytes]]:
    return [(event.mod_revision, event.kv.key) for event in delivery.events]


def test_ids_are_given_from_zero_and_own_ones_kept() -> None:
    world = World()
    stream = world.stream()
    for watch_id in (1, 0, 0, -1):
        stream.create(watch(key=b"k", watch_id=watch_id))
    stream.cancel(0)
    stream.create(watch(key=b"k"))
    assert [(one.watch_id, one.created, one.canceled) for one in drain(stream)] == [
        (1, True, False),
        (0, True, False),
        (2, True, False),
        (-1, True, False),
        (0, False, True),
        (3, True, False),
    ]


def test_what_cannot_be_watched_is_created_and_canceled_under_minus_one() -> None:
    stream = World().stream()
    stream.create(watch(key=b"z", range_end=b"a"))
    stream.create(watch(key=b"k", watch_id=7))
    stream.create(watch(key=b"k", watch_id=7))
    empty, fine, double = drain(stream)
    assert (empty.watch_id, empty.created, empty.canceled) == (-1, True, True)
    assert empty.cancel_reason == "mvcc: watcher range is empty"
    assert (fine.watch_id, fine.canceled) == (7, False)
    assert (double.watch_id, double.created, double.canceled) == (-1, True, True)
    assert double.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"


def test_cancel_of_an_unknown_id_is_silent() -> None:
    stream = World().stream()
    stream.cancel(55)
    assert stream.take() is None


def test_a_transaction_is_one_response() -> None:
    world = World()
    stream = world.stream()
    stream.create(watch(key=b"m", range_end=b"n"))
    ops = [m.RequestOp(request_put=put(b"m%d" % number)) for number in range(3)]
    world.do(m.TxnRequest(success=ops))
    _, delivery = drain(stream)
    assert keys_of(delivery) == [(2, b"m0"), (2, b"m1"), (2, b"m2")]
    assert delivery.revision == 2


def test_filters_and_prev_kv() -> None:
    world = World()
    stream = world.stream()
    stream.create(watch(key=b"k", filters=[m.FilterType.NOPUT], prev_kv=True))
    stream.create(watch(key=b"k", filters=[m.FilterType.NODELETE], prev_kv=True))
    world.do(put(b"k", b"1"))
    world.do(put(b"k", b"2"))
    world.do(delete(b"k"))
    told = [one.response(m.ResponseHeader()) for one in drain(stream)[2:]]
    assert [(one.watch_id, one.events[0].type) for one in told] == [(1, 0), (1, 0), (0, 1)]
    previous = [one.events[0].prev_kv and one.events[0].prev_kv.value for one in told]
    assert previous == [None, b"1", b"2"]


def test_one_event_object_serves_all_watchers() -> None:
    world = World()
    streams = [world.stream(), world.stream()]
    for stream in streams:
        stream.create(watch(key=b"k"))
        stream.create(watch(key=b"a", range_end=b"\0"))
    world.do(put(b"k"))
    events = {id(one.events[0]) for stream in streams for one in drain(stream)[1:] if one.events}
    assert len(events) == 1


def test_a_start_in_the_past_is_read_from_the_store() -> None:
    world = World()
    world.do(put(b"k", b"1"))
    world.do(put(b"x"))
    world.do(delete(b"k"))
    stream = world.stream()
    stream.create(watch(key=b"k", start_revision=2, prev_kv=True))
    assert world.hub.has_unsynced
    assert not world.hub.catch_up()
    created, past = drain(stream)
    assert created.created
    assert keys_of(past) == [(2, b"k"), (4, b"k")]
    assert past.events[1].prev_kv == m.KeyValue(b"k", 2, 2, 1, b"1", 0)
    world.do(put(b"k"))
    assert keys_of(drain(stream)[0]) == [(5, b"k")]


def test_a_start_in_the_future_hears_nothing_before() -> None:
    world = World()
    stream = world.stream()
    stream.create(watch(key=b"k", start_revision=4, progress_notify=True))
    stream.request_progress()
    for _ in range(2):
        world.do(put(b"k"))
        stream.notify_progress()
    assert [one.created for one in drain(stream)] == [True, False]  # the progress request is answered at revision 3
    world.do(put(b"k"))
    assert keys_of(drain(stream)[0]) == [(4, b"k")]


def test_a_start_before_compaction_is_canceled_with_the_revision() -> None:
    world = World()
    for _ in range(4):
        world.do(put(b"k"))
    world.compact(4)
    stream = world.stream()
    stream.create(watch(key=b"k", start_revision=3))
    stream.create(watch(key=b"k", start_revision=4))
    world.hub.catch_up()
    deliveries = drain(stream)
    assert [one.canceled for one in deliveries] == [False, False, True, False]
    assert (deliveries[2].watch_id, deliveries[2].compact_revision, deliveries[2].revision) == (0, 4, 0)
    assert keys_of(deliveries[3]) == [(4, b"k"), (5, b"k")]
    assert stream.watcher_count == 1


def test_an_id_that_compaction_ended_is_taken_until_it_is_canceled() -> None:
    world = World()
    for _ in range(4):
        world.do(put(b"a"))
    world.compact(4)
    stream = world.stream()
    stream.create(watch(key=b"a", start_revision=2, watch_id=1))
    world.hub.catch_up(100)
    drain(stream)
    stream.create(watch(key=b"a", watch_id=1))
    assert drain(stream)[0].cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"
    stream.cancel(1)
    stream.cancel(1)
    assert [(delivery.watch_id, delivery.canceled) for delivery in drain(stream)] == [(1, True)]
    stream.create(watch(key=b"a", watch_id=1))
    assert drain(stream)[0].cancel_reason == ""


def test_a_deletion_at_the_compact_revision_is_told() -> None:
    world = World()
    world.do(put(b"k"))
    world.do(delete(b"k"))
    world.do(put(b"other"))
    world.compact(3)
    world.machine.reload(world.machine._engine)  # as a restart finds it
    stream = world.stream()
    stream.create(watch(key=b"k", start_revision=3))
    world.hub.catch_up()
    assert keys_of(drain(stream)[1]) == [(3, b"k")]


def test_progress_is_told_when_all_watchers_are_synced() -> None:
    world = World()
    stream = world.stream()
    stream.request_progress()
    assert drain(stream) == [WatchDelivery(-1, 1)]
    world.do(put(b"k"))
    stream.create(watch(key=b"k", start_revision=1))
    stream.request_progress()
    assert [one.created for one in drain(stream)] == [True]
    world.hub.catch_up()
    events, progress = drain(stream)
    assert keys_of(events) == [(2, b"k")]
    assert progress == WatchDelivery(-1, 2)


def test_progress_is_notified_to_the_idle_alone() -> None:
    world = World()
    stream = world.stream()
    stream.create(watch(key=b"a", progress_notify=True))
    stream.create(watch(key=b"b", progress_notify=True))
    stream.create(watch(key=b"c"))
    drain(stream)
    world.do(put(b"a"))
    drain(stream)
    stream.notify_progress()
    assert drain(stream) == [WatchDelivery(1, 2)]
    stream.notify_progress()
    assert drain(stream) == [WatchDelivery(0, 2), WatchDelivery(1, 2)]


def test_a_slow_reader_holds_a_bounded_queue_and_misses_nothing() -> None:
    world = World()
    stream = world.stream(events_max=10)
    woken = []
    world.hub.wake = lambda: woken.append(True)
    stream.create(watch(key=b"k"))
    for _ in range(100):
        world.do(put(b"k"))
    assert world.hub.has_unsynced
    assert not world.hub.catch_up()
    revisions = []
    while True:
        deliveries = drain(stream)
        assert len(deliveries) <= 10
        revisions += [event.mod_revision for one in deliveries for event in one.events]
        if not world.hub.has_unsynced:
            break
        world.hub.catch_up(4)
    assert revisions == list(range(2, 102))
    assert woken


def test_the_queue_is_bounded_by_bytes() -> None:
    world = World()
    stream = world.stream(bytes_max=10_000)
    stream.create(watch(key=b"k"))
    for _ in range(10):
        world.do(put(b"k", b"x" * 4000))
    # Created, an event of 4 kB, and one of 8 kB that goes with what was before.
    assert len(drain(stream)) == 3
    assert world.hub.has_unsynced


def test_a_closed_stream_leaves_nothing_behind() -> None:
    world = World()
    stream = world.stream()
    stream.create(watch(key=b"k"))
    stream.create(watch(key=b"a", range_end=b"z"))
    stream.create(watch(key=b"a", range_end=b"\0", start_revision=1))
    assert world.hub.status()[:3] == (1, 3, 1)
    stream.close()
    assert world.hub.status()[:4] == (0, 0, 0, 0)
    world.do(put(b"k"))
    assert stream.take() is None


def test_streams_survive_a_snapshot() -> None:
    world = World()
    stream = world.stream()
    stream.create(watch(key=b"k"))
    world.do(put(b"k"))
    other = World()
    for _ in range(5):
        other.do(put(b"k"))
    world.machine.reload(other.machine._engine)  # the state of a member that is ahead
    world.hub.catch_up()
    told = [pair for one in drain(stream) for pair in keys_of(one)]
    assert [revision for revision, _ in told] == [2, 3, 4, 5, 6]


def test_fragments() -> None:
    world = World()
    stream = world.stream()
    stream.create(watch(key=b"f", range_end=b"g", fragment=True))
    ops = [m.RequestOp(request_put=put(b"f%d" % number, b"x" * 700)) for number in range(4)]
    world.do(m.TxnRequest(success=ops))
    _, delivery = drain(stream)
    pieces = list(split_delivery(delivery, 2000, lambda one: one.size_bytes))
    assert [(len(piece.events), piece.fragment) for piece in pieces] == [(2, True), (2, False)]
    assert list(split_delivery(delivery, 20000, lambda one: one.size_bytes)) == [delivery]
    whole = delivery._replace(may_split=False)
    assert list(split_delivery(whole, 20, lambda one: one.size_bytes)) == [whole]


KEYS = [b"a", b"b", b"c", b"d"]
ENDS = [b"", b"c", b"d", b"\0"]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True)),
        st.tuples(st.just("batch"), st.lists(st.sampled_from(KEYS), min_size=2, max_size=6)),
        st.tuples(st.just("delete"), st.sampled_from(KEYS), st.sampled_from(ENDS)),
        st.tuples(
            st.just("watch"),
            st.integers(0, 2),
            st.sampled_from(KEYS),
            st.sampled_from(ENDS),
            st.integers(-6, 4),
            st.lists(st.sampled_from([0, 1]), max_size=1),
            st.booleans(),
        ),
        st.tuples(st.just("cancel"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("read"), st.integers(0, 2), st.integers(1, 5)),
        st.tuples(st.just("progress"), st.integers(0, 2)),
        st.tuples(st.just("notify"), st.integers(0, 2)),
        st.tuples(st.just("catch up"), st.integers(1, 4)),
        st.tuples(st.just("replace all"), st.sampled_from(KEYS), st.booleans()),
        st.tuples(st.just("compact"), st.integers(0, 3)),
        st.tuples(st.just("reload")),
    ),
    min_size=5,
    max_size=60,
)


class Reader:
    """A client: what it has been told, by watcher."""

    def __init__(self, world: World) -> None:
        self.stream = world.stream(events_max=3)
        self.asked: list[m.WatchCreateRequest] = []
        self.records: dict[int, WatchRecord] = {}
        self.done: list[WatchRecord] = []
        self.left_behind: set[int] = set()  # as with etcd, such a one can still be canceled, which is told as well

    def read(self, world: World, count: int) -> None:
        for _ in range(count):
            delivery = self.stream.take()
            if delivery is None:
                return
            response = delivery.response(m.ResponseHeader())
            if response.created:
                request = self.asked.pop(0)
                if not response.canceled:
                    self.records[response.watch_id] = WatchRecord(request=request, created_revision=delivery.revision)
                continue
            for watch_id, record in self.records.items():
                if response.watch_id in (watch_id, -1):
                    record.responses.append(response)
            if response.canceled and response.watch_id in self.left_behind:
                self.left_behind.remove(response.watch_id)
            elif response.canceled:
                self.done.append(self.records.pop(response.watch_id))
                if response.compact_revision:
                    self.left_behind.add(response.watch_id)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_every_promise_holds_under_slow_readers_and_compactions(plan: list[tuple[object, ...]]) -> None:
    world = World()
    readers = [Reader(world) for _ in range(3)]
    for step in plan:
        run_step(world, readers, step)
    for _ in range(1000):
        for reader in readers:
            reader.read(world, 100)
        if not world.hub.has_unsynced:
            break
        world.hub.catch_up(2)
    for reader in readers:
        reader.read(world, 100)
        for record in [*reader.records.values(), *reader.done]:
            assert check_watch(record, world.history) == []
        for record in reader.records.values():  # not canceled: nothing may be missing up to the end
            wanted = [e for e in world.history if e.kv.mod_revision >= record.first_revision and record.wants(e)]  # type: ignore[union-attr]  # events have keys
            assert [e.kv for e in record.events()] == [e.kv for e in wanted]


def run_step(world: World, readers: list[Reader], step: tuple[object, ...]) -> None:
    revision = world.machine.store.revision
    match step:
        case ("put", keys):
            world.do(m.TxnRequest(success=[m.RequestOp(request_put=put(key)) for key in keys]))  # type: ignore[attr-defined]  # a list
        case ("batch", keys):  # several revisions are published at once
            world.do(*(put(key) for key in keys))  # type: ignore[attr-defined]  # a list
        case ("delete", bytes(key), bytes(end)):
            world.do(delete(key, end))
        case ("replace all", bytes(key), deletes_first):  # changes a key twice in one revision
            ops = [m.RequestOp(request_delete_range=delete(b"a", b"\0")), m.RequestOp(request_put=put(key))]
            world.do(m.TxnRequest(success=ops if deletes_first else ops[::-1]))
        case ("watch", int(who), bytes(key), bytes(end), int(offset), filters, prev):
            start = max(revision + offset, 0)
            request = watch(
                key=key, range_end=end, start_revision=start, filters=filters, prev_kv=prev, progress_notify=True
            )
            readers[who].asked.append(request)
            readers[who].stream.create(request)
        case ("cancel", int(who), int(watch_id)):
            readers[who].stream.cancel(watch_id)
        case ("read", int(who), int(count)):
            readers[who].read(world, count)
        case ("progress", int(who)):
            readers[who].stream.request_progress()
        case ("notify", int(who)):
            readers[who].stream.notify_progress()
        case ("catch up", int(limit)):
            world.hub.catch_up(limit)
        case ("compact", int(back)):
            world.do(m.CompactionRequest(revision=revision - back))
            world.machine.store.compaction.step(2)
        case ("reload",):
            world.machine.reload(world.machine._engine)
