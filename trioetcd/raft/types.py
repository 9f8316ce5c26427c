"""What the consensus core is fed and what it returns: entries, messages, states, configurations.

These are plain values. The write-ahead log stores them, the peer streams carry them, and neither needs
to know the algorithm. Names and numbers are those of the field (`raftpb`), so that a reader of the Raft
thesis, or of another implementation, is at home.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

NO_NODE: Final = 0
"""No member: the leader of a group that has none, the vote of a term in which none was given."""

LOCAL_APPEND_THREAD: Final = 2**64 - 1
"""The local thread that appends to the log: the target of STORAGE_APPEND when storage writes are asynchronous."""

LOCAL_APPLY_THREAD: Final = 2**64 - 2
"""The local thread that applies committed entries: the target of STORAGE_APPLY when writes are asynchronous."""

NO_LIMIT: Final = 2**64 - 1
"""A size limit in bytes that never limits."""


class EntryType(IntEnum):
    """What an entry's data is: a state machine's command, or a change of the configuration."""

    NORMAL = 0
    CONF_CHANGE = 1
    CONF_CHANGE_V2 = 2


class Entry(NamedTuple):
    """One slot of the replicated log (thesis 3.5). `data` is opaque to the core unless `type` says otherwise."""

    term: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which has no use here
    type: EntryType = EntryType.NORMAL
    data: bytes = b""


class HardState(NamedTuple):
    """What must be durable before a message that depends on it leaves (thesis figure 3.1, persistent state)."""

    term: int = 0
    vote: int = NO_NODE
    commit: int = 0


class SoftState(NamedTuple):
    """What is worth logging but not saving: who leads, and what this member is."""

    lead: int
    state: StateType


class StateType(IntEnum):
    """The role of a member within its term."""

    FOLLOWER = 0
    CANDIDATE = 1
    LEADER = 2
    PRE_CANDIDATE = 3


class ConfState(NamedTuple):
    """A configuration as it is stored in a snapshot; outgoing voters are there only in a joint one (thesis 4.3)."""

    voters: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    voters_outgoing: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    auto_leave: bool = False


class SnapshotMetadata(NamedTuple):
    """The last entry that a snapshot stands for, and the configuration as of that entry."""

    conf_state: ConfState = ConfState()
    index: int = 0  # type: ignore[assignment]  # hides tuple.index, which has no use here
    term: int = 0


class Snapshot(NamedTuple):
    """A state that replaces the log up to `metadata.index`. An empty one has index 0."""

    metadata: SnapshotMetadata = SnapshotMetadata()
    data: bytes = b""

    @property
    def is_empty(self) -> bool:
        """Whether this stands for no snapshot at all."""
        return self.metadata.index == 0


class MessageType(IntEnum):
    """Every message of the protocol, local ones included. Numbers are those on the wire of the field."""

    HUP = 0
    BEAT = 1
    PROP = 2
    APP = 3
    APP_RESP = 4
    VOTE = 5
    VOTE_RESP = 6
    SNAP = 7
    HEARTBEAT = 8
    HEARTBEAT_RESP = 9
    UNREACHABLE = 10
    SNAP_STATUS = 11
    CHECK_QUORUM = 12
    TRANSFER_LEADER = 13
    TIMEOUT_NOW = 14
    READ_INDEX = 15
    READ_INDEX_RESP = 16
    PRE_VOTE = 17
    PRE_VOTE_RESP = 18
    STORAGE_APPEND = 19
    STORAGE_APPEND_RESP = 20
    STORAGE_APPLY = 21
    STORAGE_APPLY_RESP = 22
    FORGET_LEADER = 23


@dataclass(slots=True)
class Message:
    """One message between members, or between the core and its local storage threads.

    `context` carries a ReadIndex request's id or the reason of a campaign; `responses` is used only by
    messages to the local append and apply threads, which deliver them when their work is durable.
    """

    type: MessageType
    to: int = NO_NODE
    from_: int = NO_NODE
    term: int = 0
    log_term: int = 0
    index: int = 0
    entries: tuple[Entry, ...] = ()
    commit: int = 0
    vote: int = NO_NODE
    snapshot: Snapshot | None = None
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    responses: tuple[Message, ...] = ()


class ConfChangeType(IntEnum):
    """What a single configuration change does to one member."""

    ADD_NODE = 0
    REMOVE_NODE = 1
    UPDATE_NODE = 2
    ADD_LEARNER_NODE = 3


class ConfChangeTransition(IntEnum):
    """How a joint configuration is entered and left (thesis 4.3)."""

    AUTO = 0
    JOINT_IMPLICIT = 1
    JOINT_EXPLICIT = 2


class ConfChangeSingle(NamedTuple):
    """One step of a configuration change."""

    type: ConfChangeType
    node_id: int


class ConfChange(NamedTuple):
    """The first version of a configuration change: one step, never joint. `id` and `context` are the proposer's."""

    type: ConfChangeType
    node_id: int
    context: bytes = b""
    id: int = 0


class ConfChangeV2(NamedTuple):
    """The second version: any number of steps; more than one goes through a joint configuration."""

    changes: tuple[ConfChangeSingle, ...] = ()
    transition: ConfChangeTransition = ConfChangeTransition.AUTO
    context: bytes = b""


class ReadState(NamedTuple):
    """The answer to a ReadIndex request: once `index` is applied here, a read is linearizable (thesis 6.4)."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which has no use here
    request_context: bytes
