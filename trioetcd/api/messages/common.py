"""Messages that several services share."""

from __future__ import annotations

from enum import IntEnum

from trioetcd.api.schema import bytes_, enum, enumeration, int64, message, nested, uint64


@enum("mvccpb.Event.EventType")
class EventType(IntEnum):
    """What happened to the key."""

    PUT = 0
    DELETE = 1


@message("mvccpb.KeyValue")
class KeyValue:
    """One version of a key. `create_revision`, `mod_revision` and `version` place it in its history."""

    key: bytes = bytes_(1)
    create_revision: int = int64(2)
    mod_revision: int = int64(3)
    version: int = int64(4)
    value: bytes = bytes_(5)
    lease: int = int64(6)


@message("mvccpb.Event")
class Event:
    """One change of a key, as watchers are told of it."""

    type: int = enumeration(1, EventType)
    kv: KeyValue | None = nested(2, lambda: KeyValue)
    prev_kv: KeyValue | None = nested(3, lambda: KeyValue)


@message("etcdserverpb.ResponseHeader")
class ResponseHeader:
    """Which cluster, member, revision and term an answer comes from."""

    cluster_id: int = uint64(1)
    member_id: int = uint64(2)
    revision: int = int64(3)
    raft_term: int = uint64(4)
