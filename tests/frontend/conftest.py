"""A member's front end over streams in memory."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

# The test modules are no package (importmode=importlib), so their shared fakes are put in place by hand.
_spec = importlib.util.spec_from_file_location("frontend_fakes", Path(__file__).with_name("frontend_fakes.py"))
assert _spec is not None
assert _spec.loader is not None
frontend_fakes = importlib.util.module_from_spec(_spec)
sys.modules["frontend_fakes"] = frontend_fakes
_spec.loader.exec_module(frontend_fakes)

from trioetcd.frontend import ClientListener, Routes, build_routes  # noqa: E402 # after the fakes it is tested with
from trioetcd.http11 import ClientConnection  # noqa: E402
from trioetcd.log import null_logger  # noqa: E402


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Hands out what `connect` makes."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[trio.abc.Stream](100)
        self.closed = False

    def connect(self, *, lockstep: bool = False) -> trio.abc.Stream:
        ours, theirs = lockstep_stream_pair() if lockstep else memory_stream_pair()
        self._send.send_nowait(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        return await self._receive.receive()

    async def aclose(self) -> None:
        self.closed = True
        await trio.lowlevel.checkpoint()


class Server:
    """A listener that runs, its member, and connections to it."""

    def __init__(self, listener: MemoryListener, client_listener: ClientListener, routes: Routes) -> None:
        self.listener = listener
        self.client_listener = client_listener
        self.routes = routes

    def stream(self) -> trio.abc.Stream:
        return self.listener.connect()

    def client(self) -> ClientConnection:
        return ClientConnection(self.stream(), host="test")

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes, and end; everything that comes back."""
        stream = self.stream()
        await stream.send_all(data)
        received = b""
        with trio.move_on_after(0.2):
            while more := await stream.receive_some():
                received += more
        return received


Serve = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture
def member() -> object:
    return frontend_fakes.FakeMember()


@pytest.fixture(params=["httptools", "h11"])
def serve(request: pytest.FixtureRequest, member: object) -> Serve:
    @asynccontextmanager
    async def serve_member(**options: object) -> AsyncIterator[Server]:
        listener = MemoryListener()
        routes = build_routes(member=member, max_request_bytes=1_572_864)  # type: ignore[arg-type] # a fake
        client_listener = ClientListener(
            listeners=[listener],
            routes=routes,
            log=null_logger(),
            engine=request.param,
            **options,  # type: ignore[arg-type] # passed through by tests
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(client_listener.run)
            yield Server(listener, client_listener, routes)
            nursery.cancel_scope.cancel()

    return serve_member
