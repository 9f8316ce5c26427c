"""What the node asks of the part it does not build: the other members, and the way to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

import trio

from trioetcd.api import messages as m
from trioetcd.raft.types import Message
from trioetcd.storage.members import Member


class PeerInfo(NamedTuple):
    """Another member, as far as the network is concerned."""

    id: int
    urls: tuple[str, ...]


class PeerStatus(NamedTuple):
    """What is known of the connection with one peer; times are on the clock of Trio, in seconds."""

    id: int
    active: bool
    active_since: float | None
    version: str | None
    rtt_seconds: float | None
    clock_difference_seconds: float | None


class TransportStatus(NamedTuple):
    """The connections with all peers."""

    peers: tuple[PeerStatus, ...]


class Transport(Protocol):
    """How messages reach the other members. Messages may be lost; the core copes with that."""

    def send(self, messages: Sequence[Message]) -> None:
        """Queue messages for their peers. Never blocks; what does not fit is dropped and reported unreachable."""

    def reconcile(self, peers: Sequence[PeerInfo], removed: Collection[int]) -> None:
        """Make the connections match the membership: add, re-address, drop."""

    def status(self) -> TransportStatus:
        """How the connections are."""
        ...

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Serve the connections until cancelled."""


class ForwardFailed(Exception):
    """The leader was not reached, or does not lead (any more): ask the next one."""


class LeaseForwarder(Protocol):
    """How the leader is asked about the time of leases. Every method raises `ForwardFailed`."""

    async def keep_alive(self, member_id: int, lease_id: int) -> int:
        """Let a lease begin its TTL anew; the TTL in seconds, 0 when there is no such lease."""
        ...

    async def time_to_live(self, member_id: int, request: m.LeaseTimeToLiveRequest) -> m.LeaseTimeToLiveResponse:
        """What is left of a lease; TTL -1 when there is none. The header is the leader's, or missing."""
        ...


class PromotionForwarder(Protocol):
    """How the leader is asked to promote a learner."""

    async def promote(self, leader_id: int, member_id: int) -> tuple[Member, ...]:
        """Let the leader make a learner a voter; the members as they are then. Raises `ApiError`, `ForwardFailed`."""
        ...


class PeerHash(NamedTuple):
    """What another member's keys hash to at a revision that was asked for; `revision` is where it is itself."""

    hash: int
    revision: int
    compact_revision: int


class HashSource(Protocol):
    """How other members are asked what their keys hash to."""

    async def fetch(self, urls: Sequence[str], revision: int) -> PeerHash | None:
        """The hash of the member behind these peer URLs; None when it does not tell."""
        ...
