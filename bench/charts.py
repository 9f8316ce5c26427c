"""Pictures of the figures, as SVG written by hand: bars for throughput, curves for latency against load."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH = 760
COLOURS = {"etcd": "#8b93a1", "trioetcd": "#2f6fde"}
TEXT = "#30343b"
GRID = "#e3e6ea"
BAR, GAP, LABEL, TOP = 13, 12, 190, 52
PLOT_HEIGHT, LEFT, BOTTOM, RIGHT = 300, 70, 46, 50

Point = tuple[float, float]


def bars(title: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Horizontal bars, one for each server in every row, with its figure; each row has a scale of its own.

    Rates of different workloads differ by orders of magnitude, so what can be compared are the bars of one row.
    """
    parts, y = [_legend(title)], float(TOP)
    room = WIDTH - LABEL - 110
    for label, values in rows:
        most = max(values.values(), default=0) or 1
        parts.append(_text(LABEL - 10, y + BAR + 4, label, anchor="end"))
        for kind, value in values.items():
            width = value / most * room
            parts.append(f'<rect x="{LABEL}" y="{y:.1f}" width="{width:.1f}" height="{BAR}" fill="{COLOURS[kind]}"/>')
            parts.append(_text(LABEL + width + 6, y + BAR - 2, f"{value:,.0f}/s", size=11))
            y += BAR
        y += GAP
    return _svg(y, parts)


def curves(title: str, lines: Mapping[str, Mapping[str, Sequence[Point]]]) -> str:
    """Latency in ms against connections, both logarithmic; `lines` by server, then by percentile.

    The first percentile of a server is drawn solid, the others dashed.
    """
    points = [point for named in lines.values() for series in named.values() for point in series]
    ticks = sorted({x for x, _ in points})
    right = math.log10(max([10.0, *ticks]))
    lows = [y for _, y in points if y > 0] or [1]
    low, high = math.floor(math.log10(min(lows))), max(math.ceil(math.log10(max(lows))), 1)

    def place(x: float, y: float) -> Point:
        down = (high - math.log10(max(y, 10**low))) / (high - low)
        return LEFT + math.log10(max(x, 1)) / right * (WIDTH - LEFT - RIGHT), TOP + down * PLOT_HEIGHT

    parts = [_legend(title), *_axes(place, ticks, low, high)]
    for kind, named in lines.items():
        for number, (name, series) in enumerate(named.items()):
            parts += _curve([place(*point) for point in series], COLOURS[kind], name, dashed=number > 0)
    return _svg(TOP + PLOT_HEIGHT + BOTTOM, parts)


def _axes(place: Callable[[float, float], Point], ticks: Sequence[float], low: int, high: int) -> list[str]:
    parts = []
    for power in range(low, high + 1):
        _, y = place(1, 10.0**power)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{10.0**power:g} ms", anchor="end", size=11))
    for tick in ticks:
        x, y = place(tick, 10.0**low)
        parts.append(_text(x, y + 18, f"{tick:,.0f}", anchor="middle", size=11))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, TOP + PLOT_HEIGHT + 38, "connections", anchor="middle", size=11))
    return parts


def _curve(points: Sequence[Point], colour: str, name: str, *, dashed: bool) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    style = ' stroke-dasharray="5 4"' if dashed else ""
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{style}/>']
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    if points:
        x, y = points[-1]
        parts.append(_text(x + 6, y - 6, name, size=11))
    return parts


def _legend(title: str) -> str:
    parts = [_text(12, 20, title, size=14)]
    for number, (kind, colour) in enumerate(COLOURS.items()):
        x = 12 + 80 * number
        parts.append(f'<rect x="{x}" y="30" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(x + 15, 39, kind, size=11))
    return "".join(parts)


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{TEXT}">{escape(text)}</text>'
    )


def _svg(height: float, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" font-family="sans-serif">\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n{body}\n</svg>\n'
    )
