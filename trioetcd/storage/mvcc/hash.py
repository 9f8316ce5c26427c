"""HashKV: one number for what the keys were at a revision, equal on all members, and equal to etcd's for one history.

CRC-32C over, in this order:

    "key"                                                          the name of etcd's bucket
    for each record up to the revision, in order of revisions:
        8 bytes main | "_" | 8 bytes sub | "t" for a tombstone     etcd's key of the record
        mvccpb.KeyValue in protobuf                                of a tombstone: the key alone

What compaction leaves is what counts, not how far it has come: of the records up to the compact revision only those
that a compaction at the hashed revision would keep. (etcd's quirk is kept too: if that would keep nothing at all, then
all that the last compaction leaves.)
"""

from __future__ import annotations

from itertools import islice
from struct import Struct
from typing import Final, NamedTuple

import google_crc32c

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.mvcc.records import key_and_lease
from trioetcd.storage.mvcc.revision import MAIN_SHIFT, TOMBSTONE, main_of, revision_of_record, sub_of
from trioetcd.storage.mvcc.versions import Versions

_BUCKET: Final = b"key"
_RECORD_KEY: Final = Struct(">Q1sQ")
_HEAD: Final = Struct(">qqqqI")


class HashKv(NamedTuple):
    """A hash, the revision it is of, and the compact revision that it depends on."""

    hash: int
    revision: int
    compact_revision: int


class KvHasher:
    """The hash at a revision, made in slices: a million records take seconds, and nothing else runs meanwhile.

    Writes between slices do no harm. Raises COMPACTED and FUTURE_REV, the former also from `step`, when history up to
    the revision is given up meanwhile.
    """

    def __init__(self, store: Versions, revision: int = 0) -> None:
        if revision > 0:
            store.check_revision(revision)
        self._store = store
        self._revision = revision if revision > 0 else store.revision
        self._compacted = store.compact_revision
        self._any_kept = self._compacted < 0 or store.index.any_lived(self._revision)
        self._records = store.records(0, self._revision)
        self._crc = google_crc32c.extend(0, _BUCKET)

    def step(self, records_max: int = 1000) -> bool:
        """Hash some records; return whether more remain."""
        if self._store.compact_revision > self._revision:
            raise ApiError.of(ErrorKind.COMPACTED)
        counted = 0
        data = bytearray()
        for record, raw in islice(self._records, records_max):
            counted += 1
            rev = revision_of_record(record)
            if main_of(rev) > self._compacted or self._counts(rev, raw):
                data += _etcd_record(rev, raw)
        self._crc = google_crc32c.extend(self._crc, bytes(data))
        return counted == records_max

    def result(self) -> HashKv:
        """The hash, once nothing remains."""
        return HashKv(self._crc, self._revision, self._compacted)

    def _counts(self, rev: int, raw: bytes) -> bool:
        """Whether a record from the compacted part of history counts."""
        key, _ = key_and_lease(raw)
        if self._any_kept:
            return self._store.index.at(key, self._revision) == rev
        return self._store.index.is_kept(key, rev, self._compacted)


def hash_kv(store: Versions, revision: int = 0) -> HashKv:
    """The hash at a revision, 0 (or less) being now, in one go. Raises COMPACTED and FUTURE_REV."""
    hasher = KvHasher(store, revision)
    while hasher.step():
        pass
    return hasher.result()


def _etcd_record(rev: int, raw: bytes) -> bytes:
    """A record as etcd has it in its database: key and value."""
    create, mod, version, lease, key_bytes = _HEAD.unpack_from(raw)
    key_end = _HEAD.size + key_bytes
    key, value = raw[_HEAD.size : key_end], raw[key_end:]
    parts = [_RECORD_KEY.pack(rev >> MAIN_SHIFT, b"_", sub_of(rev))]
    if rev & TOMBSTONE:
        parts.append(b"t")
        mod = 0
    parts.append(b"\x0a" + _varint(len(key)) + key)
    for tag, number in ((b"\x10", create), (b"\x18", mod), (b"\x20", version)):
        if number:
            parts.append(tag + _varint(number))
    if value:
        parts.append(b"\x2a" + _varint(len(value)) + value)
    if lease:
        parts.append(b"\x30" + _varint(lease & 2**64 - 1))
    return b"".join(parts)


def _varint(number: int) -> bytes:
    """A protobuf varint."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
