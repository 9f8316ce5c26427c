"""The order in which etcd leaves versions that compare equal.

etcd sorts a range with Go's `sort.Sort`, which is not stable, so where versions are equal the order of its answer is
what that algorithm makes of their order by key. The releases of Go up to 1.18, which built etcd 3.4 and 3.5.1,
sort like this (after J. L. Bentley and M. D. McIlroy, "Engineering a Sort Function", 1993):

    up to 12 elements   one pass that exchanges elements six apart, then an insertion sort
    more                quicksort around a median of three (of nine above 40), in which what equals the pivot is
                        gathered in the middle once it looks frequent; heapsort where it recurses too deep

Whoever asks for an order with equals in it sees the same answer as of etcd, up to `_FOLLOWED_MAX` elements: beyond
those it would hold up the member (20 milliseconds for ten thousand), and equals stay in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")
_SMALL_MAX: Final = 12
_GAP: Final = 6
_NINTHER_MIN: Final = 41
_FOLLOWED_MAX: Final = 10_000
_RARE_MAX: Final = 5  # so few above the pivot: by the choice of the pivot, then others equal it


def go_sorted(items: list[T], *, key: Callable[[T], Any], descending: bool) -> list[T]:
    """The items in order, as a new list."""
    ordered = sorted(items, key=key, reverse=descending)
    if len(items) <= _GAP or len(items) > _FOLLOWED_MAX:
        return ordered
    keys = [key(item) for item in ordered]
    if all(keys[index] != keys[index + 1] for index in range(len(keys) - 1)):
        return ordered
    ranks = {value: rank for rank, value in enumerate(keys)}
    sorter = _Sorter([ranks[key(item)] for item in items])
    sorter.sort()
    return [items[index] for index in sorter.order]


class _Sorter:
    """Sorts positions by their ranks, exchange by exchange as Go does it. Ranges are half open: [low, high)."""

    def __init__(self, ranks: list[int]) -> None:
        self._ranks = ranks
        self.order = list(range(len(ranks)))  # position -> which of the given elements stands there

    def sort(self) -> None:
        """Sort all."""
        self._quicksort(0, len(self._ranks), 2 * len(self._ranks).bit_length())

    def _swap(self, one: int, other: int) -> None:
        ranks, order = self._ranks, self.order
        ranks[one], ranks[other] = ranks[other], ranks[one]
        order[one], order[other] = order[other], order[one]

    def _quicksort(self, low: int, high: int, depth: int) -> None:
        while high - low > _SMALL_MAX:
            if depth == 0:
                self._heapsort(low, high)
                return
            depth -= 1
            below, above = self._partition(low, high)
            if below - low < high - above:  # the smaller side first: neither sees the other
                self._quicksort(low, below, depth)
                low = above
            else:
                self._quicksort(above, high, depth)
                high = below
        self._sort_small(low, high)

    def _sort_small(self, low: int, high: int) -> None:
        ranks = self._ranks
        for index in range(low + _GAP, high):
            if ranks[index] < ranks[index - _GAP]:
                self._swap(index, index - _GAP)
        for index in range(low + 1, high):
            while index > low and ranks[index] < ranks[index - 1]:
                self._swap(index, index - 1)
                index -= 1

    def _partition(self, low: int, high: int) -> tuple[int, int]:
        """Move what is below the pivot to its left and what is above to its right; where these two parts end."""
        middle = (low + high) // 2
        self._choose_pivot(low, middle, high)
        ranks = self._ranks
        pivot = ranks[low]
        first_equal, unseen, above = low + 1, low + 1, high - 1
        while first_equal < above and ranks[first_equal] < pivot:
            first_equal += 1
        unseen = first_equal
        while True:
            while unseen < above and ranks[unseen] <= pivot:
                unseen += 1
            while unseen < above and ranks[above - 1] > pivot:
                above -= 1
            if unseen >= above:
                break
            self._swap(unseen, above - 1)
            unseen += 1
            above -= 1
        equals = unseen
        frequent = high - above < _RARE_MAX
        if not frequent and high - above < (high - low) // 4:
            equals, above, frequent = self._probe(middle, high, equals, above, pivot)
        if frequent:
            equals = self._gather(first_equal, equals, pivot)
        self._swap(low, equals - 1)
        return equals - 1, above

    def _choose_pivot(self, low: int, middle: int, high: int) -> None:
        last = high - 1
        if high - low >= _NINTHER_MIN:
            step = (high - low) // 8
            self._median(low, low + step, low + 2 * step)
            self._median(middle, middle - step, middle + step)
            self._median(last, last - step, last - 2 * step)
        self._median(low, middle, last)

    def _median(self, target: int, one: int, other: int) -> None:
        """Move the median of three to `target`."""
        ranks = self._ranks
        if ranks[target] < ranks[one]:
            self._swap(target, one)
        if ranks[other] < ranks[target]:
            self._swap(other, target)
            if ranks[target] < ranks[one]:
                self._swap(target, one)

    def _probe(self, middle: int, high: int, equals: int, above: int, pivot: int) -> tuple[int, int, bool]:
        """Look at three elements: if two of them equal the pivot, it is taken to be frequent."""
        ranks = self._ranks
        found = 0
        if ranks[high - 1] <= pivot:
            self._swap(above, high - 1)
            above += 1
            found += 1
        if ranks[equals - 1] >= pivot:
            equals -= 1
            found += 1
        if ranks[middle] >= pivot:
            self._swap(middle, equals - 1)
            equals -= 1
            found += 1
        return equals, above, found > 1

    def _gather(self, start: int, equals: int, pivot: int) -> int:
        """Move what equals the pivot, of [start, equals), to the end of it; where that begins then."""
        ranks = self._ranks
        while True:
            while start < equals and ranks[equals - 1] >= pivot:
                equals -= 1
            while start < equals and ranks[start] < pivot:
                start += 1
            if start >= equals:
                return equals
            self._swap(start, equals - 1)
            start += 1
            equals -= 1

    def _heapsort(self, low: int, high: int) -> None:
        size = high - low
        for root in range((size - 1) // 2, -1, -1):
            self._sift_down(root, size, low)
        for end in range(size - 1, -1, -1):
            self._swap(low, low + end)
            self._sift_down(0, end, low)

    def _sift_down(self, root: int, size: int, low: int) -> None:
        ranks = self._ranks
        while (child := 2 * root + 1) < size:
            if child + 1 < size and ranks[low + child] < ranks[low + child + 1]:
                child += 1
            if ranks[low + root] >= ranks[low + child]:
                return
            self._swap(low + root, low + child)
            root = child
