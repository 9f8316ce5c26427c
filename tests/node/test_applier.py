"""The applier's slices: how much is applied before others have their turn."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import trio
from trio.testing import wait_all_tasks_blocked

from trioetcd.node.applier import SLICE_BYTES_MAX, SLICE_ENTRIES_MAX, Applier
from trioetcd.raft.types import ConfState, Entry, SnapshotMetadata
from trioetcd.storage.machine import AppliedPosition, Committed
from trioetcd.storage.requests import Proposal, RaftRequest


class Machine:
    """Notes how many entries come at once."""

    def __init__(self) -> None:
        self.applied = AppliedPosition()
        self.runs: list[int] = []
        self.store = SimpleNamespace(compaction=SimpleNamespace(is_pending=False))

    def apply(self, run: list[Committed], *, tell: object, before_telling: Callable[[], None]) -> None:
        self.runs.append(len(run))
        before_telling()
        self.applied = AppliedPosition(run[-1].index, run[-1].term)

    def install(self, metadata: SnapshotMetadata) -> None:
        self.applied = AppliedPosition(metadata.index, metadata.term)


def entries(count: int, size_bytes: int) -> list[Entry]:
    return [Entry(1, index, data=bytes(size_bytes)) for index in range(1, count + 1)]


def make_applier(
    machine: Machine, engine_lock: trio.Lock | None = None, clock: Callable[[], float] = lambda: 0.0
) -> Applier:
    return Applier(
        machine=machine,  # type: ignore[arg-type] # what the applier asks of it
        raw_node=SimpleNamespace(),  # type: ignore[arg-type]
        work=SimpleNamespace(),  # type: ignore[arg-type]
        proposals=SimpleNamespace(proposal_of=lambda _: Proposal(1, (RaftRequest(None),)), resolve=None),  # type: ignore[arg-type]
        reconfiguration=SimpleNamespace(installed=lambda: None),  # type: ignore[arg-type]
        snapshotter=SimpleNamespace(is_due=False, install=machine.install),  # type: ignore[arg-type]
        membership=SimpleNamespace(changed=lambda: None),  # type: ignore[arg-type]
        wake_compactor=lambda: None,
        note_applied=lambda _run, _size_bytes: None,
        engine_lock=engine_lock or trio.Lock(),
        clock=clock,
    )


async def runs_of(nursery: trio.Nursery, committed: list[Entry]) -> list[int]:
    machine = Machine()
    applier = make_applier(machine)
    applier.submit(committed)
    nursery.start_soon(applier.run)
    await wait_all_tasks_blocked()
    assert applier.applied_index == committed[-1].index
    return machine.runs


async def test_small_entries_are_counted(nursery: trio.Nursery) -> None:
    assert await runs_of(nursery, entries(SLICE_ENTRIES_MAX + 1, 10)) == [SLICE_ENTRIES_MAX, 1]


async def test_large_entries_are_weighed(nursery: trio.Nursery) -> None:
    assert await runs_of(nursery, entries(5, SLICE_BYTES_MAX // 2)) == [2, 2, 1]
    assert await runs_of(nursery, entries(3, 4 * SLICE_BYTES_MAX)) == [1, 1, 1]


def test_one_slice_is_applied_at_once_and_what_is_behind_something_waits() -> None:
    machine = Machine()
    applier = make_applier(machine)
    committed = entries(SLICE_ENTRIES_MAX + 2, 10)
    applier.submit(committed[:-1])
    assert machine.runs == [SLICE_ENTRIES_MAX]
    assert applier.applied_index == SLICE_ENTRIES_MAX
    applier.submit(committed[-1:])
    assert machine.runs == [SLICE_ENTRIES_MAX]
    assert applier.status().queued == 2


def test_what_is_to_be_done_before_telling_is_done_once_whether_or_not_anything_is_applied_at_once() -> None:
    machine = Machine()
    applier = make_applier(machine)
    runs_then: list[int] = []
    applier.submit(entries(SLICE_ENTRIES_MAX + 1, 10), before_telling=lambda: runs_then.append(len(machine.runs)))
    assert runs_then == [1], "the slice was applied; what is behind it is not"
    applier.submit(entries(1, 10), before_telling=lambda: runs_then.append(len(machine.runs)))
    assert runs_then == [1, 1], "something is before it"


def test_requests_of_a_slow_slice_are_counted() -> None:
    times = iter((1.0, 1.05, 2.0, 2.2))
    applier = make_applier(Machine(), clock=lambda: next(times))
    applier.submit(entries(1, 10))
    assert applier.status().slow == 0
    applier.submit(entries(1, 10))
    assert applier.status().slow == 1


async def test_who_no_longer_waits_is_forgotten(nursery: trio.Nursery) -> None:
    applier = make_applier(Machine())
    for index in (3, 3, 9):
        with trio.move_on_after(0):
            await applier.wait_applied(index)
    assert applier.status().waiting == 0
    nursery.start_soon(applier.wait_applied, 3)
    nursery.start_soon(applier.wait_applied, 9)
    await wait_all_tasks_blocked()
    assert applier.status().waiting == 2
    applier.submit(entries(5, 10))
    with trio.move_on_after(0.01):
        await applier.run()
    assert applier.status().waiting == 1
    nursery.cancel_scope.cancel()


async def test_no_engine_is_replaced_while_a_thread_works_on_it(nursery: trio.Nursery) -> None:
    engine_lock = trio.Lock()
    applier = make_applier(Machine(), engine_lock)
    nursery.start_soon(applier.run)
    async with engine_lock:
        applier.submit(entries(2, 10))
        applier.install(SnapshotMetadata(ConfState(), 9, 1))
        await wait_all_tasks_blocked()
        assert applier.applied_index == 2
    await wait_all_tasks_blocked()
    assert applier.applied_index == 9
    nursery.cancel_scope.cancel()
