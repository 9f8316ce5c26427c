"""Which ranges hold a key: asked at every put, with thousands of ranges, most of which do not.

Ranges with an end are kept in an array sorted by start, read as a balanced search tree, each node of which knows the
greatest end below it: branches that end before the key, or start after it, are not entered. The array is rebuilt only
when enough ranges have come or gone; the few newest ranges wait beside it. Ranges without an end are sorted by start
alone.

Equal ranges share one entry, so that a thousand watchers of one prefix are one range here.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import Final, Generic, NamedTuple, TypeVar

from sortedcontainers import SortedDict

T = TypeVar("T")
_RECENT_MAX: Final = 64


class _Node(NamedTuple):
    start: bytes
    end: bytes
    end_max: bytes  # of this node and all below it


class RangeIndex(Generic[T]):
    """A set of (range, member). A range is [start, end), or with an end of None everything from start on."""

    def __init__(self) -> None:
        self._bounded: dict[tuple[bytes, bytes], dict[T, None]] = {}
        self._unbounded: SortedDict = SortedDict()  # start: ordered set of members
        self._nodes: list[_Node] = []
        self._placed: set[tuple[bytes, bytes]] = set()  # what is in _nodes, gone or not
        self._starts: list[bytes] = []  # of the nodes
        self._end_max_up_to: list[bytes] = []  # of each node and all before it: most keys are ruled out by one look
        self._recent: dict[tuple[bytes, bytes], None] = {}  # in _bounded, not in _nodes
        self._gone = 0  # in _nodes, not in _bounded

    def __bool__(self) -> bool:
        return bool(self._bounded) or bool(self._unbounded)

    def add(self, start: bytes, end: bytes | None, member: T) -> None:
        """Add a member to a range."""
        if end is None:
            self._unbounded.setdefault(start, {})[member] = None
            return
        members = self._bounded.get((start, end))
        if members is None:
            members = self._bounded[start, end] = {}
            if (start, end) in self._placed:
                self._gone -= 1
            else:
                self._recent[start, end] = None
                if len(self._recent) > _RECENT_MAX:
                    self._rebuild()
        members[member] = None

    def remove(self, start: bytes, end: bytes | None, member: T) -> None:
        """Take a member out of the range that it was added to."""
        if end is None:
            members = self._unbounded[start]
            del members[member]
            if not members:
                del self._unbounded[start]
            return
        members = self._bounded[start, end]
        del members[member]
        if not members:
            del self._bounded[start, end]
            if (start, end) in self._recent:
                del self._recent[start, end]
            else:
                self._gone += 1
                if self._gone > _RECENT_MAX + len(self._bounded):
                    self._rebuild()

    def find(self, key: bytes) -> list[T]:
        """The members whose ranges hold the key."""
        found: list[T] = []
        for start, end in self._recent:
            if start <= key < end:
                found += self._bounded[start, end]
        before = bisect_right(self._starts, key)
        if before and self._end_max_up_to[before - 1] > key:
            self._find_in_tree(key, found)
        if self._unbounded:
            for start in self._unbounded.irange(None, key):
                found += self._unbounded[start]
        return found

    def _find_in_tree(self, key: bytes, found: list[T]) -> None:
        """The nodes in [low, high) are a tree whose root is the middle one."""
        stack = [(0, len(self._nodes))]
        while stack:
            low, high = stack.pop()
            if low >= high:
                continue
            middle = (low + high) // 2
            start, end, end_max = self._nodes[middle]
            if end_max <= key:
                continue
            if start <= key:
                if key < end:
                    found += self._bounded.get((start, end), ())
                stack.append((middle + 1, high))
            stack.append((low, middle))

    def _rebuild(self) -> None:
        ranges = sorted(self._bounded)
        nodes: list[_Node] = [_Node(start, end, end) for start, end in ranges]
        _set_end_max(nodes, 0, len(nodes))
        self._nodes = nodes
        self._placed = set(ranges)
        self._starts = [start for start, _ in ranges]
        self._end_max_up_to = list(accumulate((end for _, end in ranges), max))
        self._recent.clear()
        self._gone = 0


def _set_end_max(nodes: list[_Node], low: int, high: int) -> bytes:
    if low >= high:
        return b""
    middle = (low + high) // 2
    below = max(_set_end_max(nodes, low, middle), _set_end_max(nodes, middle + 1, high))
    end_max = max(nodes[middle].end, below)
    nodes[middle] = nodes[middle]._replace(end_max=end_max)
    return end_max
