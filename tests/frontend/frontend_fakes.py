"""A member that is not one: services that answer what a test tells them to."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.api.services import Rpc
from trioetcd.frontend.member import VersionInfo
from trioetcd.metrics import RpcCalls, RpcCounters
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.two_steps import TwoSteps
from trioetcd.node.service.watch import WatchMessage
from trioetcd.node.services import find_method, find_two_steps
from trioetcd.storage.mvcc.watch_delivery import SharedEvent, WatchDelivery

HEADER = m.ResponseHeader(cluster_id=1, member_id=2, revision=3, raft_term=4)
HEADER_JSON = b'{"cluster_id":"1","member_id":"2","revision":"3","raft_term":"4"}'


class FakeKv:
    """Put answers at once; range does what `ranging` says."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, CallContext]] = []
        self.ranging: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

    async def put(self, request: m.PutRequest, context: CallContext) -> m.PutResponse:
        self.calls.append((request, context))
        if not request.key:
            raise ApiError.of(ErrorKind.EMPTY_KEY)
        return m.PutResponse(header=HEADER)

    async def range(self, request: m.RangeRequest, context: CallContext) -> m.RangeResponse:
        self.calls.append((request, context))
        await self.ranging()
        return m.RangeResponse(header=HEADER, kvs=[m.KeyValue(key=request.key, value=b"v" * 5000)], count=1)


class FakeSession:
    """A watch stream that tells what a test puts into it."""

    takes_more = True

    def __init__(self) -> None:
        self.requests: list[m.WatchRequest] = []
        self.deliveries: deque[WatchDelivery | ApiError] = deque()
        self.wake = trio.Event()
        self.closed = False

    def handle(self, request: m.WatchRequest) -> None:
        self.requests.append(request)
        if request.create_request is not None:
            self.tell(WatchDelivery(0, 3, created=True))

    def tell(self, delivery: WatchDelivery | ApiError) -> None:
        self.deliveries.append(delivery)
        self.wake.set()

    async def receive(self) -> WatchMessage:
        while not self.deliveries:
            self.wake = trio.Event()
            await self.wake.wait()
        delivery = self.deliveries.popleft()
        if isinstance(delivery, ApiError):
            raise delivery
        return WatchMessage(HEADER, delivery)


class FakeWatch:
    """Opens sessions, and keeps them to be looked at."""

    def __init__(self) -> None:
        self.sessions: list[FakeSession] = []
        self.contexts: list[CallContext] = []
        self.refusal: ApiError | None = None

    @asynccontextmanager
    async def open(self, context: CallContext) -> AsyncIterator[FakeSession]:
        if self.refusal is not None:
            raise self.refusal
        session = FakeSession()
        self.sessions.append(session)
        self.contexts.append(context)
        try:
            yield session
        finally:
            session.closed = True


class FakeLease:
    """Keeps alive whatever it is asked to, once `keeping` returns."""

    def __init__(self) -> None:
        self.keeping: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

    @contextmanager
    def following(self, context: CallContext, end: Callable[[], None]) -> Iterator[None]:
        yield

    async def lease_keep_alive(
        self, request: m.LeaseKeepAliveRequest, context: CallContext
    ) -> m.LeaseKeepAliveResponse:
        await self.keeping()
        if request.ID < 0:
            raise ApiError.of(ErrorKind.NO_LEADER)
        return m.LeaseKeepAliveResponse(header=HEADER, ID=request.ID, TTL=5)


class FakeMaintenance:
    """A snapshot of two pieces."""

    async def snapshot(self, request: m.SnapshotRequest, context: CallContext) -> AsyncIterator[m.SnapshotResponse]:
        for left, blob in ((3, b"abc"), (0, b"def")):
            await trio.lowlevel.checkpoint()
            yield m.SnapshotResponse(remaining_bytes=left, blob=blob)


@dataclass
class FakeServices:
    kv: FakeKv = field(default_factory=FakeKv)
    watch: FakeWatch = field(default_factory=FakeWatch)
    lease: FakeLease = field(default_factory=FakeLease)
    maintenance: FakeMaintenance = field(default_factory=FakeMaintenance)
    cluster: object | None = None
    auth: object | None = None
    lock: object | None = None
    election: object | None = None

    def method(self, rpc: Rpc) -> Callable[..., Any] | None:
        return find_method(self, rpc)

    def two_steps(self, rpc: Rpc) -> TwoSteps | None:
        return find_two_steps(self, rpc)


@dataclass
class FakeMember:
    services: FakeServices = field(default_factory=FakeServices)
    alarms: tuple[str, ...] = ()
    leader: bool = True
    learner: bool = False
    read_error: ApiError | None = None
    rpcs: RpcCounters = field(default_factory=RpcCounters)
    told_healthy: list[bool] = field(default_factory=list)

    def version(self) -> VersionInfo:
        return VersionInfo("3.5.33", "3.5.0")

    def active_alarms(self) -> tuple[str, ...]:
        return self.alarms

    def has_leader(self) -> bool:
        return self.leader

    def is_learner(self) -> bool:
        return self.learner

    async def probe_read(self, *, serializable: bool) -> None:
        if self.read_error is not None and not serializable:
            raise self.read_error

    def count_health(self, *, ok: bool) -> None:
        self.told_healthy.append(ok)

    def rpc_calls(self, rpc: Rpc) -> RpcCalls:
        return self.rpcs.of(rpc)

    def metrics_text(self) -> bytes:
        return b"etcd_server_has_leader 1\n"

    def debug_vars(self) -> Mapping[str, object]:
        return {"cmdline": ["trioetcd", "serve"], "file_descriptor_limit": 1024}

    def debug_tasks(self, *, as_json: bool) -> bytes:
        return b'{"tasks":[]}' if as_json else b"no tasks\n"


def put_event(key: bytes, value: bytes, prev: Any = None) -> SharedEvent:
    kv = m.KeyValue(key=key, value=value, create_revision=3, mod_revision=3, version=1)
    return SharedEvent(kv, prev)
