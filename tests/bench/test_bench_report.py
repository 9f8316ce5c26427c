"""The page, its pictures, the floors, and how samples of a profiler are folded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from bench.charts import bars, curves
from bench.floors import floors_table
from bench.keys import side_by_side
from bench.layers import fold
from bench.lines import Line
from bench.measure import Measurement
from bench.pieces import PIECES
from bench.report import read_pieces, write_piece, write_results
from bench.scale import ROWS


def line(workload: str, connections: int | None, etcd: float, trioetcd: float, p99: float = 2000) -> dict[str, Any]:
    """A line of so many operations a second; trioetcd's latencies are half of etcd's."""
    latency = {"p50": 500.0, "p90": 600.0, "p99": p99, "worst": 9000.0}
    half = {name: value / 2 for name, value in latency.items()}
    made = Line(workload, "what it is", connections)
    made.samples = {
        "etcd": [Measurement(operations=int(etcd), seconds=1, **latency)],
        "trioetcd": [Measurement(operations=int(trioetcd), seconds=1, **half)],
    }
    return made.to_json()


@pytest.fixture
def told() -> dict[str, dict[str, Any]]:
    """Figures of a run."""
    common = {"machine": "a machine", "took_seconds": 1.0}
    load = [line("put", 1, 1000, 1400), line("put", 64, 9000, 18000), line("range", 64, 10, 30)]
    kills = {"etcd": [{"leader": 1.0, "put": 1.1}], "trioetcd": [{"leader": 1.5, "put": 1.6}]}
    return {
        "load": common | {"settings": {"members": 1}, "lines": load},
        "failover": common | {"settings": {"members": 3, "flags": ["a", "b"]}, "kills": kills},
    }


def test_the_page_is_made_from_what_was_measured(tmp_path: Path, told: dict[str, dict[str, Any]]) -> None:
    folder = tmp_path / "results"
    for name, piece in told.items():
        write_piece(folder, name, piece)
    (folder / "notes.md").write_text("What people wrote.\n")
    write_results(folder, tmp_path / "RESULTS.md")
    page = (tmp_path / "RESULTS.md").read_text()
    assert read_pieces(folder) == json.loads(json.dumps(told))
    assert (
        page.index("a machine") < page.index("## load:") < page.index("## failover:") < page.index("What people wrote")
    )
    assert "![throughput](results/throughput.svg)" in page
    for name in ("throughput", "latency-put", "latency-range"):
        ET.fromstring((folder / f"{name}.svg").read_text())
    assert page.endswith("\n")


def test_a_floor_is_held_or_missed(told: dict[str, dict[str, Any]]) -> None:
    rows = {row.split("|")[1].strip(): row for row in floors_table(told).splitlines()[2:]}
    assert "missed" in rows["put, 1 connections"]
    assert "2.00" in rows["put, 64 connections"]
    assert "missed" not in rows["put, 64 connections"]
    assert "missed" not in rows["put, 64 connections: p99"]
    assert "missed" in rows["time without a leader after kill -9"]
    assert floors_table({}) == "Nothing of it was measured."


def test_pieces_have_names_of_their_own() -> None:
    assert len({piece.name for piece in PIECES}) == len(PIECES)


def test_figures_stand_side_by_side() -> None:
    figures = {name: 2.0 for _, name, _ in ROWS}
    text = side_by_side(ROWS, {"etcd": figures, "trioetcd": dict.fromkeys(figures, 3.0)})
    assert text.count("1.50") == len(ROWS)
    assert "| -" in side_by_side(ROWS[:1], {"trioetcd": figures})


def test_pictures_stay_within_their_frame() -> None:
    picture = curves("title & more", {"etcd": {"p50": [(1, 0.01), (1000, 900.0)], "p99": []}})
    root = ET.fromstring(picture)
    circles = [element for element in root.iter() if element.tag.endswith("circle")]
    assert len(circles) == 2
    assert all(0 <= float(c.attrib["cx"]) <= 760 and 0 <= float(c.attrib["cy"]) <= 400 for c in circles)
    root = ET.fromstring(bars("t", [("put", {"etcd": 1, "trioetcd": 2})]))
    widths = [element.attrib["width"] for element in root.iter() if element.tag.endswith("rect")]
    assert widths[-2:] == ["230.0", "460.0"]


def test_samples_count_for_the_innermost_layer() -> None:
    base = "/somewhere/lib"
    stacks = [
        (
            [
                f"run ({base}/trio/_core/_run.py)",
                f"serve ({base}/trioetcd/http11/server.py)",
                "<listcomp> (codecs.py:9)",
            ],
            3,
        ),
        ([f"serve ({base}/trioetcd/http11/server.py)", f"apply ({base}/trioetcd/storage/mvcc/store.py:12)"], 2),
        ([f"apply ({base}/trioetcd/storage/machine.py)", f"get ({base}/trioetcd/storage/engine.py)"], 1),
        ([f"run ({base}/trioetcd/node/driver.py)"], 4),
        (["main (made_up.py:1)"], 5),
        ([f"_work ({base}/trio/_core/_thread_cache.py)"], 100),
    ]
    by_layer, by_function = fold(stacks)
    assert by_layer == {"http11": 3, "mvcc, machine": 2, "engine": 1, "raft, driver": 4, "other": 5}
    assert by_function["apply (trioetcd/storage/mvcc/store.py)"] == 2
