"""The client listener: accepts, serves one task a connection, and stops in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from typing import NamedTuple

import trio

from trioetcd.frontend.connection import ClientSession
from trioetcd.frontend.hosts import Table
from trioetcd.http11 import (
    BurstListener,
    DateField,
    Engine,
    KnownHeads,
    LeanSocketStream,
    Limits,
    Phase,
    Readiness,
    Reaper,
    ServerConnection,
    accept,
)
from trioetcd.log import Logger


class ListenerStatus(NamedTuple):
    """What the listener is doing."""

    connections: int
    connections_max: int
    busy: int  # connections whose request is with its handler
    accepted: int  # since the start
    stopping: bool


class ClientListener:
    """Serves clients on its listeners, at most `connections_max` at a time; more wait, most of them unaccepted."""

    def __init__(
        self,
        *,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        routes: Table,
        log: Logger,
        engine: Engine = "httptools",
        limits: Limits | None = None,
        connections_max: int = 10_000,
        date: DateField | None = None,
        hasten: Callable[[], None] | None = None,
        stopwatch: Callable[[], float] = trio.current_time,
    ) -> None:
        self._listeners = listeners
        self._routes = routes
        self._log = log
        self._engine: Engine = engine
        self._limits = limits or Limits()
        self._connections_max = connections_max
        self._date = date or DateField()
        self._free = trio.Semaphore(connections_max)
        self._known_heads = KnownHeads()
        self._reaper = Reaper()
        self._readiness = Readiness.create(hasten=hasten, stopwatch=stopwatch)
        self._sessions: dict[ClientSession, trio.CancelScope] = {}
        self._accepted = 0
        self._accepting = trio.CancelScope()
        self._serving = trio.CancelScope()

    def status(self) -> ListenerStatus:
        """Counts of connections."""
        return ListenerStatus(
            connections=len(self._sessions),
            connections_max=self._connections_max,
            busy=sum(session.connection.phase is Phase.BUSY for session in self._sessions),
            accepted=self._accepted,
            stopping=self._accepting.cancel_called,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop` is called and the connections have ended; a cancellation ends them at once."""
        with closing(self._readiness) if self._readiness is not None else nullcontext():
            await self._run(task_status)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as background:
            await background.start(self._reaper.run)
            if self._readiness is not None:
                await background.start(self._readiness.run)
            with self._serving:
                async with trio.open_nursery() as connections:
                    with self._accepting:
                        async with trio.open_nursery() as acceptors:
                            for listener in self._listeners:
                                acceptors.start_soon(self._accept, listener, connections)
                            task_status.started()
            background.cancel_scope.cancel()

    def stop(self, *, grace_seconds: float) -> None:
        """Accept no more, end idle connections and streams now, and requests that wait after `grace_seconds`."""
        self._accepting.cancel()
        for session, scope in self._sessions.items():
            session.connection.finish()
            if session.connection.phase is not Phase.BUSY or session.streams:
                scope.cancel()
        self._serving.deadline = trio.current_time() + grace_seconds

    async def _accept(self, listener: trio.abc.Listener[trio.abc.Stream], connections: trio.Nursery) -> None:
        if isinstance(listener, trio.SocketListener):
            listener = BurstListener(listener)
        async with listener:
            while True:
                await self._wait_until_free()
                try:
                    stream = await accept(listener, report=self._note_not_accepted)
                except BaseException:
                    self._free.release()
                    raise
                self._accepted += 1
                connections.start_soon(self._serve, stream)

    async def _wait_until_free(self) -> None:
        try:
            self._free.acquire_nowait()
        except trio.WouldBlock:
            await self._free.acquire()

    def _note_not_accepted(self, error: OSError) -> None:
        self._log.warning("a client connection was not accepted; trying again", error=str(error))

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            try:
                if isinstance(stream, trio.SocketStream):
                    stream = LeanSocketStream.take_over(stream, readiness=self._readiness)
            except OSError as error:
                self._log.debug("a client connection broke before it was served", reason=str(error))
                return
            connection = ServerConnection(
                stream, engine=self._engine, limits=self._limits, date=self._date, known_heads=self._known_heads
            )
            remote = stream.peer_name if isinstance(stream, LeanSocketStream) else ""
            session = ClientSession(connection=connection, routes=self._routes, remote=remote)
            with self._reaper.guard(connection) as scope:
                self._sessions[session] = scope
                try:
                    await session.run()
                finally:
                    del self._sessions[session]
        finally:
            self._free.release()
