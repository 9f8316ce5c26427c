"""Compare transcripts with what the core does, or rewrite them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.raft.traces.runner import check, rewrite, transcripts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.raft.traces", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a transcript, or a folder of them (*.txt)")
    parser.add_argument("--rewrite", action="store_true", help="write what is printed now into the transcripts")
    options = parser.parse_args()
    missing = [str(path) for path in options.paths if not path.exists()]
    if missing:
        parser.error(f"no such file or folder: {', '.join(missing)}")
    paths = list(transcripts(options.paths))
    if options.rewrite:
        for path in paths:
            rewrite(path)
    failures = [failure for failure in map(check, paths) if failure is not None]
    for failure in failures:
        print(failure, end="\n\n")
    print(f"{len(paths) - len(failures)} passed, {len(failures)} failed")
    return 1 if failures or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
