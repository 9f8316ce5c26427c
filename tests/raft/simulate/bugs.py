"""Bugs that are planted on purpose, each in one rule, to see that the simulator finds them.

They live here alone: in subclasses of the simulator's own member and disk, or as replacements of single functions of
the core for the time of one run. Nothing of them is in the core itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.raft.simulate.checks import SAVED_FIRST
from tests.raft.simulate.disk import Disk
from tests.raft.simulate.node import Node
from trioetcd.raft import (
    LOCAL_APPEND_THREAD,
    ConfState,
    Entry,
    HardState,
    Message,
    MessageType,
    Ready,
    Snapshot,
    StateType,
    decode_conf_change_entry,
    election,
    proposals,
    reads,
)
from trioetcd.raft.confchange_codec import as_v2
from trioetcd.raft.core import Core
from trioetcd.raft.log import RaftLog
from trioetcd.raft.progress import Progress, ProgressState
from trioetcd.raft.quorum import VoteResult, majority_committed, majority_vote
from trioetcd.raft.step import HANDLERS
from trioetcd.raft.tracker import Tracker


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    """One broken rule: another member or disk, or functions that are replaced while it is planted."""

    name: str
    breaks: str
    node: type[Node] = Node
    disk: type[Disk] = Disk
    ignored: Collection[str] = ()  # rules that are not checked: what the bug leads to is to be found by others
    patches: Sequence[tuple[Any, Any, object]] = ()  # a class, module or table; the name in it; what stands there then

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The functions of this bug are in the place of the right ones, and back afterwards."""
        before = [(owner, name, _exchange(owner, name, broken)) for owner, name, broken in self.patches]
        try:
            yield
        finally:
            for owner, name, whole in before:
                _exchange(owner, name, whole)


def _exchange(owner: Any, name: Any, new: object) -> object:
    if isinstance(owner, dict):
        old, owner[name] = owner[name], new
    else:
        old = vars(owner)[name]
        setattr(owner, name, new)
    return old


# -- what is saved, and when ---------------------------------------------------------------------------------


class _ForgetfulDisk(Disk):
    def write(self, hard_state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None) -> None:
        super().write(hard_state and hard_state._replace(vote=0), entries, snapshot)


class _StaleSnapshotDisk(Disk):
    def make_snapshot(self, index: int, conf_state: ConfState, data: bytes, *, keep: int) -> None:
        before = self.live.snapshot().metadata.conf_state
        super().make_snapshot(index, before if before.voters else conf_state, data, keep=keep)


class _HastyNode(Node):
    """Answers leave before the save that they speak of."""

    def _begin(self, ready: Ready) -> None:
        self._send(ready.messages_after_save)
        super()._begin(ready._replace(messages_after_save=()))

    def _finish(self) -> None:
        # `advance` wants the very Ready that was handed out.
        assert self.raw is not None
        self._ready = self.raw._accepted
        super()._finish()

    def _dispatch(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.to == LOCAL_APPEND_THREAD:
                self._send([answer for answer in message.responses if answer.to != self.id])
                message.responses = [answer for answer in message.responses if answer.to == self.id]
        super()._dispatch(messages)


class _HastyCandidateNode(Node):
    """Requests for votes leave at once, as the Ready of asynchronous storage lists them."""

    def _in_order(self, messages: Sequence[Message]) -> Sequence[Message]:
        return messages


class _EagerNode(Node):
    """The core is told that a Ready is done before its entries are applied."""

    def start(self) -> None:
        self._backlog: deque[Entry] = deque()
        super().start()

    def _is_applying(self) -> bool:
        return bool(self._backlog) or super()._is_applying()

    def _finish(self) -> None:
        assert self._ready is not None
        assert self.raw is not None
        self._backlog += self._ready.committed_entries
        self.raw.advance(self._ready)
        self._ready = None
        self._checks.observe(self)
        self._later(self._plan.apply_delay_max, self._apply_backlog)

    def _apply_backlog(self) -> None:
        while self._backlog:
            self._apply([self._backlog.popleft()])


class _EarlyApplyingNode(Node):
    """What is committed is applied before it is saved here."""

    def _begin(self, ready: Ready) -> None:
        if ready.snapshot is None:
            self._apply(ready.committed_entries)
        super()._begin(ready)


# -- who counts ----------------------------------------------------------------------------------------------


def _committed_with_learners(tracker: Tracker) -> int:
    return majority_committed([progress.match for progress in tracker.progress.values()])


def _votes_with_learners(tracker: Tracker, votes: dict[int, bool]) -> VoteResult:
    return majority_vote(tracker.progress.keys(), votes)


def _committed_by_incoming(tracker: Tracker) -> int:
    return majority_committed([tracker.progress[voter].match for voter in tracker.configuration.incoming])


def _votes_of_incoming(tracker: Tracker, votes: dict[int, bool]) -> VoteResult:
    return majority_vote(tracker.configuration.incoming, votes)


def _commit_any_term(log: RaftLog, index: int, term: int) -> bool:
    if index <= log.committed:
        return False
    log.commit_to(index)
    return True


# -- votes ---------------------------------------------------------------------------------------------------


def _grant_every_vote(core: Core, message: Message) -> None:
    if core.log.is_up_to_date(message.index, message.log_term):
        core.send(Message(election._RESPONSE[message.type], to=message.from_, term=message.term))
        if message.type == MessageType.VOTE:
            core.vote = message.from_


# -- logs ----------------------------------------------------------------------------------------------------


def _always_in_conflict(log: RaftLog, entries: Sequence[Entry]) -> int:
    return entries[0].index if entries and entries[0].index > log.committed else 0


def _append_unmatched(log: RaftLog, index: int, term: int, entries: Sequence[Entry], committed: int) -> int | None:
    if index > log.last_index():
        return None
    conflict = log.find_conflict(entries)
    if conflict > log.committed:
        log.append(entries[conflict - index - 1 :])
    log.commit_to(min(committed, index + len(entries)))
    return index + len(entries)


def _enter_with_full_window(progress: Progress, state: ProgressState) -> None:
    progress.probe_sent = False
    progress.pending_snapshot = 0
    progress.state = state


# -- membership and reads ------------------------------------------------------------------------------------


def _refused_only_if_joint(core: Core, entry: Entry) -> bool:
    leaves_joint = not as_v2(decode_conf_change_entry(entry)).changes
    return core.tracker.configuration.is_joint != leaves_joint


class _OneReadIdNode(Node):
    """Every read of a member has the same id."""

    def _read_context(self) -> bytes:
        return b"%d" % self.id


_VOTERS_ROLES = (StateType.FOLLOWER, StateType.CANDIDATE, StateType.LEADER)

NO_BUG = Bug(name="none", breaks="nothing")

BUGS: tuple[Bug, ...] = (
    Bug(name="forget-vote", breaks="the vote is not saved", disk=_ForgetfulDisk),
    Bug(
        name="count-learner",
        breaks="learners count like voters",
        patches=((Tracker, "committed", _committed_with_learners), (Tracker, "vote_result", _votes_with_learners)),
    ),
    Bug(
        name="commit-older-term",
        breaks="an entry of an older term is committed by counting",
        patches=((RaftLog, "maybe_commit", _commit_any_term),),
    ),
    Bug(
        name="commit-older-term-unnoticed",
        breaks="the same, and nobody looks at the term",
        patches=((RaftLog, "maybe_commit", _commit_any_term),),
        ignored=("a leader commits by an entry of its own term",),
    ),
    Bug(
        name="forget-vote-unnoticed",
        breaks="the same, and nobody looks at the disk when a vote is sent",
        disk=_ForgetfulDisk,
        ignored=(SAVED_FIRST,),
    ),
    Bug(name="acknowledge-before-save", breaks="answers leave before the save", node=_HastyNode),
    Bug(
        name="acknowledge-before-save-unnoticed",
        breaks="the same, and nobody looks at the disk when an answer is sent",
        node=_HastyNode,
        ignored=(SAVED_FIRST,),
    ),
    Bug(
        name="skip-joint-quorum",
        breaks="the outgoing half of a joint configuration is not asked",
        patches=((Tracker, "committed", _committed_by_incoming), (Tracker, "vote_result", _votes_of_incoming)),
    ),
    Bug(name="reuse-read-id", breaks="reads that are open share an id", node=_OneReadIdNode),
    Bug(name="advance-before-apply", breaks="advance comes before the entries are applied", node=_EagerNode),
    Bug(name="apply-before-save", breaks="entries are applied before they are saved here", node=_EarlyApplyingNode),
    Bug(
        name="lose-snapshot-configuration",
        breaks="a snapshot keeps the configuration of the one before",
        disk=_StaleSnapshotDisk,
    ),
    Bug(
        name="vote-for-stale-log",
        breaks="votes are granted to logs that end before the voter's",
        patches=((RaftLog, "is_up_to_date", lambda log, index, term: True),),
    ),
    Bug(
        name="vote-twice",
        breaks="a vote is granted whoever has it already",
        patches=tuple((HANDLERS[role], MessageType.VOTE, _grant_every_vote) for role in _VOTERS_ROLES),
    ),
    Bug(
        name="vote-twice-unnoticed",
        breaks="the same, and nobody keeps the votes",
        patches=tuple((HANDLERS[role], MessageType.VOTE, _grant_every_vote) for role in _VOTERS_ROLES),
        ignored=("one vote a term", "a vote is never forgotten"),
    ),
    Bug(
        name="truncate-on-old-append",
        breaks="an append cuts the log behind it, whether or not that conflicts",
        patches=((RaftLog, "find_conflict", _always_in_conflict),),
    ),
    Bug(
        name="skip-log-matching",
        breaks="an append is taken whatever lies before it",
        patches=((RaftLog, "maybe_append", _append_unmatched),),
    ),
    Bug(
        name="keep-inflights",
        breaks="the window is not emptied when a follower is probed anew",
        patches=((Progress, "_enter", _enter_with_full_window),),
    ),
    Bug(
        name="two-changes-at-once",
        breaks="a configuration change is proposed while another is not applied",
        patches=((proposals, "_is_refused", _refused_only_if_joint),),
    ),
    Bug(
        name="read-without-quorum",
        breaks="a leader answers reads without asking whether it still leads",
        patches=((Tracker, "is_singleton", property(lambda tracker: True)),),
    ),
    Bug(
        name="read-before-own-commit",
        breaks="a leader answers reads before it has committed in its term",
        patches=((HANDLERS[StateType.LEADER], MessageType.READ_INDEX, reads._confirm_or_answer),),
    ),
    Bug(name="ask-before-save", breaks="requests for votes leave before the term is saved", node=_HastyCandidateNode),
)
