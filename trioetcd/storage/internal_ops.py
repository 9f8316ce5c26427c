"""Requests that members make of themselves through the log, beside those of clients."""

from __future__ import annotations

from trioetcd.api.schema import message, string, uint64


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
