"""Lists that Python's cyclic garbage collector passes over.

A list of keys or of revisions cannot be part of a cycle, for it holds nothing that refers to anything. Python itself
passes over tuples and dicts of such; it looks through every list, though. With 800,000 keys that came since the start,
a collection took 30 ms for the sorted keys alone, while everybody waited; so lists that an index of keys grows by are
taken out (`PyObject_GC_UnTrack` of the C API, which a list's own end calls as well; 0.2 us).
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

from sortedcontainers import SortedList

_untrack = ctypes.pythonapi.PyObject_GC_UnTrack
_untrack.argtypes = (ctypes.py_object,)
_untrack.restype = None


def untracked(numbers: list[int]) -> list[int]:
    """The same list, which nothing but numbers may ever be put in."""
    _untrack(numbers)
    return numbers


class SortedKeys(SortedList):  # type: ignore[misc] # it has no types
    """A `SortedList` of `bytes`, whose parts are untracked, but for the one that an empty list begins with."""

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        super().__init__(keys)
        for part in self._lists:
            _untrack(part)

    def _expand(self, pos: int) -> None:
        """After a key was added to a part: if the part is too long, the list is given one more, right behind it."""
        parts = len(self._lists)
        super()._expand(pos)
        if len(self._lists) > parts:
            _untrack(self._lists[pos + 1])
