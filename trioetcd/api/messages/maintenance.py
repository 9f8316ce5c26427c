"""The Maintenance service: status, alarms, hashes, snapshots, downgrade."""

from __future__ import annotations

from enum import IntEnum

from trioetcd.api.messages.common import ResponseHeader
from trioetcd.api.schema import boolean, bytes_, enum, enumeration, int64, message, nested, string, uint32, uint64


@enum("etcdserverpb.AlarmRequest.AlarmAction")
class AlarmAction(IntEnum):
    """What to do about alarms."""

    GET = 0
    ACTIVATE = 1
    DEACTIVATE = 2


@enum("etcdserverpb.DowngradeRequest.DowngradeAction")
class DowngradeAction(IntEnum):
    """What to do about a downgrade."""

    VALIDATE = 0
    ENABLE = 1
    CANCEL = 2


@enum("etcdserverpb.AlarmType")
class AlarmType(IntEnum):
    """What is wrong."""

    NONE = 0
    NOSPACE = 1
    CORRUPT = 2


@message("etcdserverpb.HashRequest")
class HashRequest:
    """What Maintenance.Hash is asked."""


@message("etcdserverpb.HashKVRequest")
class HashKVRequest:
    """What Maintenance.HashKV is asked."""

    revision: int = int64(1)


@message("etcdserverpb.HashKVResponse")
class HashKVResponse:
    """What Maintenance.HashKV answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    hash: int = uint32(2)
    compact_revision: int = int64(3)


@message("etcdserverpb.HashResponse")
class HashResponse:
    """What Maintenance.Hash answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    hash: int = uint32(2)


@message("etcdserverpb.SnapshotRequest")
class SnapshotRequest:
    """What Maintenance.Snapshot is asked."""


@message("etcdserverpb.SnapshotResponse")
class SnapshotResponse:
    """What Maintenance.Snapshot answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    remaining_bytes: int = uint64(2)
    blob: bytes = bytes_(3)


@message("etcdserverpb.DefragmentRequest")
class DefragmentRequest:
    """What Maintenance.Defragment is asked."""


@message("etcdserverpb.DefragmentResponse")
class DefragmentResponse:
    """What Maintenance.Defragment answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.MoveLeaderRequest")
class MoveLeaderRequest:
    """What Maintenance.MoveLeader is asked."""

    targetID: int = uint64(1)


@message("etcdserverpb.MoveLeaderResponse")
class MoveLeaderResponse:
    """What Maintenance.MoveLeader answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.AlarmRequest")
class AlarmRequest:
    """What Maintenance.Alarm is asked."""

    action: int = enumeration(1, AlarmAction)
    memberID: int = uint64(2)
    alarm: int = enumeration(3, AlarmType)


@message("etcdserverpb.AlarmMember")
class AlarmMember:
    """An alarm that a member raised."""

    memberID: int = uint64(1)
    alarm: int = enumeration(2, AlarmType)


@message("etcdserverpb.AlarmResponse")
class AlarmResponse:
    """What Maintenance.Alarm answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    alarms: list[AlarmMember] = nested(2, lambda: AlarmMember, repeated=True)


@message("etcdserverpb.DowngradeRequest")
class DowngradeRequest:
    """What Maintenance.Downgrade is asked."""

    action: int = enumeration(1, DowngradeAction)
    version: str = string(2)


@message("etcdserverpb.DowngradeResponse")
class DowngradeResponse:
    """What Maintenance.Downgrade answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    version: str = string(2)


@message("etcdserverpb.StatusRequest")
class StatusRequest:
    """What Maintenance.Status is asked."""


@message("etcdserverpb.StatusResponse")
class StatusResponse:
    """What Maintenance.Status answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    version: str = string(2)
    dbSize: int = int64(3)
    leader: int = uint64(4)
    raftIndex: int = uint64(5)
    raftTerm: int = uint64(6)
    raftAppliedIndex: int = uint64(7)
    errors: list[str] = string(8, repeated=True)
    dbSizeInUse: int = int64(9)
    isLearner: bool = boolean(10)
