"""The consensus core: Raft as a function of its inputs, without a clock, a disk, a network or a log of its own.

`RawNode` is the door. `DESIGN.md` maps the sections of the Raft thesis to the modules.
"""

from __future__ import annotations

from trioetcd.raft.confchange_codec import (
    decode_conf_change,
    decode_conf_change_entry,
    decode_conf_change_v2,
    encode_conf_change,
)
from trioetcd.raft.config import Config, Randomness, ReadOnlyOption
from trioetcd.raft.errors import (
    Compacted,
    ConfChangeMalformed,
    ConfChangeRefused,
    ConfigInvalid,
    ProposalDropped,
    RaftError,
    RaftInvariantError,
    SnapshotOutOfDate,
    SnapshotTemporarilyUnavailable,
    StepLocalMessage,
    StepPeerNotFound,
    StorageError,
    Unavailable,
)
from trioetcd.raft.progress import ProgressState
from trioetcd.raft.rawnode import RawNode
from trioetcd.raft.ready import Ready
from trioetcd.raft.status import BasicStatus, ProgressStatus, Status
from trioetcd.raft.storage import LogStorage, MemoryStorage
from trioetcd.raft.tracker import Configuration
from trioetcd.raft.types import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    NO_LIMIT,
    NO_NODE,
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    ReadState,
    Snapshot,
    SnapshotMetadata,
    SoftState,
    StateType,
)

__all__ = [
    "LOCAL_APPEND_THREAD",
    "LOCAL_APPLY_THREAD",
    "NO_LIMIT",
    "NO_NODE",
    "BasicStatus",
    "Compacted",
    "ConfChange",
    "ConfChangeMalformed",
    "ConfChangeRefused",
    "ConfChangeSingle",
    "ConfChangeTransition",
    "ConfChangeType",
    "ConfChangeV2",
    "ConfState",
    "Config",
    "ConfigInvalid",
    "Configuration",
    "Entry",
    "EntryType",
    "HardState",
    "LogStorage",
    "MemoryStorage",
    "Message",
    "MessageType",
    "ProgressState",
    "ProgressStatus",
    "ProposalDropped",
    "RaftError",
    "RaftInvariantError",
    "Randomness",
    "RawNode",
    "ReadOnlyOption",
    "ReadState",
    "Ready",
    "Snapshot",
    "SnapshotMetadata",
    "SnapshotOutOfDate",
    "SnapshotTemporarilyUnavailable",
    "SoftState",
    "StateType",
    "Status",
    "StepLocalMessage",
    "StepPeerNotFound",
    "StorageError",
    "Unavailable",
    "decode_conf_change",
    "decode_conf_change_entry",
    "decode_conf_change_v2",
    "encode_conf_change",
]
