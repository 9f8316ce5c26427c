"""A revision as one number, and as the engine's key.

etcd's revision is a pair: main, one for each request that changes keys, and sub, the place of a change within that
request. Here both are one int, so that an index of a million keys holds a million small ints and compares them as such:

    main << 32 | sub << 1 | tombstone        in the engine: prefix, then the 12 bytes of that number, big-endian

Two changes never share main and sub, so the tombstone mark in the last bit does not disturb the order.
"""

from __future__ import annotations

from typing import Final

from trioetcd.storage.schema import REVISION_PREFIX

MAIN_SHIFT: Final = 32
TOMBSTONE: Final = 1
NO_REVISION: Final = 0
_SUB_MASK: Final = 2**32 - 1


def revision(main: int, sub: int, *, tombstone: bool = False) -> int:
    """The number of a revision."""
    return main << MAIN_SHIFT | sub << 1 | tombstone


def main_of(rev: int) -> int:
    """The main part: what clients call the revision."""
    return rev >> MAIN_SHIFT


def sub_of(rev: int) -> int:
    """The place of the change within its request."""
    return (rev & _SUB_MASK) >> 1


def record_key(rev: int) -> bytes:
    """The engine's key of a revision."""
    return REVISION_PREFIX + rev.to_bytes(12, "big")


def revision_of_record(key: bytes) -> int:
    """The revision of an engine's key."""
    return int.from_bytes(key[1:], "big")


def first_record_of(main: int) -> bytes:
    """The engine's key from which the records of main revision `main` begin."""
    return record_key(main << MAIN_SHIFT)
