"""Watch fan-out: streams of chunked HTTP that wait, puts that cause events, and the time between the two.

It runs as a process of its own (`python -m bench.watch ADDRESS WATCHERS PUTS_A_SECOND SECONDS`), so that its CPU time
is measured apart. Each put's value is the time at which it was sent; a sample of the deliveries reads it back.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field

from bench.generator import answer_end
from bench.measure import BenchError, Measurement, children_cpu_seconds, percentile
from bench.workloads import WatchWorkload, b64, http_request

KEY = b"watched"
EVENT = b'"kv":{'
VALUE = re.compile(rb'"value":"([A-Za-z0-9+/=]+)"')
SAMPLED_WATCHERS = 10  # all of them when puts are paced; reading values back costs the generator
WRITERS = 4
DRAIN_SECONDS_MAX = 20.0


def stamp() -> bytes:
    """A value of 256 bytes that begins with the time now, in nanoseconds."""
    return (b"%020d" % time.perf_counter_ns()).ljust(256, b".")


@dataclass
class Watcher:
    """One stream. `events` counts what it was sent."""

    socket: socket.socket
    sampled: bool
    tail: bytes = b""
    events: int = 0


@dataclass
class FanOut:
    """All streams and the writers of one process."""

    address: tuple[str, int]
    watchers: dict[int, Watcher] = field(default_factory=dict)
    writers: dict[int, tuple[socket.socket, bytes]] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    poll: select.epoll = field(default_factory=select.epoll)
    puts: int = 0
    answered: int = 0

    def connect(self) -> socket.socket:
        """A connection that the loop listens to."""
        connection = socket.create_connection(self.address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.poll.register(connection, select.EPOLLIN)
        return connection

    def open_watchers(self, count: int, *, sampled: int) -> None:
        """Open the streams, each acknowledged before the next."""
        create = http_request("/v3/watch", {"create_request": {"key": b64(KEY)}})
        for number in range(count):
            connection = self.connect()
            connection.sendall(create)
            data = b""
            while b'"created":true' not in data:
                data += self._recv(connection)
            if not data.startswith(b"HTTP/1.1 200"):
                raise BenchError(f"a watch was refused: {data[:300]!r}")
            self.watchers[connection.fileno()] = Watcher(connection, number < sampled)

    def open_writers(self, count: int) -> None:
        """Open the connections that put."""
        for _ in range(count):
            connection = self.connect()
            self.writers[connection.fileno()] = (connection, b"")

    def put(self, number: int) -> None:
        """Send one put on a writer that is free."""
        connection, _ = self.writers[number]
        self.writers[number] = (connection, b"")
        self.puts += 1
        connection.sendall(http_request("/v3/kv/put", {"key": b64(KEY), "value": b64(stamp())}))

    def step(self, seconds: float) -> list[int]:
        """Receive what comes within `seconds`; the writers that became free."""
        free = []
        for number, _ in self.poll.poll(seconds):
            if number in self.watchers:
                self._deliver(self.watchers[number])
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

    def _deliver(self, watcher: Watcher) -> None:
        data = watcher.tail + self._recv(watcher.socket)
        if not watcher.sampled:
            watcher.events += data.count(EVENT)
            watcher.tail = data[-(len(EVENT) - 1) :]
            return
        now, end = time.perf_counter_ns(), 0
        for match in VALUE.finditer(data):
            self.latencies.append((now - int(base64.b64decode(match[1])[:20])) / 1e3)
            watcher.events += 1
            end = match.end()
        watcher.tail = data[end:]

    @property
    def delivered(self) -> int:
        """Events that have reached a watcher, over all watchers."""
        return sum(watcher.events for watcher in self.watchers.values())

    def run(self, *, seconds: float, puts_a_second: int) -> float:
        """Put for so long, then wait until every event has reached every watcher; the seconds that all took."""
        start = time.perf_counter()
        if puts_a_second:
            self._run_paced(start, seconds, puts_a_second)
        else:
            self._run_saturated(start, seconds)
        deadline = time.perf_counter() + DRAIN_SECONDS_MAX
        while self.answered < self.puts or self.delivered < self.puts * len(self.watchers):
            self.step(0.1)
            if time.perf_counter() > deadline:
                expected = self.puts * len(self.watchers)
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


def run(address: tuple[str, int], workload: WatchWorkload, *, seconds: float) -> Measurement:
    """Measure one watch workload; operations are deliveries."""
    before = children_cpu_seconds()
    command = [sys.executable, "-m", "bench.watch", f"{address[0]}:{address[1]}"]
    command += [str(workload.watchers), str(workload.puts_a_second), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 90, check=False)
    used = children_cpu_seconds() - before
    if done.returncode:
        raise BenchError(f"the watch generator failed:\n{done.stderr[-2000:]}")
    report = json.loads(done.stdout)
    return Measurement(**report, generator_cores=used / report["seconds"])


def main() -> None:
    """The process that watches and puts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("watchers", type=int)
    parser.add_argument("puts_a_second", type=int)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    host, _, port = options.address.partition(":")
    fan_out = FanOut((host, int(port)))
    fan_out.open_watchers(options.watchers, sampled=options.watchers if options.puts_a_second else SAMPLED_WATCHERS)
    fan_out.open_writers(WRITERS)
    seconds = fan_out.run(seconds=options.seconds, puts_a_second=options.puts_a_second)
    microseconds = sorted(fan_out.latencies)
    report = {
        "operations": fan_out.delivered,
        "seconds": seconds,
        "p50": percentile(microseconds, 0.5),
        "p90": percentile(microseconds, 0.9),
        "p99": percentile(microseconds, 0.99),
        "worst": percentile(microseconds, 1.0),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
