"""The order of what compares equal, as seen on etcd 3.5.1 (the conformance suite asks it about many more)."""

from __future__ import annotations

import random

import pytest

from trioetcd.storage.mvcc.go_sort import _FOLLOWED_MAX, _Sorter, go_sorted


def sorted_numbers(values: list[int], *, descending: bool = False) -> list[int]:
    """Which of the values stands where, once they are in order."""
    rows = go_sorted(list(enumerate(values)), key=lambda row: row[1], descending=descending)
    return [number for number, _ in rows]


def test_seven() -> None:
    values = [0 if number % 3 == 0 else 1 for number in range(7)]
    assert sorted_numbers(values) == [0, 3, 6, 1, 2, 4, 5]
    assert sorted_numbers(values, descending=True) == [1, 2, 4, 5, 0, 3, 6]


def test_twenty_equals() -> None:
    assert sorted_numbers([1] * 20) == sorted_numbers([1] * 20, descending=True) == list(range(20))


# fmt: off
FIFTY_UP = [
    18, 30, 48, 3, 27, 36, 6, 0, 45, 9, 24, 21, 12, 39, 42, 15, 33, 16, 40, 19, 13, 43, 22, 37, 10,
    7, 46, 4, 28, 34, 1, 31, 25, 49, 41, 35, 26, 23, 38, 20, 17, 29, 14, 11, 44, 8, 5, 47, 2, 32,
]
FIFTY_DOWN = [
    32, 29, 2, 47, 35, 5, 26, 23, 8, 44, 38, 11, 20, 17, 14, 41, 16, 13, 40, 19, 43, 10, 22, 7, 37,
    25, 46, 4, 28, 1, 34, 31, 49, 33, 30, 27, 36, 24, 21, 39, 18, 15, 42, 12, 9, 45, 6, 3, 48, 0,
]
# fmt: on


def test_fifty_of_three_kinds() -> None:
    values = [number % 3 for number in range(50)]
    assert sorted_numbers(values) == FIFTY_UP
    assert sorted_numbers(values, descending=True) == FIFTY_DOWN


@pytest.mark.parametrize("count", [0, 1, 2, 6, 12, 13, 40, 41, 300, _FOLLOWED_MAX + 1])
@pytest.mark.parametrize("kinds", [1, 2, 7, 1000])
def test_it_sorts(count: int, kinds: int) -> None:
    values = [random.Random(f"{count} {kinds} {number}").randrange(kinds) for number in range(count)]
    for descending in (False, True):
        found = sorted_numbers(values, descending=descending)
        assert sorted(found) == list(range(count))
        assert [values[number] for number in found] == sorted(values, reverse=descending)


def test_the_heapsort_below_sorts_as_well() -> None:
    ranks = [random.Random(number).randrange(20) for number in range(100)]
    sorter = _Sorter(list(ranks))
    sorter._quicksort(10, 90, 0)  # no depth is left
    assert [ranks[number] for number in sorter.order] == [*ranks[:10], *sorted(ranks[10:90]), *ranks[90:]]
