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

from struct import Struct
from typing import Final, NamedTuple

import google_crc32c

from trioetcd.storage.mvcc.revision import MAIN_SHIFT, TOMBSTONE, main_of, revision_of_record, sub_of
from trioetcd.storage.mvcc.versions import Versions

_BUCKET: Final = b"key"
_RECORD_KEY: Final = Struct(">Q1sQ")
_HEAD: Final = Struct(">qqqqI")
_SLICE_BYTES: Final = 1 << 16


class HashKv(NamedTuple):
    """A hash, the revision it is of, and the compact revision that it depends on."""

    hash: int
    revision: int
    compact_revision: int


def hash_kv(store: Versions, revision: int = 0) -> HashKv:
    """The hash at a revision, 0 (or less) being now. Raises COMPACTED and FUTURE_REV."""
    if revision > 0:
        store.check_revision(revision)
    else:
        revision = store.revision
    compacted = store.compact_revision
    any_kept = compacted < 0 or store.index.any_lived(revision)
    crc = google_crc32c.extend(0, _BUCKET)
    buffer = bytearray()
    for record, raw in store.records(0, revision):
        rev = revision_of_record(record)
        if main_of(rev) <= compacted and not _counts(store, rev, raw, revision, any_kept=any_kept):
            continue
        buffer += _etcd_record(rev, raw)
        if len(buffer) >= _SLICE_BYTES:
            crc = google_crc32c.extend(crc, bytes(buffer))
            buffer.clear()
    return HashKv(google_crc32c.extend(crc, bytes(buffer)), revision, compacted)


def _counts(store: Versions, rev: int, raw: bytes, revision: int, *, any_kept: bool) -> bool:
    """Whether a record from the compacted part of history counts."""
    key_bytes = int.from_bytes(raw[32:36], "big")
    key = raw[_HEAD.size : _HEAD.size + key_bytes]
    if any_kept:
        return store.index.at(key, revision) == rev
    return store.index.is_kept(key, rev, store.compact_revision)


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
