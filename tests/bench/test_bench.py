"""The bench's own arithmetic, and that wrong answers fail a run. The servers are played by threads on sockets."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from bench import generator, wrk
from bench.__main__ import parse_arguments
from bench.measure import BenchError, Measurement, percentile
from bench.report import Line, table, write_json, write_results
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


def test_reports(tmp_path: Path) -> None:
    line = Line("put", "puts", 64)
    line.samples = {"etcd": [measurement(1000)], "trioetcd": [measurement(1500)]}
    assert "| put      | 64          | 1,000   | 1,500" in table([line])
    write_json(tmp_path / "figures.json", [line], {"rounds": 1})
    write_results(tmp_path / "RESULTS.md", [line], {"rounds": 1})
    assert '"ratio": 1.5' in (tmp_path / "figures.json").read_text()
    assert "- `put`: puts" in (tmp_path / "RESULTS.md").read_text()


def test_an_unfinished_run_reports_zeros() -> None:
    assert Line("put", "puts", 64).ratio == 0.0
    assert "0.00" in table([Line("put", "puts", 64)])


def test_requests_are_the_same_for_both_servers() -> None:
    for workload in WORKLOADS:
        if isinstance(workload, RequestWorkload):
            assert workload.make(Random(1)).startswith(b"POST /v3/kv/")
        else:
            assert isinstance(workload, WatchWorkload)
    put = WORKLOADS[0]
    assert isinstance(put, RequestWorkload)
    assert put.requests(seed=2)[:5] == put.requests(seed=2)[:5]


def test_unknown_workloads_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--workloads", "nosuch"])
    assert "nosuch" in capsys.readouterr().err
