"""Lines of keys: what locks and elections are made of, in etcd's own form, so that other clients stand in them too.

Who wants their turn creates the key `<name>/<lease in hexadecimal>` on their lease. Whose key was created first has the
turn; everyone else watches the key that was created last before their own. To enter is repeated until a server answers:
the key is the lease's own, so a second attempt finds what the first one did.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Final, NamedTuple, TypeVar

import trio

from trioetcd.api import messages as m
from trioetcd.client.backoff import Backoff
from trioetcd.client.channel import Channel
from trioetcd.client.errors import Compacted, DeadlineExceeded, LeaseLost, Unavailable
from trioetcd.client.keys import Text, prefix_end, to_bytes
from trioetcd.client.lease import Lease
from trioetcd.client.txn import create_revision_of, get_op, put_op
from trioetcd.client.watch import open_watch

T = TypeVar("T")

_TXN_PATH: Final = "/v3/kv/txn"
_RANGE_PATH: Final = "/v3/kv/range"


class Place(NamedTuple):
    """A place in a line: a key, and the revision that created it. While both are there, it is one's own."""

    key: bytes
    revision: int
    lease: int

    @property
    def guard(self) -> m.Compare:
        """That the place is still there: for transactions that are to fail once it is lost."""
        return create_revision_of(self.key) == self.revision


class Turn:
    """A turn that has come, and lasts while its key is there; `lease` is what that hangs on."""

    def __init__(self, *, place: Place, lease: Lease) -> None:
        self._place = place
        self.lease = lease

    @property
    def key(self) -> bytes:
        """The key that stands for the turn."""
        return self._place.key

    @property
    def revision(self) -> int:
        """The revision that created the key; it grows from turn to turn."""
        return self._place.revision

    @property
    def guard(self) -> m.Compare:
        """That it is still one's turn: a compare for transactions that are to fail otherwise."""
        return self._place.guard


class Line:
    """One line, as a client sees it."""

    def __init__(self, *, channel: Channel, random: Random, name: Text) -> None:
        self.prefix = to_bytes(name) + b"/"
        self._channel = channel
        self._random = random

    async def take_turn(self, lease: int, value: Text) -> Place:
        """Enter with a value and wait for one's turn; it is given back by the end of the lease, cancelled or not.

        Raises LeaseLost when the key is gone by then.
        """
        place = await self._enter(self.prefix + f"{lease:x}".encode(), lease, value)
        while (ahead := await self._ahead_of(place)) is not None:
            with suppress(Compacted):  # then the line is looked at again
                await self._wait_deleted(*ahead)
        own = await self._repeat(lambda: self._range(m.RangeRequest(key=place.key)))
        if not own.kvs or own.kvs[0].create_revision != place.revision:
            raise LeaseLost(f"the key {place.key!r} was gone when its turn came")
        return place

    async def write(self, place: Place, value: Text) -> None:
        """Give one's key another value; raises LeaseLost when it is gone."""
        put = put_op(place.key, value, lease=place.lease)
        if not (await self._txn(m.TxnRequest(compare=[place.guard], success=[put]))).succeeded:
            raise LeaseLost(f"the key {place.key!r} is gone")

    async def candidates(self) -> m.RangeResponse:
        """All keys of the line."""
        return await self._range(m.RangeRequest(key=self.prefix, range_end=prefix_end(self.prefix)))

    async def first(self) -> m.KeyValue | None:
        """The key whose turn it is."""
        found = await self._range(
            m.RangeRequest(
                key=self.prefix,
                range_end=prefix_end(self.prefix),
                sort_order=m.SortOrder.ASCEND,
                sort_target=m.SortTarget.CREATE,
                limit=1,
            )
        )
        return found.kvs[0] if found.kvs else None

    async def _enter(self, key: bytes, lease: int, value: Text) -> Place:
        request = m.TxnRequest(
            compare=[create_revision_of(key) == 0],
            success=[put_op(key, value, lease=lease), get_op(key)],
            failure=[get_op(key)],  # no put: an attempt that arrives late must not take a proclaimed value back
        )
        response = await self._repeat(lambda: self._txn(request))
        found = response.responses[-1].response_range
        assert found is not None, "the last part of both branches is a range"
        return Place(key, found.kvs[0].create_revision, lease)

    async def _ahead_of(self, place: Place) -> tuple[bytes, int] | None:
        """The key that was created last before one's own, and the revision at which it was seen."""
        request = m.RangeRequest(
            key=self.prefix,
            range_end=prefix_end(self.prefix),
            max_create_revision=place.revision - 1,
            sort_order=m.SortOrder.DESCEND,
            sort_target=m.SortTarget.CREATE,
            limit=1,
            keys_only=True,
        )
        found = await self._repeat(lambda: self._range(request))
        return (found.kvs[0].key, found.header.revision if found.header else 0) if found.kvs else None

    async def _wait_deleted(self, key: bytes, seen_at: int) -> None:
        request = m.WatchCreateRequest(key=key, start_revision=seen_at + 1, filters=[m.FilterType.NOPUT])

        async def watch_once() -> None:
            async with open_watch(channel=self._channel, request=request, random=self._random) as watch:
                await anext(watch)

        await self._repeat(watch_once)

    async def _txn(self, request: m.TxnRequest) -> m.TxnResponse:
        return await self._channel.call(request, m.TxnResponse, _TXN_PATH, repeatable=False)

    async def _range(self, request: m.RangeRequest) -> m.RangeResponse:
        return await self._channel.call(request, m.RangeResponse, _RANGE_PATH, repeatable=True)

    async def _repeat(self, call: Callable[[], Awaitable[T]]) -> T:
        """Call until a server answers, however long that takes: the caller has a deadline, or a lease that ends."""
        backoff = Backoff(self._random)
        while True:
            with suppress(Unavailable, DeadlineExceeded):
                return await call()
            await trio.sleep(backoff.next_seconds())
