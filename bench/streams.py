"""Watch streams of chunked HTTP that wait, and connections whose puts cause their events, on one epoll loop."""

from __future__ import annotations

import base64
import itertools
import re
import select
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.generator import answer_end
from bench.measure import BenchError
from bench.requests import put, watches

CREATED = b'"created":true'
EVENT = b'"kv":{'
VALUE = re.compile(rb'"value":"([A-Za-z0-9+/=]+)"')
DRAIN_SECONDS_MAX = ANSWER_SECONDS_MAX = 20.0


def stamp() -> bytes:
    """A value of 256 bytes that begins with the time now, in nanoseconds."""
    return (b"%020d" % time.perf_counter_ns()).ljust(256, b".")


@dataclass
class Stream:
    """One stream. `events` counts what it was sent."""

    socket: socket.socket
    sampled: bool
    tail: bytes = b""
    events: int = 0


@dataclass
class FanOut:
    """All streams and the writers of one process. Every one of `keys` is watched by as many watchers."""

    address: tuple[str, int]
    keys: Iterator[bytes] = field(default_factory=lambda: iter(()))
    watchers_a_key: int = 0
    streams: dict[int, Stream] = field(default_factory=dict)
    writers: dict[int, tuple[socket.socket, bytes]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    poll: select.epoll = field(default_factory=select.epoll)
    puts: int = 0
    answered: int = 0

    def connect(self) -> socket.socket:
        """A connection that the loop listens to."""
        connection = socket.create_connection(self.address, timeout=ANSWER_SECONDS_MAX)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.poll.register(connection, select.EPOLLIN)
        return connection

    def open_streams(self, keys: Sequence[bytes], count: int, *, sampled: int) -> None:
        """Watch each of the keys, on so many streams, each acknowledged before the next."""
        for number in range(count):
            connection, watched = self.connect(), keys[number::count]
            connection.sendall(watches(watched))
            data = b""
            while data.count(CREATED) < len(watched):
                data += self._recv(connection)
                if not data.startswith(b"HTTP/1.1 200") or b'"canceled":true' in data:
                    raise BenchError(f"a watch was refused: {data[-300:]!r}")
            self.streams[connection.fileno()] = Stream(connection, number < sampled)
        distinct = list(dict.fromkeys(keys))
        self.keys, self.watchers_a_key = itertools.cycle(distinct), len(keys) // len(distinct)

    def open_writers(self, count: int) -> None:
        """Open the connections that put."""
        for _ in range(count):
            connection = self.connect()
            self.writers[connection.fileno()] = (connection, b"")

    def close(self) -> None:
        """Close every connection."""
        for stream in self.streams.values():
            stream.socket.close()
        for connection, _ in self.writers.values():
            connection.close()
        self.poll.close()

    def put(self, number: int) -> None:
        """Send one put on a writer that is free."""
        connection, _ = self.writers[number]
        self.writers[number] = (connection, b"")
        self.puts += 1
        connection.sendall(put(next(self.keys), stamp()))

    def step(self, seconds: float) -> list[int]:
        """Receive what comes within `seconds`; the writers that became free."""
        free = []
        for number, _ in self.poll.poll(seconds):
            if number in self.streams:
                self._deliver(self.streams[number])
            elif self._answered(number):
                free.append(number)
        return free

    def _recv(self, connection: socket.socket) -> bytes:
        data = connection.recv(1 << 18)
        if not data:
            raise BenchError("the server closed a connection")
        return data

    def _answered(self, number: int) -> bool:
        connection, data = self.writers[number]
        data += self._recv(connection)
        self.writers[number] = (connection, data)
        if not answer_end(data):
            return False
        if not data.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"a put was refused: {data[:300]!r}")
        self.answered += 1
        return True

    def _deliver(self, stream: Stream) -> None:
        data = stream.tail + self._recv(stream.socket)
        if not stream.sampled:
            stream.events += data.count(EVENT)
            stream.tail = data[-(len(EVENT) - 1) :]
            return
        now, end = time.perf_counter_ns(), 0
        for match in VALUE.finditer(data):
            self.latencies.append((now - int(base64.b64decode(match[1])[:20])) / 1e3)
            stream.events += 1
            end = match.end()
        stream.tail = data[end:]

    @property
    def delivered(self) -> int:
        """Events that have come, over all streams."""
        return sum(stream.events for stream in self.streams.values())

    def run(self, *, seconds: float, puts_a_second: int) -> float:
        """Put for so long, then wait until every event has reached every watcher; the seconds that all took."""
        start = time.perf_counter()
        if puts_a_second:
            self._run_paced(start, seconds, puts_a_second)
        else:
            self._run_saturated(start, seconds)
        deadline = time.perf_counter() + DRAIN_SECONDS_MAX
        while self.answered < self.puts or self.delivered < self.puts * self.watchers_a_key:
            self.step(0.1)
            if time.perf_counter() > deadline:
                expected = self.puts * self.watchers_a_key
                raise BenchError(f"{self.delivered} of {expected} events had come when time was up")
        return time.perf_counter() - start

    def _run_saturated(self, start: float, seconds: float) -> None:
        for number in self.writers:
            self.put(number)
        while time.perf_counter() - start < seconds:
            for number in self.step(0.1):
                self.put(number)

    def _run_paced(self, start: float, seconds: float, puts_a_second: int) -> None:
        free = list(self.writers)
        while (passed := time.perf_counter() - start) < seconds:
            due = int(passed * puts_a_second) - self.puts
            if due > 0 and free:
                self.put(free.pop())
            free += self.step(0.001)
