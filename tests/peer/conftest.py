"""Members that record what reaches them, joined by a network in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
import structlog
import trio
from structlog.testing import LogCapture

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.node.leader_calls import NotPrimary
from trioetcd.node.protocols import PeerInfo
from trioetcd.peer.headers import PeerIdentity
from trioetcd.peer.listener import PeerListener
from trioetcd.peer.protocols import Dialer
from trioetcd.peer.transport import Transport
from trioetcd.raft.types import Entry, Message, MessageType, Snapshot, SnapshotMetadata
from trioetcd.storage.engine_transfer import TransferDamage
from trioetcd.storage.members import Member
from trioetcd.testing.network import MemoryNetwork

CLUSTER_ID = 0xC1

START_OF_TIME = 1_700_000_000.0


class Source:
    """A state of some slices, the last one saying how many there were."""

    def __init__(self, message: Message, slices: Sequence[bytes]) -> None:
        self.message = message
        self.slices = slices
        self.closed = False

    def chunks(self) -> Iterator[bytes]:
        yield from self.slices

    def close(self) -> None:
        self.closed = True


class Sink:
    """Keeps what comes; whole only if it ends with `end`."""

    def __init__(self) -> None:
        self.data = b""
        self.finished = False
        self.aborted = False

    def feed(self, data: bytes) -> None:
        if b"damage" in data:
            raise TransferDamage("the checksum of a slice does not match")
        self.data += data

    def finish(self) -> None:
        if not self.data.endswith(b"end"):
            raise TransferDamage("the stream stopped before its end")
        self.finished = True

    def abort(self) -> None:
        self.aborted = True


@dataclass
class Handler:
    """A member that only takes notes."""

    members: set[int]
    removed: set[int] = field(default_factory=set)
    received: list[Message] = field(default_factory=list)
    bursts: list[int] = field(default_factory=list)
    unreachable: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    snapshots: list[tuple[int, bool]] = field(default_factory=list)
    told_removed_by: list[int] = field(default_factory=list)
    sinks: list[Sink] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    leads: bool = True
    listed: Sequence[Member] = ()
    promotion_refusals: dict[int, ApiError] = field(default_factory=dict)
    leases: dict[int, int] = field(default_factory=dict)
    asked_together: list[int] = field(default_factory=list)
    state: Sequence[bytes] = (b"state " * 1000, b"more", b"end")
    arrived: trio.Event = field(default_factory=trio.Event)

    def process(self, messages: Sequence[Message]) -> None:
        self.received += messages
        self.bursts.append(len(messages))
        self._arrived()

    def report_gone(self, member_id: int) -> None:
        self.gone.append(member_id)

    def report_unreachable(self, member_id: int) -> None:
        self.unreachable.append(member_id)

    def report_snapshot(self, member_id: int, *, ok: bool) -> None:
        self.snapshots.append((member_id, ok))
        self._arrived()

    def _arrived(self) -> None:
        self.arrived.set()
        self.arrived = trio.Event()

    def is_removed(self, member_id: int) -> bool:
        return member_id in self.removed

    def knows(self, member_id: int) -> bool:
        return member_id in self.members

    def removed_by(self, member_id: int) -> None:
        self.told_removed_by.append(member_id)

    def open_snapshot(self, message: Message) -> Source:
        assert message.snapshot is not None
        newer = Message(message.type, message.to, message.from_, snapshot=Snapshot(SnapshotMetadata(index=77)))
        self.sources.append(Source(newer, self.state))
        return self.sources[-1]

    def receive_snapshot(self, message: Message) -> Sink:
        self.sinks.append(Sink())
        return self.sinks[-1]

    def list_members(self) -> Sequence[Member]:
        return self.listed

    async def promote_member(self, member_id: int) -> tuple[Member, ...]:
        await trio.lowlevel.checkpoint()
        if not self.leads:
            raise NotPrimary("another member leads")
        if member_id in self.promotion_refusals:
            raise self.promotion_refusals[member_id]
        return (Member(member_id, "promoted", ("http://m:2380",)),)

    async def hash_kv(self, revision: int) -> m.HashKVResponse:
        await trio.lowlevel.checkpoint()
        return m.HashKVResponse(header=m.ResponseHeader(revision=61), hash=42, compact_revision=revision)

    async def is_downgrade_enabled(self) -> bool:
        await trio.lowlevel.checkpoint()
        return True

    async def lease_keep_alive(self, lease_id: int) -> int:
        await trio.lowlevel.checkpoint()
        if not self.leads:
            raise NotPrimary("another member leads")
        return self.leases.get(lease_id, 0)

    async def lease_keep_alive_many(self, lease_ids: Sequence[int]) -> list[int]:
        self.asked_together.append(len(lease_ids))
        return [-1 if one == -7 else await self.lease_keep_alive(one) for one in lease_ids]

    async def lease_time_to_live(self, request: m.LeaseTimeToLiveRequest) -> m.LeaseTimeToLiveResponse:
        ttl = await self.lease_keep_alive(request.ID)
        if not ttl:
            return m.LeaseTimeToLiveResponse(ID=request.ID, TTL=-1)
        keys = [b"a", b"b"] if request.keys else []
        return m.LeaseTimeToLiveResponse(ID=request.ID, TTL=0, grantedTTL=ttl, keys=keys)

    def cluster_version(self) -> str | None:
        return "3.5.0"

    async def wait_received(self, count: int) -> list[Message]:
        while len(self.received) < count:
            await self.arrived.wait()
        return self.received


@dataclass
class Node:
    """One member's transport and listener."""

    id: int
    url: str
    handler: Handler
    transport: Transport
    listener: PeerListener
    scope: trio.CancelScope
    clock_offset: list[float]

    def is_active(self, peer_id: int) -> bool:
        return {peer.id: peer.active for peer in self.transport.status().peers}[peer_id]


class Cluster:
    """Some members on one network."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.network = MemoryNetwork()
        self.nodes: dict[int, Node] = {}
        self.capture = LogCapture()
        self.log = structlog.wrap_logger(None, processors=[self.capture])

    @staticmethod
    def url(member_id: int) -> str:
        return f"http://m{member_id}:2380"

    async def add(
        self,
        member_id: int,
        *,
        peers: Sequence[int],
        cluster_id: int = CLUSTER_ID,
        version: str = "3.5.1",
        minimum: str = "3.0.0",
        dialer: Dialer | None = None,
        removed: Sequence[int] = (),
    ) -> Node:
        """Start a member."""
        host = self.network.host(f"m{member_id}")
        handler = Handler(members={member_id, *peers}, removed=set(removed))
        local = PeerIdentity(member_id, cluster_id, version, minimum, (self.url(member_id),))
        offset = [0.0]
        common = {
            "handler": handler,
            "wall_clock": lambda: START_OF_TIME + trio.current_time() + offset[0],
            "log": self.log.bind(member=member_id),
        }
        transport = Transport(local=local, dialer=dialer or host, **common)
        listener = PeerListener(listeners=[host.listen(self.url(member_id))], transport=transport, **common)
        transport.reconcile([PeerInfo(peer, (self.url(peer),)) for peer in peers if peer != member_id], removed)
        scope = trio.CancelScope()
        node = Node(member_id, self.url(member_id), handler, transport, listener, scope, offset)
        self.nodes[member_id] = node
        started = trio.Event()
        self.nursery.start_soon(self._run, node, started)
        await started.wait()
        return node

    async def _run(self, node: Node, started: trio.Event) -> None:
        with node.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(node.transport.run)
                await nursery.start(node.listener.run)
                started.set()
        started.set()

    async def pair(self) -> tuple[Node, Node]:
        """Two members with all four streams up."""
        one = await self.add(1, peers=[1, 2])
        two = await self.add(2, peers=[1, 2])
        await trio.sleep(1)
        assert one.is_active(2)
        assert two.is_active(1)
        return one, two

    def messages(self, member_id: int, containing: str = "") -> list[str]:
        """What a member logged."""
        return [e["event"] for e in self.capture.entries if e["member"] == member_id and containing in e["event"]]


def app(index: int, *, to: int = 2, from_: int = 1) -> Message:
    return Message(MessageType.APP, to, from_, term=1, index=index, entries=(Entry(1, index + 1),))


def commit(index: int, *, to: int = 2, from_: int = 1) -> Message:
    """Nothing but how far entries are committed."""
    return Message(MessageType.APP, to, from_, term=1, index=index, commit=index)


def beat(index: int, *, to: int = 2, from_: int = 1) -> Message:
    return Message(MessageType.HEARTBEAT, to, from_, term=1, commit=index)


def snap(*, to: int = 2, from_: int = 1) -> Message:
    return Message(MessageType.SNAP, to, from_, term=1, snapshot=Snapshot(SnapshotMetadata(index=5, term=1)))


@dataclass(frozen=True)
class Make:
    """The messages that the tests send."""

    app: Callable[..., Message] = app
    beat: Callable[..., Message] = beat
    commit: Callable[..., Message] = commit
    snap: Callable[..., Message] = snap


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture
def start_cluster() -> partial[Cluster]:
    return partial(Cluster)


@pytest.fixture
async def cluster(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> Cluster:
    return Cluster(nursery)


@pytest.fixture
def new_handler() -> Callable[[set[int]], Handler]:
    return Handler
