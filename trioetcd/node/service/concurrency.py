"""What locks and elections have in common: a line of keys under a prefix, and who is first in it.

The recipe (etcd's `concurrency` package, which its clients follow as well). Everyone who wants their turn creates the
key `<name>/<lease in hexadecimal>`, attached to the lease; the one whose key was created first is first in line. The
others each watch the key that was created last before their own, so that a deletion wakes one and not all. Who leaves,
or loses the lease, is out of line because the key is gone.

A key that is created later never comes before one's own. So whether someone is ahead can be read on this member, stale
as it may be: it errs on the side of waiting, and the watch goes on through changes of the leader. That one's own key is
still there is read linearizably, after that: at the revision of that answer its owner was first, and had the lease.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, NamedTuple

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.kv import KvService
from trioetcd.node.service.lease import LeaseService
from trioetcd.node.service.watch import WatchService, WatchSession
from trioetcd.storage.leases import NO_LEASE
from trioetcd.storage.mvcc.watch_delivery import SharedEvent

SESSION_TTL_SECONDS: Final = 60
"""Of the lease that is granted where the caller brings none (etcd's). Nobody keeps it alive."""

LEAVE_SECONDS: Final = 3.0
"""How long an ended call may take to get its key out of the line. What is not gone by then ends with its lease."""

_AHEAD: Final[dict[str, Any]] = {
    "sort_order": int(m.SortOrder.DESCEND),
    "sort_target": int(m.SortTarget.CREATE),
    "limit": 1,
}
_FIRST: Final[dict[str, Any]] = {
    "sort_order": int(m.SortOrder.ASCEND),
    "sort_target": int(m.SortTarget.CREATE),
    "limit": 1,
}


class HistoryGoneError(Exception):
    """What a watch would have told is compacted: the present has to be looked at again."""


class Place(NamedTuple):
    """A place in a line. `key` is one's own, created at `revision`."""

    prefix: bytes
    key: bytes
    lease: int
    revision: int


class Entered(NamedTuple):
    """How the line was entered, under the header of that; `kv` is one's key if it was there before."""

    place: Place
    header: m.ResponseHeader
    is_first: bool
    kv: m.KeyValue | None


class Changes:
    """The events of one watcher, one by one."""

    def __init__(self, session: WatchSession) -> None:
        self._session = session
        self._events: deque[SharedEvent] = deque()

    async def next(self) -> SharedEvent:
        """Wait for the next event; raises HistoryGoneError, and ApiError when the watch is refused."""
        while not self._events:
            delivery = (await self._session.receive()).delivery
            if delivery.compact_revision:
                raise HistoryGoneError
            if delivery.canceled:
                raise ApiError(Code.UNKNOWN, delivery.cancel_reason)
            self._events.extend(delivery.events)
        return self._events.popleft()


class Lines:
    """Lines of keys over the member's own services: to enter, to wait in, to leave."""

    def __init__(
        self, *, kv: KvService, watch: WatchService, lease: LeaseService, authenticator: Authenticator
    ) -> None:
        self._authenticator = authenticator
        self._kv = kv
        self._watch = watch
        self._lease = lease

    def context_to_wait(self, context: CallContext) -> CallContext:
        """The context of a call that waits: it goes on over changes of the leader, and the end of its token.

        Else its key would stay in the line, with nobody who may take it out. Raises INVALID_AUTH_TOKEN.
        """
        return self._authenticator.settle(context)._replace(require_leader=False)

    async def session(self, lease_id: int, context: CallContext) -> int:
        """The lease of a call: the one it names, or a new one."""
        if lease_id != NO_LEASE:
            return lease_id
        granted = await self._lease.lease_grant(m.LeaseGrantRequest(TTL=SESSION_TTL_SECONDS), context)
        return granted.ID

    async def enter(self, name: bytes, lease: int, value: bytes, context: CallContext) -> Entered:
        """Create the key of a lease in the line of a name, unless it is there: then its place is kept, and its value.

        Cancelled while it waits for the log, it may or may not have entered (as with etcd).
        """
        prefix = name + b"/"
        key = prefix + b"%s" % f"{lease:x}".encode()
        first = m.RequestOp(request_range=first_in(prefix))
        response = await self._kv.txn(
            m.TxnRequest(
                compare=[created_at(key, 0)],
                success=[m.RequestOp(request_put=m.PutRequest(key=key, value=value, lease=lease)), first],
                failure=[m.RequestOp(request_range=m.RangeRequest(key=key)), first],
            ),
            context,
        )
        header = header_of(response)
        kv = None if response.succeeded else _range_of(response, 0).kvs[0]
        place = Place(prefix, key, lease, header.revision if kv is None else kv.create_revision)
        is_first = _range_of(response, 1).kvs[0].create_revision == place.revision
        return Entered(place, header, is_first, kv)

    async def wait_turn(self, place: Place, context: CallContext) -> m.ResponseHeader | None:
        """Wait until nobody is ahead; the header under which one's key was seen then, None if it is gone by then."""
        while (ahead := await self._ahead_of(place, context)) is not None:
            await self._wait_deleted(*ahead, context)
        own = await self._kv.range(m.RangeRequest(key=place.key), context)
        is_there = bool(own.kvs) and own.kvs[0].create_revision == place.revision
        return header_of(own) if is_there else None

    async def leave(self, place: Place, context: CallContext) -> None:
        """Delete the key of a call that has ended without its turn, also when it was cancelled."""
        with trio.move_on_after(LEAVE_SECONDS, shield=True), suppress(ApiError):
            await self.delete(place.key, place.revision, context)

    async def delete(self, key: bytes, revision: int, context: CallContext) -> m.ResponseHeader:
        """Delete a key if it is still the one that was created at `revision`."""
        deletion = m.RequestOp(request_delete_range=m.DeleteRangeRequest(key=key))
        request = m.TxnRequest(compare=[created_at(key, revision)], success=[deletion])
        return header_of(await self._kv.txn(request, context))

    @asynccontextmanager
    async def changes(self, request: m.WatchCreateRequest, context: CallContext) -> AsyncIterator[Changes]:
        """Watch for the length of the block."""
        async with self._watch.open(context) as session:
            session.handle(m.WatchRequest(create_request=request))
            yield Changes(session)

    async def _ahead_of(self, place: Place, context: CallContext) -> tuple[bytes, int] | None:
        """The key that was created last before one's own, and the revision of that answer."""
        request = m.RangeRequest(
            key=place.prefix,
            range_end=end_of_line(place.prefix),
            max_create_revision=place.revision - 1,
            keys_only=True,
            serializable=True,
            **_AHEAD,
        )
        response = await self._kv.range(request, context)
        return (response.kvs[0].key, header_of(response).revision) if response.kvs else None

    async def _wait_deleted(self, key: bytes, seen_at: int, context: CallContext) -> None:
        request = m.WatchCreateRequest(key=key, start_revision=seen_at + 1, filters=[m.FilterType.NOPUT])
        async with self.changes(request, context) as changes:
            with suppress(HistoryGoneError):
                await changes.next()


@contextmanager
def told_as_unknown() -> Iterator[None]:
    """These services are clients of the others; what those refuse comes out of them without its code, as in etcd."""
    try:
        yield
    except ApiError as error:
        raise ApiError(Code.UNKNOWN, error.message) from error


def first_in(prefix: bytes, *, revision: int = 0, serializable: bool = False) -> m.RangeRequest:
    """The range that finds who is first in line."""
    end = end_of_line(prefix)
    return m.RangeRequest(key=prefix, range_end=end, revision=revision, serializable=serializable, **_FIRST)


def end_of_line(prefix: bytes) -> bytes:
    """The end of the range of a line's keys. Its prefix ends with a slash."""
    return prefix[:-1] + b"0"


def created_at(key: bytes, revision: int) -> m.Compare:
    """The guard that a key was created at a revision; 0: that it is not there."""
    target, equal = int(m.CompareTarget.CREATE), int(m.CompareResult.EQUAL)
    return m.Compare(key=key, target=target, result=equal, create_revision=revision)


def header_of(response: m.TxnResponse | m.RangeResponse) -> m.ResponseHeader:
    """The header of an answer of the KV service."""
    assert response.header is not None, "every answer of the KV service has a header"
    return response.header


def _range_of(response: m.TxnResponse, place: int) -> m.RangeResponse:
    answer = response.responses[place].response_range
    assert answer is not None, "the transaction has a range there in both branches"
    return answer
