"""The Lease service."""

from __future__ import annotations

from trioetcd.api.messages.common import ResponseHeader
from trioetcd.api.schema import boolean, bytes_, int64, message, nested, string


@message("etcdserverpb.LeaseGrantRequest")
class LeaseGrantRequest:
    """What Lease.LeaseGrant is asked."""

    TTL: int = int64(1)
    ID: int = int64(2)


@message("etcdserverpb.LeaseGrantResponse")
class LeaseGrantResponse:
    """What Lease.LeaseGrant answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    ID: int = int64(2)
    TTL: int = int64(3)
    error: str = string(4)


@message("etcdserverpb.LeaseRevokeRequest")
class LeaseRevokeRequest:
    """What Lease.LeaseRevoke is asked."""

    ID: int = int64(1)


@message("etcdserverpb.LeaseRevokeResponse")
class LeaseRevokeResponse:
    """What Lease.LeaseRevoke answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.LeaseCheckpoint")
class LeaseCheckpoint:
    """How long a lease has still to live."""

    ID: int = int64(1)
    remaining_TTL: int = int64(2)


@message("etcdserverpb.LeaseCheckpointRequest")
class LeaseCheckpointRequest:
    """Remaining times to replicate."""

    checkpoints: list[LeaseCheckpoint] = nested(1, lambda: LeaseCheckpoint, repeated=True)


@message("etcdserverpb.LeaseCheckpointResponse")
class LeaseCheckpointResponse:
    """The answer to a checkpoint."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("etcdserverpb.LeaseKeepAliveRequest")
class LeaseKeepAliveRequest:
    """What Lease.LeaseKeepAlive is asked."""

    ID: int = int64(1)


@message("etcdserverpb.LeaseKeepAliveResponse")
class LeaseKeepAliveResponse:
    """What Lease.LeaseKeepAlive answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    ID: int = int64(2)
    TTL: int = int64(3)


@message("etcdserverpb.LeaseTimeToLiveRequest")
class LeaseTimeToLiveRequest:
    """What Lease.LeaseTimeToLive is asked."""

    ID: int = int64(1)
    keys: bool = boolean(2)


@message("etcdserverpb.LeaseTimeToLiveResponse")
class LeaseTimeToLiveResponse:
    """What Lease.LeaseTimeToLive answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    ID: int = int64(2)
    TTL: int = int64(3)
    grantedTTL: int = int64(4)
    keys: list[bytes] = bytes_(5, repeated=True)


@message("etcdserverpb.LeaseLeasesRequest")
class LeaseLeasesRequest:
    """What Lease.LeaseLeases is asked."""


@message("etcdserverpb.LeaseStatus")
class LeaseStatus:
    """A lease in a list."""

    ID: int = int64(1)


@message("etcdserverpb.LeaseLeasesResponse")
class LeaseLeasesResponse:
    """What Lease.LeaseLeases answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    leases: list[LeaseStatus] = nested(2, lambda: LeaseStatus, repeated=True)
