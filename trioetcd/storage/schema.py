"""What the engine holds, and where: one table of key prefixes.

    prefix  then                                   value
    r       revision: 8 bytes main, 4 bytes sub    a key's version, or its tombstone (mvcc/records.py)
              and tombstone mark (mvcc/revision.py)
    s                                              msgpack: the position, written with every batch (see below)
    m       one of the META names below            msgpack
    l       lease ID, 8 bytes                      msgpack: granted TTL, remaining TTL (leases.py)
    n       member ID, 8 bytes                     msgpack: the member (members.py)
    x       ID of a removed member, 8 bytes        nothing
    a       alarm type, 1 byte; member ID, 8       nothing
    u       u and the name of a user               msgpack: the user (auth/records.py)
            r and the name of a role               msgpack: the role (auth/records.py)
            c                                      msgpack: whether auth is on, the auth revision

Numbers are big-endian, so that the engine's order is theirs. IDs are unsigned (a lease's is taken modulo 2**64).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

REVISION_PREFIX: Final = b"r"
META_PREFIX: Final = b"m"
LEASE_PREFIX: Final = b"l"
MEMBER_PREFIX: Final = b"n"
REMOVED_MEMBER_PREFIX: Final = b"x"
ALARM_PREFIX: Final = b"a"
AUTH_USER_PREFIX: Final = b"uu"
AUTH_ROLE_PREFIX: Final = b"ur"
AUTH_CONFIG: Final = b"uc"

POSITION: Final = b"s"
"""Index, term and configuration of what is applied. It stands behind the revisions because it is written with every
batch: LevelDB merges a new table with all that its keys reach across, and between the newest revisions and here there
is nothing. Before them, each table of 25 MB was merged with all there was (of 77 MB in 1.4 s, instead of 0.4 s)."""

FORMER_POSITION: Final = META_PREFIX + b"applied"
"""Where it stood; it moves with the next batch."""

META_COMPACT_SCHEDULED: Final = META_PREFIX + b"compact-scheduled"  # in the batch of the compaction's entry
META_COMPACT_FINISHED: Final = META_PREFIX + b"compact-finished"  # with the last slice of removals; <= scheduled
META_CLUSTER_VERSION: Final = META_PREFIX + b"cluster-version"
META_DOWNGRADE: Final = META_PREFIX + b"downgrade"  # the version to go back to; not there: none
META_MEMBERS_CHANGED: Final = META_PREFIX + b"members-changed"  # index of the entry that changed them last

_ID: Final = Struct(">Q")
_ID_MASK: Final = 2**64 - 1


def id_key(prefix: bytes, number: int) -> bytes:
    """The key of what a 64-bit ID names; negative IDs (leases may have them) are taken as unsigned."""
    return prefix + _ID.pack(number & _ID_MASK)


def unsigned_id(prefix: bytes, key: bytes) -> int:
    """The ID in a key made by `id_key`, as an unsigned number."""
    return int(_ID.unpack_from(key, len(prefix))[0])


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all that begin with `prefix` (which must not be all 0xff)."""
    return prefix[:-1] + bytes((prefix[-1] + 1,))
