"""Figures as JSON for programs, and as `RESULTS.md` with its pictures for the repository."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.charts import bars, curves
from bench.floors import floors_table
from bench.lines import Line
from bench.pieces import PIECES, Piece

NOTES = "notes.md"
CURVES = {"put": "a put, one member", "range": "a linearizable range of one key, one member"}

Told = dict[str, dict[str, Any]]


def machine() -> str:
    """The machine and the programs, named."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    name = cpu[1] if cpu else platform.machine()
    python = platform.python_version()
    return f"{name}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, Python {python}"


def write_piece(folder: Path, name: str, told: dict[str, Any]) -> None:
    """One piece's figures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")


def read_pieces(folder: Path) -> Told:
    """The figures of all pieces that are there, in the order of the page."""
    paths = {piece.name: folder / f"{piece.name}.json" for piece in PIECES}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def write_results(folder: Path, page: Path) -> None:
    """The page, from all figures in the folder, with pictures beside them; the notes that people write come last."""
    told = read_pieces(folder)
    pictures = "\n".join(
        f"![{name}]({(folder / f'{name}.svg').relative_to(page.parent)})" for name in write_pictures(folder, told)
    )
    sections = "\n\n".join(_section(piece, told[piece.name]) for piece in PIECES if piece.name in told)
    notes = f"\n## Notes\n\n{(folder / NOTES).read_text()}" if (folder / NOTES).exists() else ""
    page.write_text(f"{_head(told)}\n\n{pictures}\n\n{sections}\n{notes}")


def _head(told: Told) -> str:
    machines = "; ".join(dict.fromkeys(each["machine"] for each in told.values()))
    return (
        "# Results\n\nMade by `python -m bench --results`, which takes turns with a real etcd 3.5.1 and trioetcd over "
        "HTTP/JSON.\n"
        f"Machine: {machines}; both servers, the generator and the disk share it.\n\n"
        f"## What it is meant to reach\n\n{floors_table(told)}"
    )


def _section(piece: Piece, told: dict[str, Any]) -> str:
    settings = "; ".join(f"{name} {_plain(value)}" for name, value in told["settings"].items())
    return (
        f"## {piece.name}: {piece.what}\n\n"
        f"`python -m bench {piece.name}`, {told['took_seconds']:.0f} s; {settings}.\n\n{piece.page(told)}"
    )


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(each) for each in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def write_pictures(folder: Path, told: Told) -> list[str]:
    """Pictures of what was measured under load; their names."""
    lines = {name: [Line.from_json(line) for line in each["lines"]] for name, each in told.items() if "lines" in each}
    pictures = {}
    if rows := [row for name in lines for row in _bars(name, lines[name])]:
        pictures["throughput"] = bars("operations a second; each row to its own scale", rows)
    for workload, title in CURVES.items():
        if measured := [line for line in lines.get("load", []) if line.workload == workload]:
            points = {kind: _points(kind, measured) for kind in measured[0].samples}
            pictures[f"latency-{workload}"] = curves(
                f"latency of {title}, by connections that send without a pause", points
            )
    for name, picture in pictures.items():
        (folder / f"{name}.svg").write_text(picture)
    return list(pictures)


def _bars(piece: str, lines: Sequence[Line]) -> list[tuple[str, dict[str, float]]]:
    """One row for each workload, at the number of connections that says most: 64, or the only one."""
    shown = [line for line in lines if not line.paced and line.connections in (4, 16, 64, None)]
    chosen = {line.workload: line for line in shown}  # lines stand in the order of their connections, so the most win
    suffix = {"three": ", three members", "h11": ", h11"}.get(piece, "")
    return [
        (f"{name}{suffix}", {kind: line.median(kind, "rate") for kind in line.samples if line.samples[kind]})
        for name, line in chosen.items()
    ]


def _points(kind: str, lines: Sequence[Line]) -> dict[str, list[tuple[float, float]]]:
    measured = [line for line in lines if line.samples[kind]]
    return {
        name: [(float(line.connections or 1), line.median(kind, name) / 1e3) for line in measured]
        for name in ("p50", "p99")
    }
