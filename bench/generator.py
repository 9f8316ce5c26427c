"""Requests without wrk: one process on an epoll loop, precomputed bytes, closed loop. Also fills a server with keys.

It runs as a process of its own (`python -m bench.generator ADDRESS FILE ...`), so that its CPU time is measured apart.
"""

from __future__ import annotations

import argparse
import json
import re
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import wrk
from bench.measure import BenchError, Measurement, children_cpu_seconds, percentile

LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
LAST_CHUNK = b"\r\n0\r\n\r\n"
PIPELINE = 50


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
    """One connection of the closed loop."""

    socket: socket.socket
    sent_at: float = 0.0
    data: bytes = b""


@dataclass
class Loop:
    """All connections of one process."""

    requests: Sequence[bytes]
    position: int = 0
    latencies: list[float] = field(default_factory=list)
    bad: int = 0

    def send_next(self, client: Client) -> None:
        """Send the next request of the circle on this connection."""
        self.position = (self.position + 1) % len(self.requests)
        client.data = b""
        client.sent_at = time.perf_counter()
        client.socket.sendall(self.requests[self.position])

    def receive(self, client: Client) -> bool:
        """Read what has come; whether the answer is complete."""
        data = client.socket.recv(1 << 16)
        if not data:
            raise BenchError("the server closed a connection")
        client.data += data
        if not answer_end(client.data):
            return False
        self.latencies.append(time.perf_counter() - client.sent_at)
        if not client.data.startswith(b"HTTP/1.1 200"):
            self.bad += 1
        return True

    def run(self, address: tuple[str, int], connections: int, seconds: float) -> None:
        """Keep all connections busy for so long."""
        clients: dict[int, Client] = {}
        poll = select.epoll()
        for _ in range(connections):
            client = Client(socket.create_connection(address))
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            clients[client.socket.fileno()] = client
            poll.register(client.socket, select.EPOLLIN)
            self.send_next(client)
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for number, _ in poll.poll(1.0):
                if self.receive(clients[number]):
                    self.send_next(clients[number])
        for client in clients.values():
            client.socket.close()


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
    if report.pop("bad"):
        raise BenchError("not every request was answered with 200")
    return Measurement(**report, generator_cores=used / report["seconds"])


def read_requests(path: Path) -> Iterator[bytes]:
    """The records of a request file."""
    data, position = path.read_bytes(), 0
    while position < len(data):
        line_end = data.index(b"\n", position)
        size = int(data[position:line_end])
        yield data[line_end + 1 : line_end + 1 + size]
        position = line_end + 1 + size


def send_all(address: tuple[str, int], requests: Sequence[bytes]) -> None:
    """Send the requests once, pipelined, and see that each is answered with 200."""
    with socket.create_connection(address) as connection:
        for start in range(0, len(requests), PIPELINE):
            batch = requests[start : start + PIPELINE]
            connection.sendall(b"".join(batch))
            data, answered = b"", 0
            while answered < len(batch):
                data += connection.recv(1 << 16)
                while end := answer_end(data):
                    if not data.startswith(b"HTTP/1.1 200"):
                        raise BenchError(f"while keys were put: {data[:300]!r}")
                    data, answered = data[end:], answered + 1


def main() -> None:
    """The process that sends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("file", type=Path)
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    host, _, port = options.address.partition(":")
    loop = Loop(list(read_requests(options.file)))
    loop.run((host, int(port)), options.connections, options.seconds)
    microseconds = sorted(latency * 1e6 for latency in loop.latencies)
    report = {
        "operations": len(microseconds),
        "seconds": options.seconds,
        "p50": percentile(microseconds, 0.5),
        "p90": percentile(microseconds, 0.9),
        "p99": percentile(microseconds, 0.99),
        "worst": percentile(microseconds, 1.0),
        "bad": loop.bad,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
