"""Watch fan-out: events that reach their watchers a second, and the time from a put to its deliveries.

It runs as a process of its own (`python -m bench.watch ADDRESS WORKLOAD SECONDS PID ...`), so that its CPU time is
measured apart; it reads that of the servers itself, once the streams are open. Each put's value is the time at which it
was sent; a sample of the deliveries reads it back.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence

from bench.measure import BenchError, Measurement, Usage, children_cpu_seconds, latency_fields
from bench.streams import FanOut
from bench.workloads import WatchWorkload, workload_of

SAMPLED_STREAMS = 10  # all of them when puts are paced; reading values back costs the generator


def run(address: tuple[str, int], workload: WatchWorkload, *, seconds: float, pids: Sequence[int]) -> Measurement:
    """Measure one watch workload on the servers with these pids; operations are deliveries."""
    before = children_cpu_seconds()
    command = [sys.executable, "-m", "bench.watch", f"{address[0]}:{address[1]}", workload.name, str(seconds)]
    command += [str(pid) for pid in pids]
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
    parser.add_argument("workload")
    parser.add_argument("seconds", type=float)
    parser.add_argument("pids", type=int, nargs="+")
    options = parser.parse_args()
    host, _, port = options.address.partition(":")
    workload = workload_of(options.workload)
    assert isinstance(workload, WatchWorkload), f"{workload.name} sends requests; it is for bench.generator"
    streams = workload.streams or workload.watchers
    fan_out = FanOut((host, int(port)))
    fan_out.open_streams(workload.watched_keys, streams, sampled=streams if workload.puts_a_second else SAMPLED_STREAMS)
    fan_out.open_writers(workload.writers)
    before = Usage.of(*options.pids)
    seconds = fan_out.run(seconds=options.seconds, puts_a_second=workload.puts_a_second)
    used = Usage.of(*options.pids).cpu_seconds - before.cpu_seconds
    report = {"operations": fan_out.delivered, "seconds": seconds, "server_cores": used / seconds}
    print(json.dumps(report | latency_fields(fan_out.latencies)))
    fan_out.close()


if __name__ == "__main__":
    main()
