"""Requests without wrk: one process on an epoll loop, closed loop. Also sends finite lots, to fill a server.

It runs as a process of its own (`python -m bench.generator ADDRESS FILE ...`), so that its CPU time is measured apart.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import wrk
from bench.measure import BenchError, Measurement, children_cpu_seconds, latency_fields

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
SILENCE_SECONDS_MAX = 30.0


class ServerGone(BenchError):
    """The server closed a connection."""


def answer_end(data: bytes) -> int:
    """Where the first answer in `data` ends; 0 when it is not complete."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return 0
    if length := LENGTH.search(data, 0, head + 2):
        end = head + 4 + int(length[1])
        return end if len(data) >= end else 0
    end = data.find(LAST_CHUNK, head)
    return end + len(LAST_CHUNK) if end >= 0 else 0


@dataclass
class Client:
    """One connection of the closed loop. `number` is that of the request that it waits for."""

    socket: socket.socket
    number: int = -1
    sent_at: float = 0.0
    data: bytes = b""


@dataclass
class Loop:
    """All connections of one process. `on_answer` is called with the number of each request that was answered well."""

    requests: Iterator[bytes]
    on_answer: Callable[[int], None] | None = None
    sent: int = 0
    latencies: list[float] = field(default_factory=list)

    def run(self, address: tuple[str, int], connections: int, seconds: float = float("inf")) -> None:
        """Keep all connections busy for so long, or until every request was answered."""
        poll = select.epoll()
        clients: dict[int, Client] = {}
        end = time.perf_counter() + seconds
        try:
            for _ in range(connections):
                client = Client(socket.create_connection(address, timeout=SILENCE_SECONDS_MAX))
                client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.socket.fileno()] = client
                poll.register(client.socket, select.EPOLLIN)
            self._keep_busy(poll, clients, end)
        except ConnectionError as error:
            raise ServerGone(f"the server closed a connection: {error}") from error
        finally:
            for client in clients.values():
                client.socket.close()
            poll.close()

    def _keep_busy(self, poll: select.epoll, clients: dict[int, Client], end: float) -> None:
        waiting = sum(self._send_next(client) for client in clients.values())
        while waiting and time.perf_counter() < end:
            events = poll.poll(SILENCE_SECONDS_MAX)
            if not events:
                raise BenchError(f"{waiting} requests were not answered within {SILENCE_SECONDS_MAX} s")
            for number, _ in events:
                client = clients[number]
                if self._receive(client) and not self._send_next(client):
                    waiting -= 1

    def _send_next(self, client: Client) -> bool:
        """Send the next request on this connection; whether there was one."""
        request = next(self.requests, None)
        if request is None:
            return False
        client.number, client.data = self.sent, b""
        self.sent += 1
        client.sent_at = time.perf_counter()
        client.socket.sendall(request)
        return True

    def _receive(self, client: Client) -> bool:
        """Read what has come; whether the answer is complete."""
        data = client.socket.recv(1 << 20)
        if not data:
            raise ServerGone("the server closed a connection")
        client.data += data
        if not answer_end(client.data):
            return False
        self.latencies.append(time.perf_counter() - client.sent_at)
        if not client.data.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"not every request was answered with 200: {client.data[:300]!r}")
        if self.on_answer is not None:
            self.on_answer(client.number)
        return True


def run(address: tuple[str, int], requests: Sequence[bytes], *, connections: int, seconds: float) -> Measurement:
    """The same measurement as `wrk.run`, by this program."""
    with tempfile.NamedTemporaryFile(suffix=".requests") as file:
        wrk.write_requests(requests, Path(file.name))
        before = children_cpu_seconds()
        command = [sys.executable, "-m", "bench.generator", f"{address[0]}:{address[1]}", file.name]
        command += [str(connections), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        used = children_cpu_seconds() - before
    if done.returncode:
        raise BenchError(f"the generator failed:\n{done.stderr[-2000:]}")
    report = json.loads(done.stdout)
    return Measurement(**report, generator_cores=used / report["seconds"])


def read_requests(path: Path) -> Iterator[bytes]:
    """The records of a request file."""
    data, position = path.read_bytes(), 0
    while position < len(data):
        line_end = data.index(b"\n", position)
        size = int(data[position:line_end])
        yield data[line_end + 1 : line_end + 1 + size]
        position = line_end + 1 + size


def send_all(address: tuple[str, int], requests: Iterable[bytes], *, connections: int = 32) -> float:
    """Send each request once, and see that each is answered with 200; the seconds that it took."""
    start = time.perf_counter()
    Loop(iter(requests)).run(address, connections)
    return time.perf_counter() - start


def main() -> None:
    """The process that sends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("file", type=Path)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    host, _, port = options.address.partition(":")
    loop = Loop(itertools.cycle(list(read_requests(options.file))))
    loop.run((host, int(port)), options.connections, options.seconds)
    latencies = latency_fields([latency * 1e6 for latency in loop.latencies])
    print(json.dumps({"operations": len(loop.latencies), "seconds": options.seconds, **latencies}))


if __name__ == "__main__":
    main()
