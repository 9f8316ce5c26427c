"""A key's version as bytes.

    8 create revision | 8 mod revision | 8 version | 8 lease | 4 length of the key | key | value

all big-endian and signed but for the length. A tombstone has zeros in place of create revision, version and lease,
and no value.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from trioetcd.api.messages import KeyValue

_HEAD: Final = Struct(">qqqqI")
_HEAD_BYTES: Final = _HEAD.size
_LEASE: Final = Struct(">q")
_LEASE_OFFSET: Final = 24


def encode_record(create: int, mod: int, version: int, lease: int, key: bytes, value: bytes) -> bytes:
    """The bytes of a version."""
    return _HEAD.pack(create, mod, version, lease, len(key)) + key + value


def encode_tombstone(mod: int, key: bytes) -> bytes:
    """The bytes of a deletion."""
    return _HEAD.pack(0, mod, 0, 0, len(key)) + key


def decode_record(raw: bytes) -> KeyValue:
    """The version that bytes hold; of a tombstone, etcd's event form: the key and the mod revision."""
    create, mod, version, lease, key_bytes = _HEAD.unpack_from(raw)
    end = _HEAD_BYTES + key_bytes
    return KeyValue(raw[_HEAD_BYTES:end], create, mod, version, raw[end:], lease)


def decode_without_value(raw: bytes) -> KeyValue:
    """As `decode_record`, with the value left out."""
    create, mod, version, lease, key_bytes = _HEAD.unpack_from(raw)
    return KeyValue(raw[_HEAD_BYTES : _HEAD_BYTES + key_bytes], create, mod, version, b"", lease)


def key_and_lease(raw: bytes) -> tuple[bytes, int]:
    """The key and the lease alone, for the scan at open."""
    key_bytes = int.from_bytes(raw[32:36], "big")
    return raw[_HEAD_BYTES : _HEAD_BYTES + key_bytes], _LEASE.unpack_from(raw, _LEASE_OFFSET)[0]
