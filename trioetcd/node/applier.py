"""Committed entries become state, in order, and whoever waits for them is told.

The applier takes what is committed at the moment it wakes, up to a bound, and applies it as one batch: one engine
write, one pass over the waiters. Configuration changes and snapshots stand alone between batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import trio

from trioetcd.node.membership import MembershipView
from trioetcd.node.parking import Signal
from trioetcd.node.proposals import Proposals
from trioetcd.node.reconfiguration import Reconfiguration
from trioetcd.node.snapshotting import Snapshotter
from trioetcd.raft import RawNode, decode_conf_change_entry
from trioetcd.raft.types import NO_NODE, ConfChange, ConfChangeType, Entry, EntryType, SnapshotMetadata
from trioetcd.storage.machine import Committed, StateMachine

SLICE_ENTRIES_MAX: Final = 256
SLICE_BYTES_MAX: Final = 256 << 10
"""After so much others have their turn: an entry may hold a thousand requests, and a log is replayed as fast as it
can be read. It is some thousands of small requests, tens of milliseconds."""

SLOW_SECONDS: Final = 0.1
"""What is slow to apply (etcd's `--experimental-warning-apply-duration`)."""

_OF_NOBODY: Final = ConfChange(ConfChangeType.UPDATE_NODE, NO_NODE)


def _nothing() -> None:
    """Telling waits for nothing."""


class ApplierStatus(NamedTuple):
    """How far apply has come; `queued` are entries that are committed and not applied, `waiting` who waits for one.

    `slow` counts the requests that took too long, with the others of their batch.
    """

    applied_index: int
    applied_term: int
    queued: int
    waiting: int
    slow: int


class Applier:
    """The only caller of `StateMachine.apply`."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        raw_node: RawNode,
        work: Signal,
        proposals: Proposals,
        reconfiguration: Reconfiguration,
        snapshotter: Snapshotter,
        membership: MembershipView,
        wake_compactor: Callable[[], None],
        note_applied: Callable[[Sequence[Committed], int], None],
        engine_lock: trio.Lock,
        clock: Callable[[], float],
    ) -> None:
        self._machine = machine
        self._raw_node = raw_node
        self._work = work
        self._proposals = proposals
        self._reconfiguration = reconfiguration
        self._snapshotter = snapshotter
        self._membership = membership
        self._wake_compactor = wake_compactor
        self._note_applied = note_applied
        self._engine_lock = engine_lock
        self._clock = clock
        self._slow = 0
        self._queue: deque[Entry | SnapshotMetadata] = deque()
        self._queued = Signal()
        self._applied_waiters: list[tuple[int, trio.Event]] = []
        self.applied_index = machine.applied.index  # <= what the driver submitted; moved only here
        self.applied_term = machine.applied.term

    @property
    def is_idle(self) -> bool:
        """Whether everything that was submitted is applied."""
        return not self._queue

    def submit(self, entries: Sequence[Entry], *, before_telling: Callable[[], None] = _nothing) -> None:
        """Take committed entries, the next in order. A slice of them is applied at once when nothing is before them.

        So what a round has committed is answered before the next one syncs its own, and without a turn of the
        scheduler in between; whatever is more, or is no normal entry, is left to `run`. `before_telling` is called
        once: when that slice is applied, and before anybody may see it.
        """
        is_next = not self._queue
        self._queue.extend(entries)
        if is_next and entries[0].type == EntryType.NORMAL:
            self._apply_run(before_telling)
            self._moved()
        else:
            before_telling()
        if self._queue:
            self._queued.set()

    def install(self, metadata: SnapshotMetadata) -> None:
        """Take a received snapshot, to be installed when everything before it is applied."""
        self._queue.append(metadata)
        self._queued.set()

    async def wait_applied(self, index: int) -> None:
        """Return once `index` is applied; at once if it already is (still a checkpoint)."""
        if self.applied_index >= index:
            await trio.lowlevel.checkpoint()
            return
        waiter = (index, trio.Event())
        self._applied_waiters.append(waiter)
        try:
            await waiter[1].wait()
        except trio.Cancelled:
            if waiter in self._applied_waiters:  # not when it was applied just now
                self._applied_waiters.remove(waiter)
            raise

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Apply until cancelled. An error of the engine ends it, and with it the member."""
        task_status.started()
        while True:
            await self._queued.wait()
            while self._queue:
                if isinstance(self._queue[0], SnapshotMetadata):
                    async with self._engine_lock:  # the engine is closed for it, and no thread may be working on it
                        self._apply_slice()
                else:
                    self._apply_slice()
                if self._queue:
                    await trio.lowlevel.checkpoint()

    def _apply_slice(self) -> None:
        """Apply what is at the head of the queue: a run of normal entries, or one of the things that stand alone."""
        head = self._queue[0]
        if isinstance(head, SnapshotMetadata):
            self._install(head)
            self._queue.popleft()
        elif head.type == EntryType.NORMAL:
            self._apply_run()
        else:
            self._apply_conf_change(self._queue.popleft())  # type: ignore[arg-type] # it is the entry `head`
        self._moved()

    def _apply_run(self, before_telling: Callable[[], None] = _nothing) -> None:
        run: list[Committed] = []
        size_bytes = 0
        while self._queue and len(run) < SLICE_ENTRIES_MAX and size_bytes < SLICE_BYTES_MAX:
            entry = self._queue[0]
            if not isinstance(entry, Entry) or entry.type != EntryType.NORMAL:
                break
            self._queue.popleft()
            size_bytes += len(entry.data)
            proposal = self._proposals.proposal_of(entry.data) if entry.data else None
            run.append(Committed(entry.index, entry.term, proposal))
        started = self._clock()
        self._machine.apply(run, tell=self._proposals.resolve, before_telling=before_telling)
        if self._clock() - started > SLOW_SECONDS:
            self._slow += sum(len(one.proposal.requests) for one in run if one.proposal is not None)
        self._note_applied(run, size_bytes)

    def _apply_conf_change(self, entry: Entry) -> None:
        change = decode_conf_change_entry(entry)
        refusal = self._machine.members.check(change)
        # A refused change is still told to the core, as one of nobody: it lets the next change be proposed.
        conf_state = self._raw_node.apply_conf_change(change if refusal is None else _OF_NOBODY)
        outcome = self._machine.apply_conf_change(
            index=entry.index, term=entry.term, change=change, conf_state=conf_state, refusal=refusal
        )
        self._work.set()  # the core may have something to send in the new configuration
        self._membership.changed()
        self._reconfiguration.applied(outcome)

    def _install(self, metadata: SnapshotMetadata) -> None:
        self._snapshotter.install(metadata)
        self._membership.changed()
        self._reconfiguration.installed()

    def _moved(self) -> None:
        """Let everyone know how far apply is."""
        self.applied_index, self.applied_term, _ = self._machine.applied
        if self._applied_waiters:
            for index, event in self._applied_waiters:
                if index <= self.applied_index:
                    event.set()
            self._applied_waiters = [one for one in self._applied_waiters if one[0] > self.applied_index]
        if self._machine.store.compaction.is_pending:
            self._wake_compactor()
        if self._snapshotter.is_due:
            self._work.set()  # the driver takes it: it alone writes the log

    def status(self) -> ApplierStatus:
        """How far apply has come."""
        position = self._machine.applied
        return ApplierStatus(position.index, position.term, len(self._queue), len(self._applied_waiters), self._slow)
