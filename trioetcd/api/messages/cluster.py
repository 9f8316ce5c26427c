"""The Cluster service: members."""

from __future__ import annotations

from trioetcd.api.messages.common import ResponseHeader
from trioetcd.api.schema import boolean, message, nested, string, uint64


@message("etcdserverpb.Member")
class Member:
    """A member of the cluster."""

    ID: int = uint64(1)
    name: str = string(2)
    peerURLs: list[str] = string(3, repeated=True)
    clientURLs: list[str] = string(4, repeated=True)
    isLearner: bool = boolean(5)


@message("etcdserverpb.MemberAddRequest")
class MemberAddRequest:
    """What Cluster.MemberAdd is asked."""

    peerURLs: list[str] = string(1, repeated=True)
    isLearner: bool = boolean(2)


@message("etcdserverpb.MemberAddResponse")
class MemberAddResponse:
    """What Cluster.MemberAdd answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    member: Member | None = nested(2, lambda: Member)
    members: list[Member] = nested(3, lambda: Member, repeated=True)


@message("etcdserverpb.MemberRemoveRequest")
class MemberRemoveRequest:
    """What Cluster.MemberRemove is asked."""

    ID: int = uint64(1)


@message("etcdserverpb.MemberRemoveResponse")
class MemberRemoveResponse:
    """What Cluster.MemberRemove answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    members: list[Member] = nested(2, lambda: Member, repeated=True)


@message("etcdserverpb.MemberUpdateRequest")
class MemberUpdateRequest:
    """What Cluster.MemberUpdate is asked."""

    ID: int = uint64(1)
    peerURLs: list[str] = string(2, repeated=True)


@message("etcdserverpb.MemberUpdateResponse")
class MemberUpdateResponse:
    """What Cluster.MemberUpdate answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    members: list[Member] = nested(2, lambda: Member, repeated=True)


@message("etcdserverpb.MemberListRequest")
class MemberListRequest:
    """What Cluster.MemberList is asked."""

    linearizable: bool = boolean(1)


@message("etcdserverpb.MemberListResponse")
class MemberListResponse:
    """What Cluster.MemberList answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    members: list[Member] = nested(2, lambda: Member, repeated=True)


@message("etcdserverpb.MemberPromoteRequest")
class MemberPromoteRequest:
    """What Cluster.MemberPromote is asked."""

    ID: int = uint64(1)


@message("etcdserverpb.MemberPromoteResponse")
class MemberPromoteResponse:
    """What Cluster.MemberPromote answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    members: list[Member] = nested(2, lambda: Member, repeated=True)
