"""The order in which etcd leaves versions that compare equal.

etcd sorts a range with Go's `sort.Sort`, which is not stable. Up to 12 elements it is one pass that exchanges elements
six apart, then an insertion sort; that much is followed here, so that small answers are etcd's to the letter. Beyond
that etcd's order of equals depends on the Go release it was built with, and ours is by key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")
_SMALL_MAX: Final = 12
_GAP: Final = 6


def go_sorted(items: list[T], *, key: Callable[[T], Any], descending: bool) -> list[T]:
    """The items in order, as a new list."""
    items = list(items)
    if _GAP < len(items) <= _SMALL_MAX:
        for low in range(len(items) - _GAP):
            first, second = items[low], items[low + _GAP]
            if key(first) < key(second) if descending else key(second) < key(first):
                items[low], items[low + _GAP] = second, first
    items.sort(key=key, reverse=descending)
    return items
