"""What there is to measure, by name, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bench import catch_up, durability, failover, keys, layers, load, scale
from bench.load import LOADS
from bench.options import Options


class Piece(NamedTuple):
    """One part of a run, with figures and a section of the page of its own."""

    name: str
    what: str
    measure: Callable[[Options], dict[str, Any]]
    page: Callable[[dict[str, Any]], str]


PIECES = (
    Piece("load", "one member under load: puts, ranges, transactions, leases", load.measure_load, LOADS["load"].page),
    Piece("three", "three members under load, through the leader", LOADS["three"].measure, LOADS["three"].page),
    Piece("watch", "watch: fan-out, latency, many watchers", LOADS["watch"].measure, LOADS["watch"].page),
    Piece("large", "large values", LOADS["large"].measure, LOADS["large"].page),
    Piece("h11", "the same with --http-engine h11", LOADS["h11"].measure, LOADS["h11"].page),
    Piece("keys", "many keys: memory, start-up time, sizes on disk", keys.measure, keys.page),
    Piece("scale", "many leases, watchers and keys: what each costs", scale.measure, scale.page),
    Piece("failover", "time without a leader after kill -9", failover.measure, failover.page),
    Piece("catch-up", "a follower that was away", catch_up.measure, catch_up.page),
    Piece("layers", "CPU time of an operation by layer", layers.measure, layers.page),
    Piece("durability", "what was acknowledged survives", durability.measure, durability.page),
)


def piece_of(name: str) -> Piece:
    """The piece of that name."""
    return next(piece for piece in PIECES if piece.name == name)
