"""The client: one method a call, typed requests and responses; no task but in the blocks of leases."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from random import Random
from typing import Any, TypeVar

from trioetcd.api import messages as m
from trioetcd.client.channel import UNARY, Channel, Credentials
from trioetcd.client.election import Election
from trioetcd.client.endpoints import OpenStream, network, parse_endpoints
from trioetcd.client.keys import Text, key_range, to_bytes
from trioetcd.client.lease import Lease, keep_alive, open_lease
from trioetcd.client.line import Line
from trioetcd.client.lock import Lock, open_lock
from trioetcd.client.txn import is_read_only
from trioetcd.client.watch import Watch, open_watch

T = TypeVar("T")


@asynccontextmanager
async def connect(
    endpoints: Sequence[str],
    *,
    credentials: tuple[str, str] | None = None,
    ssl_context: ssl.SSLContext | None = None,
    connections_max: int = 100,
    dial_seconds: float = 2.0,
    open_stream: OpenStream | None = None,
    random: Random | None = None,
) -> AsyncIterator[Client]:
    """A client of the cluster whose members' client URLs are `endpoints`, for the length of the block.

    Connections are opened when they are needed; tasks run in the blocks of leases alone, and nothing is left after the
    block. `credentials` are user and password. An endpoint that does not answer for `dial_seconds` while it is
    connected to counts as away. `open_stream` opens connections by other means than the network.

        async with connect(["http://127.0.0.1:2379"]) as client:
            await client.put("greeting", "hello")
            response = await client.get("greeting")
            assert response.kvs[0].value == b"hello"

    Deadlines are cancel scopes: `with trio.fail_after(2): await client.get("greeting")`.
    """
    channel = Channel(
        endpoints=parse_endpoints(endpoints),
        open_stream=open_stream or network(ssl_context=ssl_context),
        credentials=None if credentials is None else Credentials(*credentials),
        connections_max=connections_max,
        dial_seconds=dial_seconds,
    )
    try:
        yield Client(channel=channel, random=random or Random())  # noqa: S311 # it spreads waits, it guards nothing
    finally:
        await channel.aclose()


class Client:
    """Calls to a cluster; made by `connect`. Any number of tasks may use it at once.

    Keys and values are bytes, or text that stands for its UTF-8. A call that fails raises an `EtcdError`; reads are
    tried on every endpoint first. A write is never repeated once it was sent: when it raises `Unavailable` or
    `DeadlineExceeded`, or is cancelled, it may or may not have happened. A cancelled call closes its connection.
    """

    def __init__(self, *, channel: Channel, random: Random) -> None:
        self._channel = channel
        self._random = random

    async def get(
        self,
        key: Text,
        *,
        prefix: bool = False,
        range_end: Text | None = None,
        limit: int = 0,
        revision: int = 0,
        sort_order: m.SortOrder = m.SortOrder.NONE,
        sort_target: m.SortTarget = m.SortTarget.KEY,
        serializable: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
    ) -> m.RangeResponse:
        """The key, or the keys of a range: up to `range_end` (exclusive), or all that begin with `key` (`prefix`).

        `serializable` reads what the member that answers has, which may be stale, and asks no other.
        Raises Compacted and FutureRevision for a `revision` that is not there.
        """
        start, end = key_range(key, prefix=prefix, range_end=range_end)
        return await self._call(
            m.RangeRequest(
                key=start,
                range_end=end,
                limit=limit,
                revision=revision,
                sort_order=sort_order,
                sort_target=sort_target,
                serializable=serializable,
                keys_only=keys_only,
                count_only=count_only,
            ),
            m.RangeResponse,
        )

    async def put(
        self,
        key: Text,
        value: Text = b"",
        *,
        lease: int = 0,
        prev_kv: bool = False,
        ignore_value: bool = False,
        ignore_lease: bool = False,
    ) -> m.PutResponse:
        """Write a key. `ignore_value` and `ignore_lease` keep what the key has (KeyNotFound when there is none)."""
        return await self._call(
            m.PutRequest(
                key=to_bytes(key),
                value=to_bytes(value),
                lease=lease,
                prev_kv=prev_kv,
                ignore_value=ignore_value,
                ignore_lease=ignore_lease,
            ),
            m.PutResponse,
        )

    async def delete(
        self, key: Text, *, prefix: bool = False, range_end: Text | None = None, prev_kv: bool = False
    ) -> m.DeleteRangeResponse:
        """Delete the key, or the keys of a range as in `get`; `deleted` says how many there were."""
        start, end = key_range(key, prefix=prefix, range_end=range_end)
        request = m.DeleteRangeRequest(key=start, range_end=end, prev_kv=prev_kv)
        return await self._call(request, m.DeleteRangeResponse)

    async def txn(
        self,
        *,
        compare: Sequence[m.Compare] = (),
        success: Sequence[m.RequestOp] = (),
        failure: Sequence[m.RequestOp] = (),
    ) -> m.TxnResponse:
        """Do `success` if all of `compare` hold, else `failure`, at one revision. The parts are made as in `txn`."""
        request = m.TxnRequest(compare=list(compare), success=list(success), failure=list(failure))
        return await self._call(request, m.TxnResponse, repeatable=is_read_only(request))

    async def compact(self, revision: int, *, physical: bool = False) -> m.CompactionResponse:
        """Drop the history before `revision`; `physical` waits until it is gone from the member's disk."""
        return await self._call(m.CompactionRequest(revision=revision, physical=physical), m.CompactionResponse)

    def lease(self, ttl: int, *, lease_id: int = 0) -> AbstractAsyncContextManager[Lease]:
        """A lease of `ttl` seconds that is kept alive during the block, and revoked at its end.

            async with client.lease(10) as lease:
                await client.put("host/7", "here", lease=lease.id)

        A server may raise a short `ttl`; what it granted is `lease.ttl_seconds`. When the lease ends all the same, or
        no server can be reached for that long, `lease.lost` is set, the block is cancelled, and LeaseLost is raised at
        its end. An error of the block comes out as it is.
        """
        grant = m.LeaseGrantRequest(TTL=ttl, ID=lease_id)
        return open_lease(channel=self._channel, grant=grant, random=self._random)

    def lock(self, name: Text, *, ttl: int = 10) -> AbstractAsyncContextManager[Lock]:
        """Wait for the lock of a name, in the order of coming, and hold it during the block.

            async with client.lock("jobs") as lock:
                await client.txn(compare=[lock.guard], success=[put_op("jobs/next", "8")])

        It hangs on a lease of `ttl` seconds that is kept alive. When that is lost the block is cancelled, as with
        `lease`; but what the block has sent may still arrive after another one has got the lock. Writes that must not
        are transactions with `lock.guard`, or tell `lock.revision` to whom they reach.
        """
        return open_lock(line=self._line(name), lease=self.lease(ttl))

    def election(self, name: Text) -> Election:
        """The election of a name: to campaign in, to observe, to ask who leads."""

        def watch(prefix: bytes, *, start_revision: int) -> AbstractAsyncContextManager[Watch]:
            return self.watch(prefix, prefix=True, start_revision=start_revision)

        return Election(line=self._line(name), open_lease=self.lease, open_watch=watch)

    async def lease_grant(self, ttl: int, *, lease_id: int = 0) -> m.LeaseGrantResponse:
        """Grant a lease that nobody keeps alive; with ID 0 the server chooses one."""
        return await self._call(m.LeaseGrantRequest(TTL=ttl, ID=lease_id), m.LeaseGrantResponse)

    async def lease_revoke(self, lease_id: int) -> m.LeaseRevokeResponse:
        """End a lease and delete its keys. Raises LeaseNotFound."""
        return await self._call(m.LeaseRevokeRequest(ID=lease_id), m.LeaseRevokeResponse)

    async def lease_keep_alive(self, lease_id: int) -> m.LeaseKeepAliveResponse:
        """Let a lease begin its time anew, once; `TTL` is 0 when there is no such lease."""
        return await keep_alive(self._channel, lease_id)

    async def lease_time_to_live(self, lease_id: int, *, keys: bool = False) -> m.LeaseTimeToLiveResponse:
        """What is left of a lease, and with `keys` what hangs on it; `TTL` is -1 when there is no such lease."""
        return await self._call(m.LeaseTimeToLiveRequest(ID=lease_id, keys=keys), m.LeaseTimeToLiveResponse)

    async def leases(self) -> m.LeaseLeasesResponse:
        """All leases."""
        return await self._call(m.LeaseLeasesRequest(), m.LeaseLeasesResponse)

    async def member_list(self, *, linearizable: bool = True) -> m.MemberListResponse:
        """The members of the cluster; not `linearizable`: those that the member that answers knows of."""
        return await self._call(m.MemberListRequest(linearizable=linearizable), m.MemberListResponse)

    async def status(self) -> m.StatusResponse:
        """What the member that answers says of itself and of its leader."""
        return await self._call(m.StatusRequest(), m.StatusResponse)

    async def call(self, request: object) -> Any:
        """Any unary call by its request message, for instance `m.LeaseGrantRequest(TTL=10)`; its response message.

        Raises TypeError for what is not the request of a unary call.
        """
        if type(request) not in UNARY:
            raise TypeError(f"{type(request).__name__} is not the request of a unary call")
        return await self._call(request, UNARY[type(request)].response)

    def watch(
        self,
        key: Text,
        *,
        prefix: bool = False,
        range_end: Text | None = None,
        start_revision: int = 0,
        prev_kv: bool = False,
        progress_notify: bool = False,
        filters: Sequence[m.FilterType] = (),
    ) -> AbstractAsyncContextManager[Watch]:
        """Watch the key, or the keys of a range as in `get`, from `start_revision` or from now on.

            async with client.watch("config/", prefix=True) as watch:
                async for event in watch:
                    ...

        The block begins when the server has created the watch. It goes on over broken connections and members that
        are away, without a gap and without a repetition; it raises Compacted when that is not possible.
        """
        start, end = key_range(key, prefix=prefix, range_end=range_end)
        request = m.WatchCreateRequest(
            key=start,
            range_end=end,
            start_revision=start_revision,
            prev_kv=prev_kv,
            progress_notify=progress_notify,
            filters=list(filters),
        )
        return open_watch(channel=self._channel, request=request, random=self._random)

    def _line(self, name: Text) -> Line:
        return Line(channel=self._channel, random=self._random, name=name)

    async def _call(self, request: object, response_type: type[T], *, repeatable: bool | None = None) -> T:
        row = UNARY[type(request)]
        may_repeat = row.repeatable if repeatable is None else repeatable
        return await self._channel.call(request, response_type, row.path, repeatable=may_repeat)
