"""The Election service."""

from __future__ import annotations

from trioetcd.api.messages.common import KeyValue, ResponseHeader
from trioetcd.api.schema import bytes_, int64, message, nested


@message("v3electionpb.CampaignRequest")
class CampaignRequest:
    """What Election.Campaign is asked."""

    name: bytes = bytes_(1)
    lease: int = int64(2)
    value: bytes = bytes_(3)


@message("v3electionpb.CampaignResponse")
class CampaignResponse:
    """What Election.Campaign answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    leader: LeaderKey | None = nested(2, lambda: LeaderKey)


@message("v3electionpb.LeaderKey")
class LeaderKey:
    """The ownership of an election, to be handed to proclaim and resign."""

    name: bytes = bytes_(1)
    key: bytes = bytes_(2)
    rev: int = int64(3)
    lease: int = int64(4)


@message("v3electionpb.LeaderRequest")
class LeaderRequest:
    """What Election.Leader is asked."""

    name: bytes = bytes_(1)


@message("v3electionpb.LeaderResponse")
class LeaderResponse:
    """What Election.Leader answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    kv: KeyValue | None = nested(2, lambda: KeyValue)


@message("v3electionpb.ResignRequest")
class ResignRequest:
    """What Election.Resign is asked."""

    leader: LeaderKey | None = nested(1, lambda: LeaderKey)


@message("v3electionpb.ResignResponse")
class ResignResponse:
    """What Election.Resign answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)


@message("v3electionpb.ProclaimRequest")
class ProclaimRequest:
    """What Election.Proclaim is asked."""

    leader: LeaderKey | None = nested(1, lambda: LeaderKey)
    value: bytes = bytes_(2)


@message("v3electionpb.ProclaimResponse")
class ProclaimResponse:
    """What Election.Proclaim answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
