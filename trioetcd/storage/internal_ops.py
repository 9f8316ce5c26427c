"""Requests that members make of themselves through the log, beside those of clients."""

from __future__ import annotations

from trioetcd.api import messages as m
from trioetcd.api.schema import enumeration, int64, message, nested, string, uint64


@message("trioetcd.storage.MemberAttributes")
class MemberAttributes:
    """A member publishes its name and client URLs when it has started."""

    member_id: int = uint64(1)
    name: str = string(2)
    client_urls: list[str] = string(3, repeated=True)


@message("trioetcd.storage.ClusterVersionSet")
class ClusterVersionSet:
    """The leader has decided the cluster's version, `X.Y.0`."""

    version: str = string(1)


@message("trioetcd.storage.LeaseExpired")
class LeaseExpired:
    """The leader of a term has seen a lease expire. Of no effect in another term: its clock is then not the one."""

    term: int = uint64(1)
    lease_id: int = int64(2)


@message("trioetcd.storage.LeasesRemaining")
class LeasesRemaining:
    """How long leases have still to live, as the leader of a term sees it. Of no effect in another term."""

    term: int = uint64(1)
    checkpoints: list[m.LeaseCheckpoint] = nested(2, lambda: m.LeaseCheckpoint, repeated=True)


@message("trioetcd.storage.TokenGranted")
class TokenGranted:
    """A member has checked a user's password and grants it a token (etcd's InternalAuthenticateRequest).

    `simple_token` is what the member chose for it by chance; empty if tokens are not kept but signed.
    """

    name: str = string(1)
    simple_token: str = string(2, secret=True)


@message("trioetcd.storage.DowngradeSet")
class DowngradeSet:
    """The cluster goes back to the version before, `X.Y.0`; empty: it does not, any more."""

    target: str = string(1)


@message("trioetcd.storage.AlarmRaised")
class AlarmRaised:
    """A member has found out about itself what an alarm tells. No client asked for it, so no client's rights count."""

    member_id: int = uint64(1)
    alarm: int = enumeration(2, m.AlarmType)


@message("trioetcd.storage.HistoryExpired")
class HistoryExpired:
    """The leader has seen that the history before a revision need not be kept longer (`--auto-compaction-mode`)."""

    revision: int = int64(1)
