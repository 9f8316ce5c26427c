"""What a member says of itself, frozen: for metrics, status requests and tests."""

from __future__ import annotations

from dataclasses import dataclass

from trioetcd.raft.core import Core
from trioetcd.raft.progress import Progress, ProgressState
from trioetcd.raft.tracker import Configuration
from trioetcd.raft.types import HardState, SoftState, StateType


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicStatus:
    """What costs nothing to tell."""

    id: int
    hard_state: HardState
    soft_state: SoftState
    applied: int
    lead_transferee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressStatus:
    """One follower as its leader sees it; `str()` is the field's one-line form."""

    match: int
    next: int
    state: ProgressState
    pending_snapshot: int
    recent_active: bool
    paused: bool
    is_learner: bool
    inflight_messages: int
    inflight_bytes: int
    inflight_full: bool

    @classmethod
    def of(cls, progress: Progress) -> ProgressStatus:
        """The progress as it is now."""
        return cls(
            match=progress.match,
            next=progress.next,
            state=progress.state,
            pending_snapshot=progress.pending_snapshot,
            recent_active=progress.recent_active,
            paused=progress.paused,
            is_learner=progress.is_learner,
            inflight_messages=progress.inflights.count,
            inflight_bytes=progress.inflights.size_bytes,
            inflight_full=progress.inflights.full,
        )

    def __str__(self) -> str:
        words = [f"State{self.state.name.capitalize()} match={self.match} next={self.next}"]
        words += ["learner"] * self.is_learner
        words += ["paused"] * self.paused
        words += [f"pendingSnap={self.pending_snapshot}"] * (self.pending_snapshot > 0)
        words += ["inactive"] * (not self.recent_active)
        words += [f"inflight={self.inflight_messages}" + "[full]" * self.inflight_full] * (self.inflight_messages > 0)
        return " ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(BasicStatus):
    """All there is to tell; `progress` is empty unless this member leads."""

    config: Configuration
    progress: dict[int, ProgressStatus]


def basic_status(core: Core) -> BasicStatus:
    """The member as it is now, without configuration and progress."""
    return BasicStatus(
        id=core.id,
        hard_state=core.hard_state(),
        soft_state=core.soft_state(),
        applied=core.log.applied,
        lead_transferee=core.transferee,
    )


def full_status(core: Core) -> Status:
    """The member as it is now."""
    leads = core.state is StateType.LEADER
    progress = core.tracker.progress if leads else {}
    return Status(
        id=core.id,
        hard_state=core.hard_state(),
        soft_state=core.soft_state(),
        applied=core.log.applied,
        lead_transferee=core.transferee,
        config=core.tracker.configuration,
        progress={member: ProgressStatus.of(p) for member, p in progress.items()},
    )
