"""A network in memory: hosts that listen at URLs and dial them, and the faults that networks have.

    network = MemoryNetwork()
    listener = network.host("b").listen("http://b:2380")
    stream = await network.host("a").dial("http://b:2380")

Bytes arrive in order and at once, or not at all. Between two hosts that are partitioned nothing gets through in the
directions that are cut: connections stay open and silent, as behind a switch that drops packets, and dials wait for
ever. What was sent meanwhile arrives when the partition is healed, as TCP would have it. `drop_connections` resets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import trio

_BUFFER_BYTES: Final = 256 * 1024
"""What a direction holds before its sender has to wait: a socket's buffers."""


class MemoryNetwork:
    """Hosts by name, what they listen at, and the connections between them."""

    def __init__(self) -> None:
        self._listeners: dict[str, MemoryListener] = {}
        self._cut: set[tuple[str, str]] = set()
        self._connections: list[_Connection] = []
        self._changed = trio.lowlevel.ParkingLot()
        self.dials = 0

    def host(self, name: str) -> MemoryHost:
        """The network as one host sees it."""
        return MemoryHost(network=self, name=name)

    def partition(self, a: str, b: str, *, one_way: bool = False) -> None:
        """Let nothing through from host `a` to host `b`, nor back unless `one_way`."""
        self._cut.add((a, b))
        if not one_way:
            self._cut.add((b, a))

    def heal(self) -> None:
        """Undo all partitions; what was held back arrives."""
        self._cut.clear()
        self._changed.unpark_all()
        for pipe in self._pipes():
            pipe.wake()

    def drop_connections(self, a: str, b: str) -> None:
        """Reset every connection between two hosts: both ends see it broken."""
        for connection in self._connections:
            if connection.hosts == {a, b}:
                connection.reset()
        self._forget_closed()

    def power_off(self, name: str) -> None:
        """A host is gone: its connections are reset, and nobody listens at its URLs any more."""
        for connection in self._connections:
            if name in connection.hosts:
                connection.reset()
        self._forget_closed()
        self._listeners = {url: listener for url, listener in self._listeners.items() if listener.host != name}

    def is_cut(self, a: str, b: str) -> bool:
        """Whether nothing gets from host `a` to host `b`."""
        return (a, b) in self._cut

    def listen(self, name: str, url: str) -> MemoryListener:
        """Listen at a URL; raises OSError when another does."""
        if url in self._listeners:
            raise OSError(f"{url} is already in use: listen somewhere else, or close the other listener")
        listener = MemoryListener(network=self, host=name, url=url)
        self._listeners[url] = listener
        return listener

    async def dial(self, name: str, url: str) -> MemoryStream:
        """Connect; raises OSError when nobody listens, and waits while the hosts are partitioned."""
        self.dials += 1
        await trio.lowlevel.checkpoint()
        while True:
            listener = self._listeners.get(url)
            if listener is None:
                raise ConnectionRefusedError(f"nobody listens at {url}")
            if not (self.is_cut(name, listener.host) or self.is_cut(listener.host, name)):
                break
            await self._changed.park()
        connection = _Connection(self, name, listener.host)
        self._forget_closed()
        self._connections.append(connection)
        listener.put(connection.server)
        return connection.client

    def close_listener(self, url: str) -> None:
        """Nobody listens at `url` any more."""
        self._listeners.pop(url, None)

    def _pipes(self) -> Iterator[_Pipe]:
        for connection in self._connections:
            yield from connection.pipes

    def _forget_closed(self) -> None:
        self._connections = [one for one in self._connections if not one.is_closed]


class MemoryHost:
    """One host's view: it listens and dials under its name. It is a `Dialer`."""

    def __init__(self, *, network: MemoryNetwork, name: str) -> None:
        self._network = network
        self._name = name

    def listen(self, url: str) -> MemoryListener:
        """Listen at a URL."""
        return self._network.listen(self._name, url)

    async def dial(self, url: str) -> MemoryStream:
        """Connect to whoever listens at a URL."""
        return await self._network.dial(self._name, url)


class MemoryListener(trio.abc.Listener["MemoryStream"]):
    """What a server is given in place of a listening socket."""

    def __init__(self, *, network: MemoryNetwork, host: str, url: str) -> None:
        self.host = host
        self._network = network
        self._url = url
        self._put, self._take = trio.open_memory_channel[MemoryStream](math.inf)

    def put(self, stream: MemoryStream) -> None:
        """A connection has arrived."""
        self._put.send_nowait(stream)

    async def accept(self) -> MemoryStream:
        """Wait for a connection."""
        return await self._take.receive()

    async def aclose(self) -> None:
        """Stop listening: dials are refused from now on."""
        self._network.close_listener(self._url)
        self._take.close()
        await trio.lowlevel.checkpoint()


class _Pipe:
    """One direction: bytes that were sent and not yet received, and whoever waits at either end."""

    def __init__(self, network: MemoryNetwork, source: str, target: str) -> None:
        self._network = network
        self._source = source
        self._target = target
        self.data = bytearray()
        self.ended = False  # the sender said that nothing more comes
        self.closed = False  # the receiver is gone
        self.broken = False
        self.changed = trio.lowlevel.ParkingLot()

    @property
    def is_held(self) -> bool:
        """Whether what was sent does not arrive now."""
        return self._network.is_cut(self._source, self._target)

    def wake(self) -> None:
        """Something changed for who waits at either end."""
        self.changed.unpark_all()


class _Connection:
    """Two streams, joined by two pipes."""

    def __init__(self, network: MemoryNetwork, client: str, server: str) -> None:
        self.hosts = {client, server}
        there, back = _Pipe(network, client, server), _Pipe(network, server, client)
        self.pipes = (there, back)
        self.client = MemoryStream(sends=there, receives=back)
        self.server = MemoryStream(sends=back, receives=there)

    @property
    def is_closed(self) -> bool:
        """Whether both ends are closed, or it was reset."""
        return all(pipe.broken or (pipe.ended and pipe.closed) for pipe in self.pipes)

    def reset(self) -> None:
        """Break both directions; what was under way is lost."""
        for pipe in self.pipes:
            pipe.broken = True
            pipe.data.clear()
            pipe.wake()


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection."""

    def __init__(self, *, sends: _Pipe, receives: _Pipe) -> None:
        self._sends = sends
        self._receives = receives
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, waiting while the buffer is full."""
        await trio.lowlevel.checkpoint()
        view = memoryview(data)
        while True:
            view = view[self.send_nowait(view) :]
            if not view:
                return
            await self._sends.changed.park()

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Hand over what there is room for, as a socket does that is not waited for."""
        pipe = self._sends
        self._raise_if_unsendable()
        room = max(0, _BUFFER_BYTES - len(pipe.data))
        pipe.data += data[:room]
        pipe.wake()
        return min(room, len(data))

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Wait for data; empty when the other side ended."""
        await trio.lowlevel.checkpoint()
        pipe = self._receives
        while True:
            self._raise_if_closed()
            if pipe.broken:
                raise trio.BrokenResourceError("the connection was reset")
            if not pipe.is_held and (pipe.data or pipe.ended):
                size = len(pipe.data) if max_bytes is None else max_bytes
                data = bytes(pipe.data[:size])
                del pipe.data[:size]
                pipe.wake()
                return data
            await pipe.changed.park()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room."""
        await trio.lowlevel.checkpoint()
        while not (self._closed or self._sends.broken or len(self._sends.data) < _BUFFER_BYTES):
            await self._sends.changed.park()

    async def send_eof(self) -> None:
        """Nothing more comes from this side."""
        self._raise_if_closed()
        self._sends.ended = True
        self._sends.wake()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close this end; the other sees the end of the data, and cannot send any more."""
        self._closed = True
        self._sends.ended = True
        self._receives.closed = True
        self._sends.wake()
        self._receives.wake()
        await trio.lowlevel.checkpoint()

    def _raise_if_unsendable(self) -> None:
        self._raise_if_closed()
        pipe = self._sends
        if pipe.broken or (pipe.closed and not self._receives.is_held):
            raise trio.BrokenResourceError("the connection was reset")
        assert not pipe.ended, "sending after send_eof"

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end of the connection was closed")
