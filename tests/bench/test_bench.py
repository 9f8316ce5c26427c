"""The bench's own arithmetic, and that wrong answers fail a run. The servers are played by threads on sockets."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest

from bench import generator, load, requests, wrk
from bench.lines import Line, lines_table
from bench.measure import BenchError, Measurement, Usage, disk_bytes, latency_fields, percentile
from bench.options import Options, parse_arguments
from bench.pieces import PIECES
from bench.workloads import WORKLOADS, RequestWorkload, WatchWorkload

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, int]]:
    """A server that answers every request of a known size alike."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(65536):
                connection.sendall(answer * data.count(b"POST "))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def measurement(rate: float, p50: float = 1000.0) -> Measurement:
    return Measurement(
        operations=int(rate), seconds=1.0, p50=p50, p90=2 * p50, p99=3 * p50, worst=4 * p50, server_cores=1.0
    )


REQUESTS = [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"] * 3


def test_good_answers_are_counted() -> None:
    with answering(GOOD) as address:
        sample = generator.run(address, REQUESTS, connections=2, seconds=0.3)
    assert sample.operations > 10
    assert 0 < sample.p50 <= sample.p99 <= sample.worst


def test_bad_answers_fail_the_run() -> None:
    with answering(BAD) as address:
        with pytest.raises(BenchError, match="200"):
            generator.run(address, REQUESTS, connections=2, seconds=0.2)
        with pytest.raises(BenchError, match="503"):
            generator.send_all(address, REQUESTS)


def test_each_request_of_a_lot_is_sent_once_and_its_answer_told() -> None:
    answered: list[int] = []
    with answering(GOOD) as address:
        generator.Loop(iter(REQUESTS * 5), answered.append).run(address, connections=4)
        assert generator.send_all(address, REQUESTS, connections=8) > 0
    assert sorted(answered) == list(range(15))


def test_a_server_that_goes_away_is_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(generator.ServerGone):
            generator.Loop(iter(REQUESTS)).run(listener.getsockname(), connections=1)
        thread.join(5)


def test_wrk_counts_every_kind_of_error() -> None:
    line = (
        "RESULT requests=10 microseconds=2000000 connect=0 read=0 write=0 status={} timeout=0 p50=1 p90=2 p99=3 max=4\n"
    )
    assert wrk.parse(line.format(0), 1.0).rate == 5
    assert wrk.parse(line.format(0), 1.0).generator_cores == 0.5
    with pytest.raises(BenchError, match="status"):
        wrk.parse(line.format(1), 1.0)
    with pytest.raises(BenchError, match="did not report"):
        wrk.parse("unable to connect", 1.0)


def test_request_files_come_back(tmp_path: Path) -> None:
    requests = [b"one\n2\n", b"", b"three"]
    wrk.write_requests(requests, tmp_path / "requests")
    assert list(generator.read_requests(tmp_path / "requests")) == requests


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 0),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", 0),
        (b"HTTP/1.1 200 OK\r\ncontent-length:3\r\n\r\nabcHTTP", 40),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP", 58),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", 0),
    ],
)
def test_where_an_answer_ends(data: bytes, end: int) -> None:
    assert generator.answer_end(data) == end


def test_percentiles() -> None:
    values = [float(number) for number in range(100)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile(values, 1.0) == 99
    assert percentile([], 0.5) == 0


def test_ratio_is_of_medians() -> None:
    line = Line("put", "puts", 64)
    line.samples = {"etcd": [measurement(100), measurement(300), measurement(200)], "trioetcd": [measurement(400)]}
    assert line.ratio == 2.0


def test_a_paced_workload_is_compared_by_latency() -> None:
    line = Line("watch-latency", "deliveries", None)
    line.samples = {"etcd": [measurement(100, p50=900.0)], "trioetcd": [measurement(100, p50=300.0)]}
    assert line.ratio == 3.0


def test_a_line_is_a_row_and_comes_back_from_json() -> None:
    line = Line("put", "puts", 64)
    line.samples = {"etcd": [measurement(1000)], "trioetcd": [measurement(1500)]}
    assert "| put      | 64          | 1,000   | 1,500" in lines_table([line])
    assert line.to_json()["ratio"] == 1.5
    assert Line.from_json(line.to_json()) == line


def test_both_servers_take_turns_line_by_line_while_the_other_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    @contextlib.contextmanager
    def fresh(kind: str, *_: object, **__: object) -> Iterator[tuple[str, list[SimpleNamespace]]]:
        told.append(f"{kind} begins")
        yield kind, [SimpleNamespace(pid=kind)]
        told.append(f"{kind} ends")

    @contextlib.contextmanager
    def stopped(pids: list[str]) -> Iterator[None]:
        told.append(f"{pids} stopped")
        yield

    def measure(_: object, workload: RequestWorkload, leader: str, *__: object) -> Measurement:
        told.append(f"{leader} {workload.name}")
        return measurement(100)

    monkeypatch.setattr(load, "cluster", fresh)
    monkeypatch.setattr(load, "wait_leader", lambda servers: servers[0].pid)
    monkeypatch.setattr(load, "_stopped", stopped)
    monkeypatch.setattr(load, "_wait_for_rest", lambda pids: told.append(f"{pids} rests"))
    monkeypatch.setattr(load.Runner, "measure", measure)
    options = parse("load", "--workloads=put,range", "--connections=4", "--rounds=2")
    load.Runner(load.Load(groups=(options.workloads,)), options).run()
    turns = [
        *("etcd begins", "trioetcd begins"),
        *(
            "['trioetcd'] stopped",
            "etcd put",
            "['etcd'] rests",
            "['etcd'] stopped",
            "trioetcd put",
            "['trioetcd'] rests",
        ),
        *("['trioetcd'] stopped", "etcd range", "['etcd'] rests"),
        *("['etcd'] stopped", "trioetcd range", "['trioetcd'] rests"),
        *("trioetcd ends", "etcd ends"),
    ]
    swapped = [turn.replace("trioetcd", "?").replace("etcd", "trioetcd").replace("?", "etcd") for turn in turns]
    assert told == turns + swapped


def test_an_unfinished_run_reports_zeros() -> None:
    assert Line("put", "puts", 64).ratio == 0.0
    assert "0.00" in lines_table([Line("put", "puts", 64)])


def test_what_a_process_uses_is_counted(tmp_path: Path) -> None:
    used = Usage.of(os.getpid())
    assert used.cpu_seconds > 0
    assert used.resident_bytes > used.private_bytes > 1_000_000
    (tmp_path / "file").write_bytes(b"x" * 10_000)
    assert 10_000 <= disk_bytes(tmp_path) <= 20_000
    assert latency_fields([3.0, 1.0, 2.0]) == {"p50": 2.0, "p90": 3.0, "p99": 3.0, "worst": 3.0}


def test_requests_are_the_same_for_both_servers() -> None:
    for workload in WORKLOADS:
        if isinstance(workload, RequestWorkload):
            assert workload.make(Random(1)).startswith(b"POST /v3/")
            assert workload.make(Random(2)) == workload.make(Random(2))
        else:
            assert isinstance(workload, WatchWorkload)
            assert len(set(workload.watched_keys)) == (workload.watchers if workload.keys_apart else 1)


def test_what_is_there_before_is_what_workloads_ask_for() -> None:
    present = list(requests.fill())
    assert len(present) == requests.KEYS_PRESENT + requests.LEASES_PRESENT
    stream = requests.watches([b"a", b"b"])
    head, _, body = stream.partition(b"\r\n\r\n")
    assert body.count(b"create_request") == 2
    assert b"Content-Length: %d" % len(body) in head


def parse(*arguments: str) -> Options:
    return parse_arguments([(piece.name, piece.what) for piece in PIECES], arguments)


def test_all_pieces_are_run_unless_some_are_named() -> None:
    assert parse().pieces == tuple(piece.name for piece in PIECES)
    assert parse("keys", "scale").pieces == ("keys", "scale")
    assert parse("--workloads", "put,range", "--connections", "1,64").pieces == ("load",)
    assert parse("--servers", "trioetcd").kinds == ("trioetcd",)
    assert parse("--results").out.name == "results"
    assert parse("--http-engine", "h11").flags("trioetcd") == ["--http-engine=h11"]
    assert parse("--http-engine", "h11").flags("etcd") == []


@pytest.mark.parametrize(
    "arguments", [("nosuch",), ("--workloads", "nosuch"), ("--servers", "nosuch"), ("--results", "--workloads", "put")]
)
def test_what_is_not_known_is_refused(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(*arguments)
    told = capsys.readouterr().err
    assert "nosuch" in told or "whole pieces" in told
