"""The clock of leases: when each expires, as the leader sees it, and what it owes to the log because of that.

    granted, or this member begins to lead --> a time at which it expires --> due --> a revocation, through the log
    kept alive ---------------------------------^ moved forward

Only the leader has times; whoever begins to lead gives every lease what is left of its TTL (all of it, unless a
checkpoint says less) and an election timeout more, since nobody could keep anything alive without a leader. So a lease
never ends early, and whatever a former leader thought of its time does not count (`LeaseExpired.term`).

A heap holds one entry a lease. Keeping a lease alive moves the time in its timer and leaves the heap alone; an entry
that comes up too early is put back at the timer's time. So a keep-alive costs no heap operation, however many leases
there are, and each lease is looked at once a TTL.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from math import ceil
from typing import Final, NamedTuple

import trio

from trioetcd.api import messages as m
from trioetcd.node.leadership import Leadership
from trioetcd.storage.leases import Lease, Leases
from trioetcd.storage.machine import StateMachine

REVOKE_RATE: Final = 1000
"""Revocations a second, at most: that many leases may be lost at once without holding up everything else (etcd's)."""

RETRY_SECONDS: Final = 3.0
"""When a lease that was found expired is looked at again, should its revocation have failed."""

_SPREAD_RATE: Final = 3 * REVOKE_RATE // 4
_STALE_ENTRIES_MAX: Final = 1024
_LOOKED_AT_MAX: Final = 10_000  # about 10 ms


class Timer:
    """One lease on the leader's clock.

    `checkpointed`: the log may hold a remaining time for it, which a keep-alive has to clear first. `clearing`: how
    many keep-alives are at that, meanwhile no checkpoint is taken.
    """

    __slots__ = ("checkpoint_pending", "checkpointed", "clearing", "expires_at", "lease")

    def __init__(self, lease: Lease, expires_at: float) -> None:
        self.lease = lease
        self.expires_at = expires_at
        self.checkpointed = lease.remaining_ttl_seconds > 0
        self.checkpoint_pending = False
        self.clearing = 0


class _Due:
    """Timers by the time at which they are to be looked at."""

    def __init__(self, timers: Sequence[Timer] = ()) -> None:
        """`timers` are looked at when they expire, and are in the order of that: so they are a heap."""
        self._serial = count()  # equal times are in the order of their coming
        self._heap = [(timer.expires_at, next(self._serial), timer) for timer in timers]

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, at: float, timer: Timer) -> None:
        heapq.heappush(self._heap, (at, next(self._serial), timer))

    def take(self, now: float) -> Iterator[Timer]:
        """Those whose time has come, but no more than are short work; the others are for the next look."""
        for _ in range(_LOOKED_AT_MAX):
            if not self._heap or self._heap[0][0] > now:
                return
            yield heapq.heappop(self._heap)[2]

    def keep(self, wanted: Callable[[Timer], bool]) -> None:
        """Drop the entries of timers that are not wanted any more."""
        self._heap = [entry for entry in self._heap if wanted(entry[2])]
        heapq.heapify(self._heap)


class LessorStatus(NamedTuple):
    """The leases of this member's state, and what became of leases since the start."""

    is_primary: bool
    leases: int
    granted: int
    renewed: int
    revoked: int
    expired: int


class Lessor:
    """Measures leases while this member leads. Synchronous; times are Trio's, in seconds.

    It notices by itself, whenever it is asked anything, that leadership came or went.
    """

    def __init__(
        self,
        *,
        machine: StateMachine,
        leadership: Leadership,
        clock: Callable[[], float],
        extension_seconds: float,
        checkpoint_interval_seconds: float | None,
    ) -> None:
        self._machine = machine
        self._leadership = leadership
        self._clock = clock
        self._extension_seconds = extension_seconds
        self._checkpoint_interval_seconds = checkpoint_interval_seconds
        self._term: int | None = None  # in which the timers were made; None while another member leads
        self._leases = machine.leases
        self._timers: dict[int, Timer] = {}  # of exactly the leases there are, while this member leads
        self._expiries = _Due()
        self._checkpoints = _Due()
        self._gone: dict[int, trio.Event] = {}
        self._granted = self._renewed = self._revoked = self._expired = 0
        machine.leases.on_granted = self._on_granted
        machine.leases.on_revoked = self._on_revoked
        machine.leases.on_checkpointed = self._on_checkpointed

    # -- who leads

    @property
    def term(self) -> int | None:
        """The term in which this member leads, as far as it knows; None when it does not."""
        leadership = self._leadership
        if not leadership.is_leader:
            if self._term is not None:
                self._demote()
        elif self._term != leadership.term or self._leases is not self._machine.leases:
            self._promote(leadership.term)
        return self._term

    def _demote(self) -> None:
        self._term = None
        self._timers = {}
        self._expiries = _Due()
        self._checkpoints = _Due()
        for event in self._gone.values():
            event.set()
        self._gone.clear()

    def _promote(self, term: int) -> None:
        """Begin to watch the clock. With a state that is sealed that raises, also when it is tried again."""
        self._demote()
        leases = self._machine.leases
        with _collector_at_rest():
            self._start_all(leases, self._clock())
        self._term, self._leases = term, leases

    def _start_all(self, leases: Leases, now: float) -> None:
        begin = now + self._extension_seconds
        timers = [Timer(lease, begin + _left_seconds(lease)) for lease in leases.all.values()]
        timers.sort(key=_expiry)
        if len(timers) > REVOKE_RATE:
            _spread(timers)
        self._timers = {timer.lease.id: timer for timer in timers}
        self._expiries = _Due(timers)
        if self._checkpoint_interval_seconds is not None:
            for timer in timers:
                self._plan_checkpoint(timer, now)

    # -- what apply tells

    def _on_granted(self, lease: Lease) -> None:
        self._granted += 1
        if self.term is not None and lease.id not in self._timers:  # a promotion just now has it already
            now = self._clock()
            self._start(Timer(lease, now + lease.ttl_seconds), now)

    def _on_revoked(self, lease: Lease) -> None:
        self._revoked += 1
        self._timers.pop(lease.id, None)
        if (event := self._gone.pop(lease.id, None)) is not None:
            event.set()
        for due in (self._expiries, self._checkpoints):
            if len(due) > 2 * len(self._timers) + _STALE_ENTRIES_MAX:
                due.keep(self._is_current)

    def _on_checkpointed(self, lease: Lease) -> None:
        """A former leader recorded what is left, or took that back, and this member leads already.

        Its timers were made of what it had applied when it began to lead, and entries of earlier terms may still have
        been on their way: a keep-alive that was answered would be forgotten.
        """
        if self.term is None or self._machine.applied.term == self._term:
            return
        timer = self._timers[lease.id]
        timer.checkpointed = lease.remaining_ttl_seconds > 0
        timer.expires_at = max(timer.expires_at, self._clock() + self._extension_seconds + _left_seconds(lease))

    def _start(self, timer: Timer, now: float) -> None:
        self._timers[timer.lease.id] = timer
        self._expiries.add(timer.expires_at, timer)
        self._plan_checkpoint(timer, now)

    def _is_current(self, timer: Timer) -> bool:
        return self._timers.get(timer.lease.id) is timer

    # -- keeping alive

    def find(self, lease_id: int) -> Timer | None:
        """The timer of a lease that is there; None without one, and on a member that does not lead."""
        return self._timers.get(lease_id) if self.term is not None else None

    def is_expired(self, timer: Timer) -> bool:
        """Whether the time is over: the lease is about to be revoked, and not to be kept alive any more."""
        return timer.expires_at <= self._clock()

    def renew(self, timer: Timer) -> int:
        """Give a lease that has not expired its whole TTL again, from now on; return that."""
        now = self._clock()
        timer.expires_at = now + timer.lease.ttl_seconds
        self._plan_checkpoint(timer, now)
        self._renewed += 1
        return timer.lease.ttl_seconds

    def remaining_seconds(self, timer: Timer) -> float:
        """What is left, from 0 to the granted TTL: the extension of a promotion is not told."""
        return max(0.0, min(timer.expires_at - self._clock(), float(timer.lease.ttl_seconds)))

    async def wait_gone(self, timer: Timer) -> None:
        """Return when the lease was revoked, or this member leads no more."""
        await self._gone.setdefault(timer.lease.id, trio.Event()).wait()

    def lease_ids(self) -> list[int]:
        """All leases: what expires first is first, where that is known; else in the order of grants."""
        if self.term is None:
            return list(self._machine.leases.all)
        return [timer.lease.id for timer in sorted(self._timers.values(), key=_expiry)]

    # -- what is due

    def take_expired(self, limit: int) -> list[Lease]:
        """Leases whose time is over, to be revoked in `term`. One that is still there is told again after 3 seconds."""
        due: list[Lease] = []
        if self.term is None:
            return due
        now = self._clock()
        for timer in self._expiries.take(now):
            if not self._is_current(timer):
                continue
            if timer.expires_at > now:
                self._expiries.add(timer.expires_at, timer)
                continue
            self._expiries.add(now + RETRY_SECONDS, timer)
            due.append(timer.lease)
            if len(due) == limit:
                break
        return due

    def count_expired(self) -> None:
        """One was revoked because its time was over."""
        self._expired += 1

    def take_checkpoints(self, limit: int) -> list[m.LeaseCheckpoint]:
        """What is left of the leases that are to be recorded by now, to be proposed in `term`."""
        taken: list[m.LeaseCheckpoint] = []
        if self.term is None or self._checkpoint_interval_seconds is None:
            return taken
        now = self._clock()
        for timer in self._checkpoints.take(now):
            if not self._is_current(timer):
                continue
            timer.checkpoint_pending = False
            # Rounded up: a checkpoint may never shorten a lease.
            remaining = ceil(timer.expires_at - now)
            if 0 < remaining < timer.lease.ttl_seconds and not timer.clearing:
                timer.checkpointed = True
                taken.append(m.LeaseCheckpoint(ID=timer.lease.id, remaining_TTL=remaining))
            self._plan_checkpoint(timer, now)
            if len(taken) == limit:
                break
        return taken

    def _plan_checkpoint(self, timer: Timer, now: float) -> None:
        """A lease that ends before the next checkpoint would be needs none."""
        interval = self._checkpoint_interval_seconds
        if interval is not None and not timer.checkpoint_pending and timer.expires_at - now > interval:
            timer.checkpoint_pending = True
            self._checkpoints.add(now + interval, timer)

    def status(self) -> LessorStatus:
        """What is there, and what was."""
        return LessorStatus(
            is_primary=self.term is not None,
            leases=len(self._machine.leases),
            granted=self._granted,
            renewed=self._renewed,
            revoked=self._revoked,
            expired=self._expired,
        )


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """No garbage is looked for: while 100,000 objects are made that stay, it took 400 of 500 milliseconds."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _left_seconds(lease: Lease) -> int:
    return lease.remaining_ttl_seconds or lease.ttl_seconds


def _expiry(timer: Timer) -> float:
    return timer.expires_at


def _spread(timers: list[Timer]) -> None:
    """Let no more leases expire in a second than can be revoked, some of them later than they would have."""
    free_at = 0.0
    for timer in timers:
        timer.expires_at = free_at = max(timer.expires_at, free_at)
        free_at += 1 / _SPREAD_RATE
