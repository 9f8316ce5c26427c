"""How large an entry counts for the limits in `Config`, in bytes.

Two measures, as in the field. The *encoded* size is that of the entry as a protocol buffer (the paging of messages
and of committed entries goes by it, so that transcripts page where others do). The *payload* size is that of the
data alone: an empty entry costs nothing, so a new leader's first entry, and the entry that leaves a joint
configuration, are never refused for their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, takewhile

from trioetcd.raft.types import NO_LIMIT, Entry


def entry_size(entry: Entry) -> int:
    """The encoded size of one entry: three tagged varints (type in one byte), and the data with its length."""
    term, index, _, data = entry
    size = 4 + varint_size(term) + varint_size(index)
    return size + 1 + varint_size(len(data)) + len(data) if data else size


def varint_size(value: int) -> int:
    """How many groups of seven bits a value takes; zero takes one."""
    return ((value | 1).bit_length() + 6) // 7


def entries_size(entries: Iterable[Entry]) -> int:
    """The encoded size of entries together."""
    return sum(map(entry_size, entries))


def payload_size(entries: Iterable[Entry]) -> int:
    """The size of the entries' data together."""
    return sum([len(entry.data) for entry in entries])


def limit_size(entries: Sequence[Entry], size_bytes_max: int) -> Sequence[Entry]:
    """The longest prefix within the limit, but never less than one entry of a non-empty sequence."""
    if size_bytes_max >= NO_LIMIT or len(entries) <= 1:
        return entries
    totals = accumulate(map(entry_size, entries))
    fitting = sum(1 for _ in takewhile(lambda total: total <= size_bytes_max, totals))
    return entries if fitting == len(entries) else entries[: max(fitting, 1)]
