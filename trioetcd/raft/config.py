"""What a member is told at its start, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from trioetcd.raft.errors import ConfigInvalid
from trioetcd.raft.storage import LogStorage
from trioetcd.raft.types import LOCAL_APPLY_THREAD, NO_LIMIT, NO_NODE


class Randomness(Protocol):
    """The part of `random.Random` that the core uses: elections are the only thing left to chance."""

    def randrange(self, stop: int, /) -> int:
        """A number of [0, stop), each as likely."""
        ...


class ReadOnlyOption(IntEnum):
    """How a leader makes sure that it still leads before it lets a read pass (thesis 6.4)."""

    SAFE = 0  # a round of heartbeats to a quorum
    LEASE_BASED = 1  # the lease that check-quorum gives: no round, but only as safe as the clocks are


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one member. Sizes are in bytes; `NO_LIMIT` never limits. Raises `ConfigInvalid`."""

    id: int
    election_tick: int
    """Ticks without a leader until a member campaigns; each waits a random count in [this, 2 * this)."""
    heartbeat_tick: int
    """Ticks between a leader's heartbeats; well below `election_tick`, a tenth is usual."""
    storage: LogStorage
    random: Randomness
    applied: int = 0
    """The index that the state machine has applied already, at a restart: nothing up to it is handed out again."""
    async_storage_writes: bool = False
    """Saving and applying are asked for by messages to two local threads, and `advance` is not used."""
    max_size_per_msg: int = 1024 * 1024
    """Encoded size of the entries in one append; at least one entry goes, so 0 means one at a time."""
    max_committed_size_per_ready: int = 0
    """Encoded size of entries that are being applied at one time; 0 takes `max_size_per_msg`."""
    max_uncommitted_entries_size: int = 0
    """Payload of a leader's uncommitted entries, past which it drops proposals; 0 is no limit."""
    max_inflight_msgs: int = 256
    """Appends that a follower may be sent ahead of its answers."""
    max_inflight_bytes: int = 0
    """Payload of those appends together; 0 is no limit."""
    check_quorum: bool = False
    """A leader that hears of no quorum for an election timeout steps down; others refuse votes meanwhile."""
    pre_vote: bool = False
    """A member asks whether it could win before it raises its term (thesis 9.6)."""
    read_only_option: ReadOnlyOption = ReadOnlyOption.SAFE
    disable_proposal_forwarding: bool = False
    """A follower drops proposals instead of passing them on to its leader."""
    disable_conf_change_validation: bool = False
    """A leader appends configuration changes without looking whether they follow from the active one."""
    step_down_on_removal: bool = False
    """A leader that is removed, or made a learner, becomes a follower at once."""

    def __post_init__(self) -> None:
        if not NO_NODE < self.id < LOCAL_APPLY_THREAD:
            raise ConfigInvalid(f"id {self.id} is not in [1, 2**64 - 3]: 0 and the two highest have other meanings")
        if not 0 < self.heartbeat_tick < self.election_tick:
            raise ConfigInvalid(
                f"expected 0 < heartbeat_tick < election_tick, got {self.heartbeat_tick} and {self.election_tick}"
            )
        if self.max_inflight_msgs <= 0:
            raise ConfigInvalid(f"max_inflight_msgs is {self.max_inflight_msgs}, expected 1 or more")
        if 0 < self.max_inflight_bytes < self.max_size_per_msg:
            raise ConfigInvalid(
                f"max_inflight_bytes {self.max_inflight_bytes} is less than one message, max_size_per_msg "
                f"{self.max_size_per_msg}: raise it, or set 0 for no limit"
            )
        if self.read_only_option is ReadOnlyOption.LEASE_BASED and not self.check_quorum:
            raise ConfigInvalid("lease-based reads need check_quorum: without it a leader has no lease")

    @property
    def applying_size_bytes_max(self) -> int:
        """The limit for what is being applied, with its default filled in; one entry goes at least."""
        return max(self.max_committed_size_per_ready or self.max_size_per_msg, 1)

    @property
    def uncommitted_size_bytes_max(self) -> int:
        """The limit for uncommitted entries, with its default filled in."""
        return self.max_uncommitted_entries_size or NO_LIMIT
