"""How one configuration follows from another (thesis 4.1: one voter at a time; 4.3: any number, jointly).

`Changer` takes a configuration with its progress and returns the next pair, or refuses; it changes nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from trioetcd.raft.errors import ConfChangeRefused, RaftInvariantError
from trioetcd.raft.progress import Progress
from trioetcd.raft.tracker import Configuration, Tracker
from trioetcd.raft.types import (
    NO_NODE,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)

ProgressMap = dict[int, Progress]
Changed = tuple[Configuration, ProgressMap]


class Changer:
    """One change on top of `configuration`; `last_index` is where the leader will probe a member that is new."""

    def __init__(
        self, *, tracker: Tracker, configuration: Configuration, progress: ProgressMap, last_index: int
    ) -> None:
        self._tracker = tracker
        self._last_index = last_index
        self._before = configuration
        self._incoming = set(configuration.incoming)
        self._learners = set(configuration.learners)
        self._learners_next = set(configuration.learners_next)
        self._outgoing = set(configuration.outgoing)
        self._progress = {member: p.clone() for member, p in progress.items()}
        check_invariants(configuration, progress)

    @classmethod
    def of(cls, tracker: Tracker, last_index: int) -> Changer:
        """A change on top of what the tracker holds."""
        return cls(
            tracker=tracker, configuration=tracker.configuration, progress=tracker.progress, last_index=last_index
        )

    def change(self, change: ConfChangeV2) -> Changed:
        """Whatever this change asks for: leave the joint state, enter it, or change at most one voter."""
        if leaves_joint(change):
            return self.leave_joint()
        auto_leave = enters_joint(change)
        if auto_leave is None:
            return self.simple(change.changes)
        return self.enter_joint(change.changes, auto_leave=auto_leave)

    def enter_joint(self, changes: Iterable[ConfChangeSingle], *, auto_leave: bool) -> Changed:
        """The old voters become the outgoing half; the changes go to the incoming half (thesis 4.3)."""
        if self._before.is_joint:
            raise ConfChangeRefused("config is already joint")
        if not self._incoming:
            raise ConfChangeRefused("can't make a zero-voter config joint")
        self._outgoing = set(self._incoming)
        self._apply(changes)
        return self._result(auto_leave=auto_leave)

    def leave_joint(self) -> Changed:
        """The incoming half decides alone; voters that waited to be learners become it."""
        if not self._before.is_joint:
            raise ConfChangeRefused("can't leave a non-joint config")
        for member in self._learners_next:
            self._learners.add(member)
            self._progress[member].is_learner = True
        self._learners_next.clear()
        for member in self._outgoing - self._incoming - self._learners:
            del self._progress[member]
        self._outgoing.clear()
        return self._result(auto_leave=False)

    def simple(self, changes: Iterable[ConfChangeSingle]) -> Changed:
        """Changes that come to at most one voter more or less: then old and new majorities overlap (thesis 4.1)."""
        if self._before.is_joint:
            raise ConfChangeRefused("can't apply simple config change in joint config")
        self._apply(changes)
        if len(self._before.incoming ^ self._incoming) > 1:
            raise ConfChangeRefused("more than one voter changed without entering joint config")
        return self._result(auto_leave=False)

    def _apply(self, changes: Iterable[ConfChangeSingle]) -> None:
        for change in changes:
            # A change that was refused by the state machine is applied with no member, and does nothing.
            if change.node_id != NO_NODE:
                self._APPLY[change.type](self, change.node_id)
        if not self._incoming:
            raise ConfChangeRefused("removed all voters")

    def _make_voter(self, member: int) -> None:
        progress = self._progress.get(member)
        if progress is None:
            self._add_progress(member, is_learner=False)
        else:
            progress.is_learner = False
        self._learners.discard(member)
        self._learners_next.discard(member)
        self._incoming.add(member)

    def _make_learner(self, member: int) -> None:
        progress = self._progress.get(member)
        if progress is None:
            self._add_progress(member, is_learner=True)
            self._learners.add(member)
            return
        if progress.is_learner:
            return
        self._remove(member)
        self._progress[member] = progress
        if member in self._outgoing:
            self._learners_next.add(member)
        else:
            progress.is_learner = True
            self._learners.add(member)

    def _remove(self, member: int) -> None:
        self._incoming.discard(member)
        self._learners.discard(member)
        self._learners_next.discard(member)
        if member not in self._outgoing:
            self._progress.pop(member, None)

    def _update(self, member: int) -> None:
        """Nothing here: what an update is about lies outside the core."""

    _APPLY: ClassVar[dict[ConfChangeType, Callable[[Changer, int], None]]] = {
        ConfChangeType.ADD_NODE: _make_voter,
        ConfChangeType.REMOVE_NODE: _remove,
        ConfChangeType.UPDATE_NODE: _update,
        ConfChangeType.ADD_LEARNER_NODE: _make_learner,
    }

    def _add_progress(self, member: int, *, is_learner: bool) -> None:
        # It counts as active at once: a quorum check may come before it has had a chance to answer.
        self._progress[member] = Progress(
            next_index=max(self._last_index, 1),
            inflights=self._tracker.new_inflights(),
            is_learner=is_learner,
            recent_active=True,
        )

    def _result(self, *, auto_leave: bool) -> Changed:
        configuration = Configuration(
            incoming=frozenset(self._incoming),
            outgoing=frozenset(self._outgoing),
            learners=frozenset(self._learners),
            learners_next=frozenset(self._learners_next),
            auto_leave=auto_leave,
        )
        check_invariants(configuration, self._progress)
        return configuration, self._progress


def leaves_joint(change: ConfChangeV2) -> bool:
    """An empty change leaves the joint state."""
    return not change.changes and change.transition is ConfChangeTransition.AUTO


def enters_joint(change: ConfChangeV2) -> bool | None:
    """Whether the joint state that this change enters is left automatically; None if it enters none."""
    if change.transition is ConfChangeTransition.AUTO and len(change.changes) <= 1:
        return None
    return change.transition is not ConfChangeTransition.JOINT_EXPLICIT


def restore(*, tracker: Tracker, conf_state: ConfState, last_index: int) -> Changed:
    """A stored configuration with new progress, built by changes from an empty one so that each step is checked."""
    configuration, progress = Configuration(), ProgressMap()

    def changer() -> Changer:
        return Changer(tracker=tracker, configuration=configuration, progress=progress, last_index=last_index)

    incoming = _additions(ConfChangeType.ADD_NODE, conf_state.voters) + _additions(
        ConfChangeType.ADD_LEARNER_NODE, conf_state.learners + conf_state.learners_next
    )
    one_by_one = _additions(ConfChangeType.ADD_NODE, conf_state.voters_outgoing) or incoming
    for single in one_by_one:
        configuration, progress = changer().simple([single])
    if conf_state.voters_outgoing:
        removals = _additions(ConfChangeType.REMOVE_NODE, conf_state.voters_outgoing)
        configuration, progress = changer().enter_joint(removals + incoming, auto_leave=conf_state.auto_leave)
    restored = configuration.conf_state()
    if _canonical(restored) != _canonical(conf_state):
        raise RaftInvariantError(f"configuration {conf_state} was restored as {restored}")
    return configuration, progress


def _additions(change_type: ConfChangeType, members: Sequence[int]) -> list[ConfChangeSingle]:
    return [ConfChangeSingle(change_type, member) for member in members]


def _canonical(state: ConfState) -> ConfState:
    return state._replace(
        voters=tuple(sorted(state.voters)),
        learners=tuple(sorted(state.learners)),
        voters_outgoing=tuple(sorted(state.voters_outgoing)),
        learners_next=tuple(sorted(state.learners_next)),
    )


def check_invariants(configuration: Configuration, progress: ProgressMap) -> None:
    """Raise `RaftInvariantError` unless the configuration is sound and the progress is exactly its members'."""
    c = configuration
    marked = {member for member, p in progress.items() if p.is_learner}
    reason = None
    if progress.keys() != c.voters | c.learners:
        reason = "the progress is not that of its voters and learners"
    elif not c.learners_next <= c.outgoing:
        reason = "a learner-to-be is no outgoing voter"
    elif c.learners & c.voters or marked != c.learners:
        reason = f"a learner is a voter, or is not marked as learner (marked are {sorted(marked)})"
    elif c.auto_leave and not c.is_joint:
        reason = "only a joint configuration can be left automatically"
    if reason:
        raise RaftInvariantError(f"{reason}: {c!r}, progress of {sorted(progress)}")
