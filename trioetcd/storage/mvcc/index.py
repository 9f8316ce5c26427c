"""The ordered index of keys: which revisions a key has, and which keys a range holds.

Two dicts hold the revisions (numbers of `mvcc.revision`): the newest of each key, and the earlier ones of those keys
that have any. Two sorted lists hold the keys: those that live now, and those whose newest revision is a tombstone. So
the common questions (the newest revision of a key, the number of keys in a range now) never look at history, and a
compaction looks only at keys that have something to remove.

Keys and numbers are no containers, and lists of them are untracked, so the cyclic garbage collector looks at nothing
but one pointer a key that has earlier revisions. Measured with 1,000,000 keys of 20 bytes and one revision each: 154
bytes a key, 3 s to build, 2.8 us to add a revision.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain

from trioetcd.storage.mvcc.revision import MAIN_SHIFT, NO_REVISION, TOMBSTONE
from trioetcd.storage.mvcc.untracked import SortedKeys, untracked

FROM_KEY = b"\0"
"""As the end of a range: everything from its key on."""


class KeyIndex:
    """Every retained revision of every key. Ranges are [key, end); an `end` of None is beyond the last key."""

    def __init__(self) -> None:
        self._newest: dict[bytes, int] = {}
        self._earlier: dict[bytes, list[int]] = {}  # ascending; each list has at least one; keys are those of _newest
        self._live = SortedKeys()
        self._dead = SortedKeys()  # _live and _dead together are the keys of _newest

    @property
    def live_count(self) -> int:
        """How many keys live now."""
        return len(self._live)

    # -- changes

    def add(self, key: bytes, rev: int) -> None:
        """Add a revision newer than all the key has: a value, or a tombstone for a key that lives."""
        before = self._newest.get(key, NO_REVISION)
        self._newest[key] = rev
        if not before:
            self._live.add(key)
            return
        _append(self._earlier, key, before)
        if before & TOMBSTONE:
            self._dead.remove(key)
            self._live.add(key)
        elif rev & TOMBSTONE:
            self._live.remove(key)
            self._dead.add(key)

    # -- reads

    def newest(self, key: bytes) -> int:
        """The revision at which the key has its value now; NO_REVISION if it has none."""
        rev = self._newest.get(key, NO_REVISION)
        return NO_REVISION if rev & TOMBSTONE else rev

    def at(self, key: bytes, main: int) -> int:
        """The revision at which the key had its value at main revision `main`; NO_REVISION if it had none."""
        rev = self._newest.get(key, NO_REVISION)
        if rev >> MAIN_SHIFT > main:
            rev = self._last_up_to(self._earlier.get(key, ()), main)
        return NO_REVISION if rev & TOMBSTONE else rev

    @staticmethod
    def _last_up_to(revs: list[int] | tuple[()], main: int) -> int:
        position = bisect_left(revs, main + 1 << MAIN_SHIFT)
        return revs[position - 1] if position else NO_REVISION

    def count_live(self, key: bytes, end: bytes | None) -> int:
        """How many keys of the range live now; costs no walk."""
        low, high = _bounds(self._live, key, end)
        return high - low

    def live(self, key: bytes, end: bytes | None, limit: int = 0) -> list[bytes]:
        """The keys of the range that live now, in order; at most `limit` if that is not 0."""
        low, high = _bounds(self._live, key, end)
        if limit:
            high = min(high, low + limit)
        return list(self._live.islice(low, high))

    def lived(self, key: bytes, end: bytes | None, main: int) -> list[int]:
        """The revisions that the keys of the range had at main revision `main`, in the order of keys.

        A walk over the range: 0.2 us a key.
        """
        keys = [*self._live.islice(*_bounds(self._live, key, end))]
        dead = [*self._dead.islice(*_bounds(self._dead, key, end))]
        if dead:
            keys += dead
            keys.sort()  # two runs in order, which is what the sort is best at
        newest, earlier = self._newest, self._earlier
        first_after = main + 1 << MAIN_SHIFT
        revs: list[int] = []
        for one in keys:
            rev = newest[one]
            if rev >= first_after:
                rev = self._last_up_to(earlier.get(one, ()), main)
            if rev and not rev & TOMBSTONE:
                revs.append(rev)
        return revs

    def any_lived(self, main: int) -> bool:
        """Whether any key at all had a value at main revision `main`."""
        return any(self.at(one, main) for one in chain(self._live, self._dead))

    # -- compaction

    def compactable(self) -> list[bytes]:
        """The keys that a compaction has to look at: all others have one revision, and live."""
        return [*self._earlier, *(key for key in self._dead if key not in self._earlier)]

    def compact(self, key: bytes, main: int) -> list[int]:
        """Forget what a compaction at `main` removes of the key; return it.

        Kept are all changes at `main` and after it (who watches from there has to see them, deletions too), and what
        was the key's value at `main` if an earlier change made it.
        """
        newest = self._newest.get(key, NO_REVISION)
        if not newest:
            return []
        revs = [*self._earlier.get(key, ()), newest]
        kept_from = bisect_left(revs, main << MAIN_SHIFT)
        is_changed_at_main = kept_from < len(revs) and revs[kept_from] >> MAIN_SHIFT == main
        if kept_from and not is_changed_at_main and not revs[kept_from - 1] & TOMBSTONE:
            kept_from -= 1
        if kept_from:
            self._keep(key, revs[kept_from:])
        return revs[:kept_from]

    def is_kept(self, key: bytes, rev: int, main: int) -> bool:
        """Whether a compaction at `main` leaves this revision, whether or not it has come to the key yet."""
        return rev >> MAIN_SHIFT >= main or self.at(key, main) == rev

    def _keep(self, key: bytes, revs: list[int]) -> None:
        if len(revs) > 1:
            self._earlier[key] = untracked(revs[:-1])
            return
        self._earlier.pop(key, None)
        if not revs:
            del self._newest[key]
            self._dead.remove(key)

    # -- open

    @classmethod
    def build(cls, records: Iterator[tuple[bytes, int]]) -> KeyIndex:
        """An index of (key, revision) pairs in ascending order of revision; the keys are sorted once, at the end."""
        index = cls()
        newest, earlier = index._newest, index._earlier
        for key, rev in records:
            before = newest.get(key)
            newest[key] = rev
            if before is not None:
                _append(earlier, key, before)
        index._live = SortedKeys(key for key, rev in newest.items() if not rev & TOMBSTONE)
        index._dead = SortedKeys(key for key, rev in newest.items() if rev & TOMBSTONE)
        return index


def _append(earlier: dict[bytes, list[int]], key: bytes, rev: int) -> None:
    revs = earlier.get(key)
    if revs is None:
        earlier[key] = untracked([rev])
    else:
        revs.append(rev)


def _bounds(keys: SortedKeys, key: bytes, end: bytes | None) -> tuple[int, int]:
    """The places of a range's keys in a sorted list."""
    low: int = keys.bisect_left(key)
    high: int = len(keys) if end is None else keys.bisect_left(end)
    return low, max(low, high)
