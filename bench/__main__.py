"""One command: real etcd and trioetcd, in turn, on fresh directories, under the same load. See `--help`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from bench.measure import BenchError
from bench.options import Options, parse_arguments
from bench.pieces import PIECES, piece_of
from bench.report import machine, write_piece, write_results
from tests.conformance.servers import ServerError


def main() -> int:
    """Run the pieces, print, write."""
    options = parse_arguments([(piece.name, piece.what) for piece in PIECES])
    print(machine(), flush=True)
    failed, told = [], {}
    for name in options.pieces:
        try:
            told[name] = run_piece(name, options)
        except (BenchError, ServerError, OSError) as error:
            failed.append(name)
            print(f"FAILED: {name}: {error}", file=sys.stderr, flush=True)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if options.results:
        write_results(options.out, Path(__file__).parent / "RESULTS.md")
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


if __name__ == "__main__":
    sys.exit(main())
