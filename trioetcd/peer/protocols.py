"""What the peers ask of the parts they do not build: the member behind them, and the network in front of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import trio

from trioetcd.api import messages as m
from trioetcd.raft.types import Message
from trioetcd.storage.engine_folder import Receiver
from trioetcd.storage.members import Member


class SnapshotSource(Protocol):
    """A state on its way out: `message` names what it stands for, `chunks` are its bytes."""

    @property
    def message(self) -> Message:
        """The SNAP message, with the position of the state that is really sent."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The state, in slices that are short work each."""
        ...

    def close(self) -> None:
        """Let the view of the engine go."""


class RaftHandler(Protocol):
    """The member that messages are for, and that answers what other members ask.

    Whatever moves the core is synchronous, and so decides without waiting.
    """

    def process(self, messages: Sequence[Message]) -> None:
        """Step the core with messages that passed the checks, in their order."""

    def report_unreachable(self, member_id: int) -> None:
        """Messages to this peer were lost: replication to it should probe."""

    def report_gone(self, member_id: int) -> None:
        """This peer's process is gone: its addresses refuse connections, and no stream from it stands."""

    def report_snapshot(self, member_id: int, *, ok: bool) -> None:
        """The snapshot to this peer arrived and was taken, or did not."""

    def is_removed(self, member_id: int) -> bool:
        """Whether this id belonged to a member that was removed; it never comes back."""
        ...

    def knows(self, member_id: int) -> bool:
        """Whether this id belongs to a member of the cluster as this member knows it."""
        ...

    def removed_by(self, member_id: int) -> None:
        """A peer says that this member itself was removed from the cluster."""

    def open_snapshot(self, message: Message) -> SnapshotSource:
        """The state to send for a SNAP message."""
        ...

    def receive_snapshot(self, message: Message) -> Receiver:
        """A place for the state that follows a SNAP message. May raise what `SNAPSHOT_ERRORS` names."""
        ...

    def list_members(self) -> Sequence[Member]:
        """The membership as this member knows it."""
        ...

    async def promote_member(self, member_id: int) -> tuple[Member, ...]:
        """Make a learner a voter as the leader; the members as they are then. Raises `NotPrimary`, `ApiError`."""
        ...

    async def hash_kv(self, revision: int) -> m.HashKVResponse:
        """The hash of the store as of a revision (0: the latest); raises `ApiError`."""
        ...

    async def is_downgrade_enabled(self) -> bool:
        """Whether the cluster is going back to an earlier version, read linearizably; raises `ApiError`."""
        ...

    async def lease_keep_alive(self, lease_id: int) -> int:
        """Keep a lease alive as the leader; its TTL in seconds, 0 when there is none.

        Raises `NotPrimary` on a member that does not lead for sure, and `ApiError`.
        """
        ...

    async def lease_keep_alive_many(self, lease_ids: Sequence[int]) -> list[int]:
        """Keep many alive as the leader; -1 for those that have to be asked for alone. Raises `NotPrimary`."""
        ...

    async def lease_time_to_live(self, request: m.LeaseTimeToLiveRequest) -> m.LeaseTimeToLiveResponse:
        """What the leader knows of a lease; TTL -1 when there is none. Raises `NotPrimary`."""
        ...

    def cluster_version(self) -> str | None:
        """The version that the cluster agreed on; None before it has."""
        ...


class Dialer(Protocol):
    """How another member is reached. A simulated network is another one of these."""

    async def dial(self, url: str) -> trio.abc.Stream:
        """A stream to the server of this URL; raises `OSError` when there is none, waits no longer than its caller."""
        ...
