"""The state of one member, and the few things that every rule does with it: send, reset, follow.

    module          rules                                                   thesis
    election        campaigning, voting, pre-vote, check-quorum             3.4, 3.6.1, 6.2, 9.6
    replication     a leader's appends and their answers, committing        3.5, 3.6.2, 10.2.1
    following       a follower's side of appends, heartbeats, snapshots     3.5, 5
    heartbeat       the leader's beat                                       3.4
    reads           ReadIndex                                               6.4
    transfer        leadership transfer, forgetting a leader                3.10
    proposals       appending or forwarding what is proposed                3.2, 6.2
    membership      applying a configuration change                         4
    applying        what follows from entries being applied                 3.2, 4.3
    step            which message goes to which rule, and the rule of terms 3.3

Rules are functions of a `Core`; they change it, and queue messages in it. Nothing here reads a clock, a disk, or
chance other than the `Randomness` that the member was given.
"""

from __future__ import annotations

from trioetcd.raft.config import Config
from trioetcd.raft.errors import RaftInvariantError
from trioetcd.raft.log import RaftLog
from trioetcd.raft.read_only import ReadQueue
from trioetcd.raft.tracker import Tracker
from trioetcd.raft.types import (
    NO_NODE,
    HardState,
    Message,
    MessageType,
    ReadState,
    SoftState,
    StateType,
)

_VOTING = frozenset({MessageType.VOTE, MessageType.VOTE_RESP, MessageType.PRE_VOTE, MessageType.PRE_VOTE_RESP})
_TERMLESS = frozenset({MessageType.PROP, MessageType.READ_INDEX})  # forwarded: the leader's term is not the sender's
_AFTER_SAVE = frozenset({MessageType.APP_RESP, MessageType.VOTE_RESP, MessageType.PRE_VOTE_RESP})


class Core:
    """Everything that one member knows. Fields with a comment are moved only by the module it names."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.id = config.id
        self.term = 0
        self.vote = NO_NODE
        self.lead = NO_NODE
        self.state = StateType.FOLLOWER
        self.log = RaftLog(storage=config.storage, max_applying_size_bytes=config.applying_size_bytes_max)
        self.tracker = Tracker(
            inflight_messages_max=config.max_inflight_msgs, inflight_bytes_max=config.max_inflight_bytes
        )

        self.messages: list[Message] = []  # to other members; none depends on what is not saved yet
        self.messages_after_save: list[Message] = []  # votes and acknowledgements, some of them to this member
        self.read_states: list[ReadState] = []  # reads

        self.election_elapsed = 0  # ticks since the leader was heard from; of a leader, since the last quorum check
        self.heartbeat_elapsed = 0  # ticks since a leader's last beat
        self.election_timeout = 0  # of this member, this time: [election_tick, 2 * election_tick)

        self.transferee = NO_NODE  # transfer: whom leadership is being handed to
        self.pending_conf_index = 0  # proposals: no unapplied configuration change lies after this index
        self.uncommitted_size = 0  # proposals: payload of the leader's uncommitted entries, an estimate
        self.read_queue = ReadQueue()  # reads: waiting for a quorum's confirmation
        self.reads_before_commit: list[Message] = []  # reads: waiting for the first commit of the term

    # -- sending ------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Queue a message from this member, with its term.

        A vote, and the acknowledgement of an append, wait until everything known up to now is saved (thesis 3.8):
        rejections too, for they can rest on what is not saved yet. They may be to this member itself: a candidate's
        own vote and a leader's own append count when they are saved, and no sooner.
        """
        kind = message.type
        if message.from_ == NO_NODE:
            message.from_ = self.id
        if kind in _VOTING:
            if message.term == 0:
                raise RaftInvariantError(f"{kind.name} to {message.to} has no term (own term {self.term})")
        elif message.term != 0:
            raise RaftInvariantError(f"{kind.name} to {message.to} has term {message.term} already (own {self.term})")
        elif kind not in _TERMLESS:
            message.term = self.term
        if kind in _AFTER_SAVE:
            self.messages_after_save.append(message)
        elif message.to == self.id:
            raise RaftInvariantError(f"{kind.name} is addressed to its sender {self.id}")
        else:
            self.messages.append(message)

    def acknowledge_append(self, to: int, index: int) -> None:
        """Queue the answer that this member's log matches the leader's up to `index`."""
        self.messages_after_save.append(
            Message(MessageType.APP_RESP, to=to, from_=self.id, term=self.term, index=index)
        )

    # -- terms and roles ----------------------------------------------------------------------------------------

    def reset(self, term: int) -> None:
        """Begin a role: in a later term, without a vote; with no leader, progress, votes or reads in any case."""
        if self.term != term:
            self.term = term
            self.vote = NO_NODE
        self.lead = NO_NODE
        self.election_elapsed = 0
        self.heartbeat_elapsed = 0
        self.reset_election_timeout()
        self.transferee = NO_NODE
        self.tracker.votes = {}
        self.tracker.reset_progress(self.log.last_index() + 1)
        own = self.tracker.progress.get(self.id)
        if own is not None:
            own.match = self.log.last_index()
        self.pending_conf_index = 0
        self.uncommitted_size = 0
        self.read_queue = ReadQueue()
        self.reads_before_commit = []

    def reset_election_timeout(self) -> None:
        """Draw another timeout, so that members seldom campaign at once (thesis 3.4)."""
        tick = self.config.election_tick
        self.election_timeout = tick + self.config.random.randrange(tick)

    def become_follower(self, term: int, lead: int) -> None:
        """Follow `lead`, or nobody yet, in `term`."""
        self.reset(term)
        self.lead = lead
        self.state = StateType.FOLLOWER

    # -- what others ask ------------------------------------------------------------------------------------------

    def soft_state(self) -> SoftState:
        """Who leads, and what this member is."""
        return SoftState(self.lead, self.state)

    def hard_state(self) -> HardState:
        """What has to be saved."""
        return HardState(self.term, self.vote, self.log.committed)

    def promotable(self) -> bool:
        """Whether this member may campaign: it is a voter, and no snapshot is on its way into its storage."""
        own = self.tracker.progress.get(self.id)
        return own is not None and not own.is_learner and self.log.unstable.snapshot is None

    def load(self, hard_state: HardState) -> None:
        """Go on from what was saved.

        The saved commit index may lie before the snapshot, for it is saved without a sync; what a snapshot stands for
        is committed all the same.
        """
        if hard_state.commit > self.log.last_index():
            raise RaftInvariantError(
                f"the saved commit index {hard_state.commit} lies after the last index {self.log.last_index()}: "
                f"the log lost entries that were saved"
            )
        self.log.commit_to(hard_state.commit)
        self.term = hard_state.term
        self.vote = hard_state.vote
