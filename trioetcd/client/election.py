"""Elections: of many candidates one leads, and whoever wants to know is told who, and what it proclaims."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, Protocol

import trio

from trioetcd.api import messages as m
from trioetcd.client.errors import Compacted
from trioetcd.client.keys import Text
from trioetcd.client.lease import Lease
from trioetcd.client.line import Line, Place, Turn
from trioetcd.client.watch import Watch

_DELETE: Final = int(m.EventType.DELETE)


class WatchOpener(Protocol):
    """How a prefix is watched from a revision on."""

    def __call__(self, prefix: bytes, *, start_revision: int) -> AbstractAsyncContextManager[Watch]:
        """Open it."""
        ...


class Leadership(Turn):
    """An election that is won."""

    def __init__(self, *, line: Line, place: Place, lease: Lease) -> None:
        super().__init__(place=place, lease=lease)
        self._line = line

    async def proclaim(self, value: Text) -> None:
        """Tell another value; raises LeaseLost when the leadership is gone."""
        await self._line.write(self._place, value)


class Observation:
    """Leaders as they come, and what each proclaims: `async for kv in leaders`. For one task at a time.

    It begins with the present leader, if there is one, and goes on over broken connections. Nobody is left out, unless
    the history was compacted while no server could be reached.
    """

    def __init__(self, *, line: Line, open_watch: WatchOpener) -> None:
        self._line = line
        self._open_watch = open_watch
        self._connection = AsyncExitStack()
        self._watch: Watch | None = None
        self._candidates: dict[bytes, m.KeyValue] = {}
        self._told: m.KeyValue | None = None

    def __aiter__(self) -> Observation:
        return self

    async def __anext__(self) -> m.KeyValue:
        await trio.lowlevel.checkpoint()
        while True:
            if self._watch is None:
                await self._look()
            leader = min(self._candidates.values(), key=lambda kv: kv.create_revision, default=None)
            if leader is not None and leader != self._told:
                self._told = leader
                return leader
            await self._follow()

    async def aclose(self) -> None:
        """End the watch."""
        self._watch = None
        await self._connection.aclose()

    async def _look(self) -> None:
        """Take the line as it is now, and watch what becomes of it."""
        found = await self._line.candidates()
        assert found.header is not None, "every range has a header"
        self._candidates = {kv.key: kv for kv in found.kvs}
        watch = self._open_watch(self._line.prefix, start_revision=found.header.revision + 1)
        self._watch = await self._connection.enter_async_context(watch)

    async def _follow(self) -> None:
        """Take the next change of the line."""
        assert self._watch is not None
        try:
            event = await anext(self._watch)
        except Compacted:
            await self.aclose()
            return
        assert event.kv is not None, "every event has a key"
        if event.type == _DELETE:
            self._candidates.pop(event.kv.key, None)
        else:
            self._candidates[event.kv.key] = event.kv


class Election:
    """One election, by its name; made by `Client.election`. It is the one that etcd's own clients know by that name."""

    def __init__(
        self, *, line: Line, open_lease: Callable[[int], AbstractAsyncContextManager[Lease]], open_watch: WatchOpener
    ) -> None:
        self._line = line
        self._open_lease = open_lease
        self._open_watch = open_watch

    @asynccontextmanager
    async def campaign(self, value: Text = b"", *, ttl: int = 10) -> AsyncIterator[Leadership]:
        """Wait until elected, and lead during the block; its end is the resignation.

            async with client.election("scheduler").campaign("host-7") as leadership:
                await leadership.proclaim("host-7, 12 jobs")

        The candidacy hangs on a lease of `ttl` seconds that is kept alive. When that is lost, waiting or leading, the
        block is cancelled and LeaseLost raised at its end.
        """
        async with self._open_lease(ttl) as lease:
            place = await self._line.take_turn(lease.id, value)
            yield Leadership(line=self._line, place=place, lease=lease)

    async def leader(self) -> m.KeyValue | None:
        """Who leads now, and what it has proclaimed: the key of its candidacy. None: nobody."""
        return await self._line.first()

    @asynccontextmanager
    async def observe(self) -> AsyncIterator[Observation]:
        """Follow the election.

        async with client.election("scheduler").observe() as leaders:
            async for leader in leaders:
                print(leader.value)
        """
        observation = Observation(line=self._line, open_watch=self._open_watch)
        try:
            yield observation
        finally:
            await observation.aclose()
