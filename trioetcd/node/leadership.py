"""Who leads, since when, and how to notice that it changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import trio

from trioetcd.raft.types import NO_NODE, StateType


class LeadershipStatus(NamedTuple):
    """A view of the leadership; `elected_at` is when this member last learnt of a leader, None before the first."""

    member_id: int
    lead: int
    term: int
    state: StateType
    elected_at: float | None
    changes_seen: int


class Leadership:
    """What this member knows of the leader. The driver moves it; services, reads and upkeep look at it."""

    def __init__(self, *, member_id: int, clock: Callable[[], float]) -> None:
        self.member_id = member_id
        self.lead = NO_NODE
        self.term = 0
        self.state = StateType.FOLLOWER
        self.elected_at: float | None = None
        self.changes_seen = 0
        self._clock = clock
        self._changed = trio.Event()

    @property
    def is_leader(self) -> bool:
        """Whether this member leads."""
        return self.lead == self.member_id

    @property
    def has_leader(self) -> bool:
        """Whether anyone leads, as far as is known here."""
        return self.lead != NO_NODE

    @property
    def changed(self) -> trio.Event:
        """An event that is set at the next change of the leader."""
        return self._changed

    def update(self, *, lead: int, state: StateType, term: int) -> bool:
        """Take what the core says; True when the leader is another than before."""
        self.state = state
        self.term = term
        if lead == self.lead:
            return False
        self.lead = lead
        if lead != NO_NODE:
            self.elected_at = self._clock()
            self.changes_seen += 1
        self._changed.set()
        self._changed = trio.Event()
        return True

    def status(self) -> LeadershipStatus:
        """What is known now."""
        return LeadershipStatus(self.member_id, self.lead, self.term, self.state, self.elected_at, self.changes_seen)
