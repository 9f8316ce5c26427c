r"""Which keys a user may read and write: the union of what its roles are granted, ready for questions.

A question is the range as the client gave it: no range end is one key, an end of `\0` is "from key on". A range is
permitted if the union covers all of it, though several grants had to be put together for that. A range that ends
before it begins holds no key; etcd permits it if its first key is permitted, and so do we.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, NamedTuple

from trioetcd.api import messages as m
from trioetcd.storage.auth.records import Grant

FROM_KEY: Final = b"\0"
"""The range end that stands for all keys from the first on."""

_READS: Final = frozenset((int(m.PermissionType.READ), int(m.PermissionType.READWRITE)))
_WRITES: Final = frozenset((int(m.PermissionType.WRITE), int(m.PermissionType.READWRITE)))

_Interval = tuple[bytes, bytes | None]  # [start, end), None is no end


class KeyRanges:
    """A set of keys: disjoint intervals that do not touch, in order."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, intervals: Iterable[_Interval]) -> None:
        self._starts: list[bytes] = []
        self._ends: list[bytes | None] = []
        for start, end in sorted(intervals, key=lambda interval: interval[0]):
            self._add(start, end)

    def _add(self, start: bytes, end: bytes | None) -> None:
        if self._starts:
            last = self._ends[-1]
            if last is None or start <= last:
                if last is not None and (end is None or end > last):
                    self._ends[-1] = end
                return
        self._starts.append(start)
        self._ends.append(end)

    def covers(self, key: bytes, range_end: bytes) -> bool:
        """Whether every key of a range, as it stands in a request, is in the set."""
        place = bisect_right(self._starts, key) - 1
        if place < 0:
            return False
        end = self._ends[place]
        return end is None or (key < end and range_end != FROM_KEY and range_end <= end)


class Permitted(NamedTuple):
    """What a user may do without being root."""

    readable: KeyRanges
    writable: KeyRanges


def permitted_by(grants: Iterable[Grant]) -> Permitted:
    """The union of grants. One of an unknown kind, without a key, or of a range that is empty gives nothing."""
    grants = [grant for grant in grants if grant.key]
    return Permitted(
        readable=KeyRanges(_interval(grant) for grant in grants if grant.kind in _READS and _holds_keys(grant)),
        writable=KeyRanges(_interval(grant) for grant in grants if grant.kind in _WRITES and _holds_keys(grant)),
    )


def _holds_keys(grant: Grant) -> bool:
    return grant.range_end in (b"", FROM_KEY) or grant.key < grant.range_end


def _interval(grant: Grant) -> _Interval:
    if not grant.range_end:
        return grant.key, grant.key + b"\0"
    return grant.key, None if grant.range_end == FROM_KEY else grant.range_end
