"""The active configuration, the progress of every member in it, and the votes of an election under way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trioetcd.raft.inflights import Inflights
from trioetcd.raft.progress import Progress
from trioetcd.raft.quorum import VoteResult, joint_committed, joint_vote, majority_committed
from trioetcd.raft.types import ConfState


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Who counts (thesis 4.1, 4.3). Joint while there are outgoing voters; learners never vote and never count.

    A voter that is to become a learner while it is an outgoing voter waits in `learners_next`, so that no member is
    voter and learner at once.
    """

    incoming: frozenset[int] = frozenset()
    outgoing: frozenset[int] = frozenset()
    learners: frozenset[int] = frozenset()
    learners_next: frozenset[int] = frozenset()
    auto_leave: bool = False  # leave the joint state as soon as it is applied, by an entry of the leader's own

    @property
    def is_joint(self) -> bool:
        """Whether decisions need two majorities."""
        return bool(self.outgoing)

    @property
    def voters(self) -> frozenset[int]:
        """The voters of both halves."""
        return self.incoming | self.outgoing

    def conf_state(self) -> ConfState:
        """This configuration as snapshots store it, members in rising order."""
        return ConfState(
            voters=tuple(sorted(self.incoming)),
            learners=tuple(sorted(self.learners)),
            voters_outgoing=tuple(sorted(self.outgoing)),
            learners_next=tuple(sorted(self.learners_next)),
            auto_leave=self.auto_leave,
        )

    def __str__(self) -> str:
        text = "voters=" + _ids(self.incoming)
        if self.outgoing:
            text += "&&" + _ids(self.outgoing)
        if self.learners:
            text += " learners=" + _ids(self.learners)
        if self.learners_next:
            text += " learners_next=" + _ids(self.learners_next)
        return text + (" autoleave" if self.auto_leave else "")


def _ids(members: Iterable[int]) -> str:
    return "(" + " ".join(map(str, sorted(members))) + ")"


class Tracker:
    """Progress by member, for every voter and learner of the configuration and nobody else."""

    def __init__(self, *, inflight_messages_max: int, inflight_bytes_max: int) -> None:
        self._inflight_messages_max = inflight_messages_max
        self._inflight_bytes_max = inflight_bytes_max
        self.configuration = Configuration()
        self.progress: dict[int, Progress] = {}  # in rising order of members: messages go out in this order
        self.votes: dict[int, bool] = {}  # by who cast it; a voter's first answer counts

    def new_inflights(self) -> Inflights:
        """An empty window with this tracker's limits."""
        return Inflights(messages_max=self._inflight_messages_max, bytes_max=self._inflight_bytes_max)

    def switch(self, configuration: Configuration, progress: Mapping[int, Progress]) -> None:
        """Take another configuration and the progress that belongs to it."""
        self.configuration = configuration
        self.progress = dict(sorted(progress.items()))

    def reset_progress(self, next_index: int) -> None:
        """Forget what was known of every member, as on a change of term."""
        for member, old in self.progress.items():
            self.progress[member] = Progress(
                next_index=next_index, inflights=self.new_inflights(), is_learner=old.is_learner
            )

    def committed(self) -> int:
        """The highest index that the quorum has acknowledged; learners do not count (thesis 3.6.2, 4.3)."""
        progress, configuration = self.progress, self.configuration
        incoming = [progress[voter].match for voter in configuration.incoming]
        if not configuration.outgoing:
            return majority_committed(incoming)
        return joint_committed(incoming, [progress[voter].match for voter in configuration.outgoing])

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        """What these answers decide under the active configuration."""
        return joint_vote(self.configuration.incoming, self.configuration.outgoing, votes)

    def record_vote(self, member: int, granted: bool) -> VoteResult:  # noqa: FBT001 (the vote is the value here)
        """Collect one answer; a second one of the same member changes nothing."""
        self.votes.setdefault(member, granted)
        return self.vote_result(self.votes)

    def quorum_active(self) -> bool:
        """Whether a quorum was heard from since the last check (thesis 6.2)."""
        active = {member: p.recent_active for member, p in self.progress.items() if not p.is_learner}
        return self.vote_result(active) is VoteResult.WON

    @property
    def is_singleton(self) -> bool:
        """Whether one voter decides alone."""
        return len(self.configuration.incoming) == 1 and not self.configuration.outgoing
