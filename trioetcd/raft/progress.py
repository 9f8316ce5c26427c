"""What a leader knows of one follower, and how it sends to it (thesis 3.5, 10.2.1).

PROBE      where the follower's log matches is not known: one message, then wait for an answer or a heartbeat
REPLICATE  it is known: send ahead, up to the limits of the window
SNAPSHOT   what the follower needs is compacted: a snapshot is under way, no appends

PROBE --accepted--> REPLICATE --rejected, unreachable--> PROBE
PROBE, REPLICATE --next is compacted--> SNAPSHOT --reported--> PROBE
SNAPSHOT --acknowledged what the log continues from--> REPLICATE
"""

from __future__ import annotations

from copy import copy
from enum import IntEnum

from trioetcd.raft.errors import RaftInvariantError
from trioetcd.raft.inflights import Inflights


class ProgressState(IntEnum):
    """How the leader sends to a follower."""

    PROBE = 0
    REPLICATE = 1
    SNAPSHOT = 2


class Progress:
    """One follower as the leader sees it; moved only by the leader's handlers."""

    __slots__ = (
        "inflights",
        "is_learner",
        "match",
        "next",
        "pending_snapshot",
        "probe_sent",
        "recent_active",
        "sent_commit",
        "state",
    )

    def __init__(self, *, next_index: int, inflights: Inflights, is_learner: bool, recent_active: bool = False) -> None:
        self.match = 0  # 0 <= match < next: the follower's log is known to match up to here
        self.next = next_index  # entries in (match, next) are in flight
        self.sent_commit = 0  # the highest commit index sent, as far as the follower can have used it
        self.state = ProgressState.PROBE
        self.pending_snapshot = 0  # index of the snapshot under way; 0 unless SNAPSHOT
        self.recent_active = recent_active  # heard from since the last quorum check; always true of the leader
        self.probe_sent = False  # no more appends until an answer or a heartbeat's answer; see `paused`
        self.inflights = inflights
        self.is_learner = is_learner

    def clone(self) -> Progress:
        """A copy whose learner flag can be changed; the window is shared, as both stand for one follower."""
        return copy(self)

    def _enter(self, state: ProgressState) -> None:
        self.probe_sent = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.clear()

    def become_probe(self) -> None:
        """Probe from after what matches, or from after the snapshot that was under way."""
        pending = self.pending_snapshot if self.state is ProgressState.SNAPSHOT else 0
        self._enter(ProgressState.PROBE)
        self.next = max(self.match, pending) + 1
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def become_replicate(self) -> None:
        """Send ahead from after what matches."""
        self._enter(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """Wait for a snapshot of `index`; when it is applied, appends go on after it."""
        self._enter(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        self.next = index + 1
        self.sent_commit = index

    def sent_entries(self, count: int, size_bytes: int) -> None:
        """Note that `count` entries of `size_bytes` together were sent from `next` on."""
        match self.state:
            case ProgressState.REPLICATE:
                if count:
                    self.next += count
                    self.inflights.add(self.next - 1, size_bytes)
                # What fills the window is a probe: nothing more until it is answered, or a heartbeat is.
                self.probe_sent = self.inflights.full
            case ProgressState.PROBE:
                self.probe_sent = self.probe_sent or count > 0
            case _:
                raise RaftInvariantError(
                    f"{count} entries are sent from index {self.next} while a snapshot is under way"
                )

    def can_bump_commit(self, commit: int) -> bool:
        """Whether sending this commit index could move the follower's: not when it can know as much already."""
        return commit > self.sent_commit and self.sent_commit < self.next - 1

    def maybe_update(self, index: int) -> bool:
        """Take an acknowledgement up to `index`; false if it is old."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.probe_sent = False
        return True

    def maybe_decrease(self, rejected: int, hint: int) -> bool:
        """Take a rejection of the append after `rejected`; `hint` is where to try next. False if it is old."""
        if self.state is ProgressState.REPLICATE:
            if rejected <= self.match:
                return False
            self.next = self.match + 1
            self.sent_commit = min(self.sent_commit, self.next - 1)
            return True
        # A probe is sent one at a time, so a genuine rejection is of the one that was sent last.
        if self.next - 1 != rejected:
            return False
        self.next = max(min(rejected, hint + 1), self.match + 1)
        self.sent_commit = min(self.sent_commit, self.next - 1)
        self.probe_sent = False
        return True

    @property
    def paused(self) -> bool:
        """Whether nothing is to be appended now: probed, window full, or a snapshot under way."""
        return self.probe_sent or self.state is ProgressState.SNAPSHOT
