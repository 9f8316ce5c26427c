"""Calls that are begun in the turn in which they came: nothing but their cost tells them from others."""

from __future__ import annotations

import select
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest
import trio
from frontend_fakes import HEADER, FakeKv, FakeMember
from trio.testing import MockClock, wait_all_tasks_blocked

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.api.services import RPCS
from trioetcd.frontend import ClientListener, build_routes
from trioetcd.frontend.heads import Cors
from trioetcd.frontend.hosts import Table, guard_hosts
from trioetcd.frontend.limited import Handler
from trioetcd.http11 import DateField, Request
from trioetcd.log import null_logger
from trioetcd.metrics import RpcCalls
from trioetcd.node.parking import Parked, Waiter
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.two_steps import TakesLonger, whole

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll")

PUT, RANGE = (next(rpc for rpc in RPCS if rpc.name == name) for name in ("Put", "Range"))
KEY = b'{"key":"YQ=="}'
NO_KEY = b'{"lease":"1" }'
NOT_JSON = b'{"key":"YQ==",'


class SteppedKv(FakeKv):
    """Puts wait until a test wakes or fails them; ranges wait for nothing, and end as `outcome` says."""

    def __init__(self) -> None:
        super().__init__()
        self.waiters: list[Waiter] = []
        self.begun = 0  # calls that have no task
        self.takes_longer = False
        self.defect: Exception | None = None
        self.outcome: ApiError | None = None
        self.value = b"v"

    async def put(self, request: m.PutRequest, context: CallContext) -> m.PutResponse:
        return await whole(
            lambda waiter: self.begin_put(request, context, waiter),
            lambda result: self.finish_put(request, context, result),
        )

    def begin_put(self, request: m.PutRequest, context: CallContext, waiter: Waiter) -> bool:
        self._look(waiter)
        if not request.key:
            raise ApiError.of(ErrorKind.EMPTY_KEY)
        self._count(waiter)
        self.waiters.append(waiter)
        return True

    def finish_put(self, request: m.PutRequest, context: CallContext, response: m.PutResponse) -> m.PutResponse:
        if self.outcome is not None:
            raise self.outcome
        return response

    async def range(self, request: m.RangeRequest, context: CallContext) -> m.RangeResponse:
        return await whole(
            lambda waiter: self.begin_range(request, context, waiter),
            lambda _: self.finish_range(request, context, None),
        )

    def begin_range(self, request: m.RangeRequest, context: CallContext, waiter: Waiter) -> bool:
        self._look(waiter)
        self._count(waiter)
        return False

    def finish_range(self, request: m.RangeRequest, context: CallContext, _: None) -> m.RangeResponse:
        if self.outcome is not None:
            raise self.outcome
        return m.RangeResponse(header=HEADER, kvs=[m.KeyValue(key=request.key, value=self.value)], count=1)

    def _look(self, waiter: Waiter) -> None:
        if self.defect is not None:
            raise self.defect
        if self.takes_longer and not isinstance(waiter, Parked):
            raise TakesLonger("as the test says")

    def _count(self, waiter: Waiter) -> None:
        self.begun += not isinstance(waiter, Parked)

    def wake(self) -> None:
        """Let the oldest put have been applied."""
        self.waiters.pop(0).wake(m.PutResponse(header=HEADER))

    def fail(self, error: Exception) -> None:
        self.waiters.pop(0).fail(error)


class PairListener(trio.abc.Listener[trio.abc.Stream]):
    """Hands out sockets that wait together, as those of TCP do."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[socket.socket](100)

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._send.send_nowait(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        return trio.SocketStream(trio.socket.from_stdlib_socket(await self._receive.receive()))

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Counts(NamedTuple):
    """What metrics say of an RPC."""

    started: int
    handled: dict[Code, int]
    received_bytes: int
    sent_bytes: int


def counts(calls: RpcCalls) -> Counts:
    handled = {Code(code): count for code, count in enumerate(calls.handled_counts) if count}
    return Counts(calls.started_count, handled, calls.received_bytes, calls.sent_bytes)


class Client:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    async def received(self) -> bytes:
        """What has come once everybody waits."""
        await wait_all_tasks_blocked()
        data = b""
        with suppress(BlockingIOError, ConnectionResetError):
            while more := self.socket.recv(1 << 20):
                data += more
        return data

    async def exchange(self, data: bytes) -> bytes:
        self.socket.sendall(data)
        return await self.received()

    def is_ended(self) -> bool:
        """Whether the server closed it, with nothing left to read."""
        with suppress(BlockingIOError):
            return self.socket.recv(1) == b""
        return False


class Server:
    """A listener over a member whose puts and ranges have two steps."""

    def __init__(self, table: Callable[[Table], Table] = lambda table: table, **options: object) -> None:
        self.kv = SteppedKv()
        self.member = FakeMember()
        self.member.services.kv = self.kv
        routes = build_routes(member=self.member, max_request_bytes=1_572_864, **options)  # type: ignore[arg-type] # a fake
        self._pairs = PairListener()
        self._clients: list[Client] = []
        self.listener = ClientListener(
            listeners=[self._pairs], routes=table(routes), log=null_logger(), date=DateField(lambda: 784111777.0)
        )

    async def client(self) -> Client:
        """A connection whose first request, which is always for the parser, was answered."""
        client = Client(self._pairs.connect())
        self._clients.append(client)
        assert (await client.exchange(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        return client

    def counts(self) -> dict[str, Counts]:
        return {rpc.name: counts(self.member.rpc_calls(rpc)) for rpc in (PUT, RANGE)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Server]:
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.listener.run)
                yield self
                nursery.cancel_scope.cancel()
        finally:
            for client in self._clients:
                client.socket.close()


@asynccontextmanager
async def running(table: Callable[[Table], Table] = lambda table: table, **options: object) -> AsyncIterator[Server]:
    async with Server(table, **options).running() as server:
        yield server


def post(path: bytes, body: bytes, *fields: bytes, method: bytes = b"POST") -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"%b %b HTTP/1.1\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n%b" % (method, path, lines, len(body), body)


def put(body: bytes = KEY, *fields: bytes) -> bytes:
    return post(b"/v3/kv/put", body, *fields)


def get(body: bytes = KEY, *fields: bytes) -> bytes:
    return post(b"/v3/kv/range", body, *fields)


def differences(before: dict[str, Counts], after: dict[str, Counts]) -> dict[str, Counts]:
    """What was counted meanwhile."""
    found = {}
    for name, later in after.items():
        earlier = before[name]
        handled = {code: count - earlier.handled.get(code, 0) for code, count in later.handled.items()}
        found[name] = Counts(
            later.started - earlier.started,
            {code: count for code, count in handled.items() if count},
            later.received_bytes - earlier.received_bytes,
            later.sent_bytes - earlier.sent_bytes,
        )
    return found


async def answered(
    server: Server, client: Client, request: bytes, end: Callable[[], None] | None
) -> tuple[object, ...]:
    """The answer, what was counted for it, and in how many calls without a task."""
    before, begun = server.counts(), server.kv.begun
    answer = await client.exchange(request)
    if end is not None:
        assert answer == b""
        end()
        answer = await client.received()
    return answer, differences(before, server.counts()), server.kv.begun - begun


COMPACTED = ApiError.of(ErrorKind.COMPACTED)
NO_LEADER = ApiError.of(ErrorKind.NO_LEADER)


@pytest.mark.parametrize(
    ("request_bytes", "ending", "begun"),
    [
        (put(), "wake", True),
        (put(), "fail", True),
        (put(), "refused at the end", True),
        (get(), "", True),
        (get(), "refused at the end", True),
        (get(KEY, b"Origin: http://b"), "", True),
        (put(NO_KEY), "", False),
        (put(NOT_JSON), "", False),
        (put(KEY, b"Connection: close"), "wake", False),
    ],
)
async def test_the_answer_and_the_metrics_are_those_of_the_long_way(
    request_bytes: bytes, ending: str, *, begun: bool
) -> None:
    async with running(cors=Cors(("http://b",))) as server:
        kv = server.kv
        if ending == "refused at the end":
            kv.outcome = COMPACTED
        waits = request_bytes.startswith(b"POST /v3/kv/put") and ending != ""
        end = (kv.wake if ending != "fail" else lambda: kv.fail(NO_LEADER)) if waits else None
        first = await answered(server, await server.client(), request_bytes, end)
        kept = await server.client()
        assert await answered(server, kept, request_bytes, end) == (first[0], first[1], int(begun))
        assert first[2] == 0
        assert first[0] != b""


async def test_a_defect_of_a_begun_call_is_for_who_has_the_result() -> None:
    async with running() as server:
        client = await server.client()
        await answered(server, client, put(), server.kv.wake)
        await client.exchange(put())
        with pytest.raises(ValueError, match="a defect"):
            server.kv.fail(ValueError("a defect"))


async def test_a_defect_at_the_beginning_takes_the_listener_down() -> None:
    async def meet_it() -> None:
        async with running() as server:
            client = await server.client()
            await client.exchange(get())
            server.kv.defect = ValueError("a defect")
            await client.exchange(get())
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await meet_it()
    assert caught.group_contains(ValueError, match="a defect")


@pytest.mark.parametrize(
    "field",
    [
        b"Grpc-Timeout: 5S",
        b"Authorization: abc",
        b"Grpc-Metadata-Token: abc",
        b"Grpc-Metadata-Authorization: abc",
        b"Grpc-Metadata-Hasleader: true",
        b"Grpc-Metadata-X-Bin: YQ==",
    ],
)
async def test_what_says_more_than_its_body_takes_the_long_way(field: bytes) -> None:
    async with running() as server:
        client = await server.client()
        for _ in range(3):
            assert (await client.exchange(get(KEY, field))).startswith(b"HTTP/1.1 200 OK\r\n")
        assert server.kv.begun == 0
        for _ in range(3):
            await client.exchange(get(KEY, b"X-Other: abc"))
        assert server.kv.begun == 2


async def test_what_would_take_longer_takes_the_long_way() -> None:
    async with running() as server:
        client = await server.client()
        await client.exchange(get())
        server.kv.takes_longer = True
        before = server.counts()
        assert (await client.exchange(get())).startswith(b"HTTP/1.1 200 OK\r\n")
        assert server.kv.begun == 0
        counted = differences(before, server.counts())["Range"]
        assert (counted.started, counted.handled, counted.received_bytes) == (1, {Code.OK: 1}, len(KEY))


async def test_other_methods_are_refused_as_ever() -> None:
    async with running() as server:
        client = await server.client()
        answers = [await client.exchange(post(b"/v3/kv/range", KEY, method=b"PUT")) for _ in range(3)]
        assert answers[0].startswith(b"HTTP/1.1 405 ")
        assert len(set(answers)) == 1
        assert server.kv.begun == 0


@pytest.mark.parametrize(("host", "begun"), [("a", 1), ("b", 0)])
async def test_the_whitelist_of_hosts_counts(host: str, begun: int) -> None:
    def only(table: Table) -> Table:
        return AllVersions(guard_hosts(table, [host]), table)

    async with running(only) as server:
        client = await server.client()
        answers = {await client.exchange(get()) for _ in range(2)}
        (answer,) = answers
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n" if begun else b"HTTP/1.1 421 ")
        assert server.kv.begun == begun


class AllVersions:
    """A guarded table that tells its version to everybody, as the first request of a test wants it."""

    def __init__(self, guarded: Table, table: Table) -> None:
        self._table = table
        self.find_beginner = guarded.find_beginner
        self._guarded = guarded

    def find(self, request: Request) -> Handler:
        return (self._table if request.target == "/version" else self._guarded).find(request)


async def test_at_most_so_many_calls_at_once_are_none_that_are_begun() -> None:
    """They wait for their turn, in which a task must stand."""
    async with running(concurrent_streams=1) as server:
        client = await server.client()
        for _ in range(3):
            assert (await client.exchange(get())).startswith(b"HTTP/1.1 200 OK\r\n")
        assert server.kv.begun == 0


# -- ends


async def test_a_client_that_leaves_is_counted_once(autojump_clock: MockClock) -> None:
    async with running() as server:
        client = await server.client()
        await answered(server, client, put(), server.kv.wake)
        before = server.counts()
        await client.exchange(put())
        waiter = server.kv.waiters[0]
        assert waiter.is_waiting
        client.socket.close()
        await trio.sleep(1)
        assert not waiter.is_waiting
        assert server.listener.status().connections == 0
        server.kv.wake()
        waiter.fail(NO_LEADER)
        assert differences(before, server.counts())["Put"] == Counts(1, {Code.CANCELED: 1}, len(KEY), 0)


async def test_a_stop_lets_a_begun_call_end(autojump_clock: MockClock) -> None:
    async with running() as server:
        idle, busy = await server.client(), await server.client()
        for client in (idle, busy):
            await answered(server, client, put(), server.kv.wake)
        await busy.exchange(put())
        server.listener.stop(grace_seconds=5)
        await trio.sleep(1)
        assert idle.is_ended()
        assert not busy.is_ended()
        server.kv.wake()
        answer = await busy.received()
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in answer
        assert server.listener.status().connections == 0


async def test_a_stop_abandons_a_begun_call_that_outlasts_its_grace(autojump_clock: MockClock) -> None:
    async with running() as server:
        client = await server.client()
        await answered(server, client, put(), server.kv.wake)
        before = server.counts()
        await client.exchange(put())
        server.listener.stop(grace_seconds=5)
        await trio.sleep(4)
        assert server.listener.status().busy == 1
        await trio.sleep(2)
        assert client.is_ended()
        server.kv.wake()
        assert differences(before, server.counts())["Put"] == Counts(1, {Code.CANCELED: 1}, len(KEY), 0)


async def test_a_stop_does_not_wait_for_a_client_that_does_not_read(autojump_clock: MockClock) -> None:
    async with running() as server:
        client = await server.client()
        server.kv.value = b"v" * 3_000_000
        await read_slowly(client, get(), 1)
        client.socket.sendall(get())
        client.socket.shutdown(socket.SHUT_WR)
        await trio.sleep(60)
        assert server.kv.begun == 1
        assert server.listener.status().connections == 1
        server.listener.stop(grace_seconds=5)
        await trio.sleep(2)
        assert server.listener.status().connections == 0


async def test_a_client_that_ended_its_side_gets_the_whole_of_a_large_answer(autojump_clock: MockClock) -> None:
    """However slowly it reads."""
    async with running() as server:
        client = await server.client()
        server.kv.value = b"v" * 3_000_000
        expected = await read_slowly(client, get(), 1)
        assert len(expected) > 4_000_000
        client.socket.sendall(get())
        client.socket.shutdown(socket.SHUT_WR)
        received = b""
        while more := client.socket.recv(1 << 20) if received else await first_piece(client):
            received += more
            await trio.sleep(2)
        assert received == expected
        assert server.kv.begun == 1


async def first_piece(client: Client) -> bytes:
    await trio.sleep(60)
    return client.socket.recv(1 << 20)


async def read_slowly(client: Client, request: bytes, seconds: float) -> bytes:
    client.socket.sendall(request)
    received = b""
    while more := await client.received():
        received += more
        await trio.sleep(seconds)
    return received
