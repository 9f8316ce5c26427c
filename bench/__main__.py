"""One command: real etcd and trioetcd, in turn, on fresh directories, under the same load. See `--help`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from bench.measure import BenchError
from bench.options import Options, parse_arguments
from bench.pieces import PIECES, piece_of
from bench.report import machine, write_piece, write_results
from tests.conformance.servers import ServerError


def main() -> int:
    """Run the pieces, print, write."""
    options = parse_arguments([(piece.name, piece.what) for piece in PIECES])
    signal.signal(signal.SIGTERM, _end)
    print(machine(), flush=True)
    failed, told = [], {}
    for name in options.pieces:
        try:
            told[name] = run_piece(name, options)
        except (BenchError, ServerError, OSError, subprocess.SubprocessError) as error:
            failed.append(name)
            print(f"FAILED: {name}: {error}", file=sys.stderr, flush=True)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if options.results:
        write_results(options.out, options.out.parent / "RESULTS.md")
    return 1 if failed else os.EX_OK


def run_piece(name: str, options: Options) -> dict[str, Any]:
    """Measure one piece; print its table and write its figures."""
    piece = piece_of(name)
    print(f"\n--- {name}: {piece.what}", flush=True)
    began = time.monotonic()
    told = {"machine": machine()} | piece.measure(options)
    told["took_seconds"] = round(time.monotonic() - began, 1)
    print(f"\n{piece.page(told)}\n\n{name} took {told['took_seconds']:.0f} s", flush=True)
    write_piece(options.out, name, told)
    return told


def _end(number: int, _frame: object) -> None:
    """Leave by an exception, so that the servers are stopped on the way."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
