"""What a member that joins compares with the cluster that it finds."""

from __future__ import annotations

from typing import Any

import pytest

from trioetcd.config import InitialMember, MemberConfig, StartRefused, parse_url
from trioetcd.node.joining import Joining, match_cluster, peer_urls_to_ask
from trioetcd.storage.members import Member

OLD = Member(7, "old", ("http://127.0.0.1:1",), ("http://127.0.0.1:2",))
NEW = Member(8, "", ("http://b:1", "http://b:2"), (), True)


def make_config(**initial: str) -> MemberConfig:
    members = tuple(InitialMember(name, tuple(map(parse_url, urls.split()))) for name, urls in initial.items())
    settings: dict[str, Any] = {
        "name": "new",
        "initial_cluster": members,
        "initial_advertise_peer_urls": dict(members)["new"],
        "initial_cluster_state": "existing",
    }
    return MemberConfig(**settings)


def match(config: MemberConfig, *members: Member) -> Joining:
    return match_cluster(config, cluster_id=9, members=members)


def test_ids_come_from_the_cluster_whatever_the_names_and_the_order_of_urls() -> None:
    config = make_config(other="http://localhost:1", new="http://b:2 http://b:1")
    assert peer_urls_to_ask(config) == ["http://localhost:1"]
    assert match(config, OLD, NEW) == Joining(cluster_id=9, own=NEW, members=(OLD, NEW))


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ((OLD,), "member count is unequal"),
        ((), "member count is unequal"),
        ((OLD, NEW, NEW._replace(id=9)), "member count is unequal"),
        ((OLD._replace(peer_urls=("http://c:1",)), NEW), r"no match found for existing member 7 old http://c:1"),
        ((OLD._replace(peer_urls=()), NEW), "no match found"),
        ((OLD._replace(peer_urls=("bad",)), NEW), "no match found"),
        ((OLD._replace(peer_urls=("https://c:1",)), NEW), "no match found"),
        ((OLD, NEW._replace(peer_urls=("http://b:1",))), r"8 \(not started\) http://b:1"),
        ((OLD, OLD), "none of them is this member"),
        ((OLD, NEW._replace(client_urls=("http://b:3",))), "has run before"),
    ],
)
def test_what_does_not_fit_is_refused(members: tuple[Member, ...], reason: str) -> None:
    with pytest.raises(StartRefused, match=reason):
        match(make_config(old="http://127.0.0.1:1", new="http://b:1 http://b:2"), *members)
