"""Members: etcd's IDs, its rules for changes, and what is kept of them."""

from __future__ import annotations

import pytest

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.raft.types import ConfChange, ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.members import (
    SUPERSEDED,
    MalformedContext,
    Member,
    MemberContext,
    compute_cluster_id,
    compute_member_id,
    decode_member_context,
    encode_member_context,
)
from trioetcd.storage.memory_engine import MemoryEngine

ADD, REMOVE, UPDATE, ADD_LEARNER = ConfChangeType


def test_ids_are_those_of_etcd() -> None:
    """As a real etcd 3.5.1 named itself, with one member and the default token."""
    member_id = compute_member_id(["http://127.0.0.1:41380"], "etcd-cluster")
    assert member_id == 17010963214147749224
    assert compute_cluster_id([member_id]) == 16128400632968936350


def test_ids_do_not_depend_on_the_order_of_what_they_are_made_of() -> None:
    urls = ["http://b:2380", "http://a:2380"]
    assert compute_member_id(urls, "t") == compute_member_id(reversed(urls), "t")
    assert compute_cluster_id([1, 2]) == compute_cluster_id([2, 1])
    assert compute_member_id(urls, "", 1700000000) != compute_member_id(urls, "", 1700000001)


def member(number: int, *, is_learner: bool = False) -> Member:
    return Member(number, f"m{number}", (f"http://m{number}:2380",), (), is_learner)


def change(kind: ConfChangeType, what: Member, *, is_promote: bool = False, based_on: int | None = None) -> ConfChange:
    context = encode_member_context(what, is_promote=is_promote, proposal_id=9, based_on=based_on)
    return ConfChange(kind, what.id, context)


class Cluster:
    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.machine = StateMachine.open(engine=self.engine)

    def try_change(self, change: ConfChange | ConfChangeV2) -> object:
        refusal = self.machine.members.check(change)
        outcome = self.machine.apply_conf_change(
            index=self.machine.applied.index + 1,
            term=1,
            change=change,
            conf_state=ConfState(voters=(1, 2)),
            refusal=refusal,
        )
        assert outcome.proposal_id == (9 if change.context else 0)
        return outcome.results[0]


def of(kind: ErrorKind) -> ApiError:
    return ApiError.of(kind)


def test_members_come_change_and_go_for_ever() -> None:
    cluster = Cluster()
    assert cluster.try_change(change(ADD, member(1))) == (member(1),)
    assert cluster.try_change(change(ADD, member(2))) == (member(1), member(2))
    assert cluster.try_change(change(ADD, member(2))) == of(ErrorKind.MEMBER_EXIST)
    assert cluster.try_change(change(ADD, member(1)._replace(id=3))) == of(ErrorKind.PEER_URL_EXIST)
    moved = member(2)._replace(peer_urls=("http://new:2380",))
    assert cluster.try_change(change(UPDATE, moved)) == (member(1), moved)
    assert cluster.try_change(change(UPDATE, moved._replace(peer_urls=member(1).peer_urls))) == of(
        ErrorKind.PEER_URL_EXIST
    )
    assert cluster.try_change(change(UPDATE, member(7))) == of(ErrorKind.MEMBER_NOT_FOUND)
    assert cluster.try_change(ConfChange(REMOVE, 2)) == (member(1),)
    assert cluster.try_change(ConfChange(REMOVE, 2)) == of(ErrorKind.MEMBER_NOT_FOUND)
    assert cluster.try_change(change(ADD, member(2))) == of(ErrorKind.MEMBER_NOT_FOUND)  # as etcd words it
    assert cluster.machine.members.is_removed(2)
    assert not cluster.machine.members.knows(2)


def test_learners() -> None:
    cluster = Cluster()
    cluster.try_change(change(ADD, member(1)))
    learner = member(2, is_learner=True)
    assert cluster.try_change(change(ADD_LEARNER, learner)) == (member(1), learner)
    second = cluster.try_change(change(ADD_LEARNER, member(3, is_learner=True)))
    assert second == of(ErrorKind.TOO_MANY_LEARNERS)
    assert cluster.try_change(change(ADD, member(1), is_promote=True)) == of(ErrorKind.MEMBER_NOT_LEARNER)
    assert cluster.try_change(change(ADD, member(4), is_promote=True)) == of(ErrorKind.MEMBER_NOT_FOUND)
    assert cluster.try_change(change(UPDATE, learner._replace(is_learner=False))) == (member(1), learner)
    assert cluster.try_change(change(ADD, learner, is_promote=True)) == (member(1), member(2))


def test_of_the_copies_of_a_change_one_is_made() -> None:
    cluster = Cluster()
    cluster.try_change(change(ADD, member(1)))
    cluster.try_change(change(ADD, member(2)))
    at = cluster.machine.members.changed_at
    assert at == cluster.machine.applied.index
    moved = change(UPDATE, member(2)._replace(peer_urls=("http://new:2380",)), based_on=at)
    assert cluster.try_change(moved) == cluster.machine.members.members()
    assert cluster.machine.members.changed_at == at + 1
    assert cluster.try_change(moved) == SUPERSEDED
    assert cluster.try_change(change(UPDATE, member(2), based_on=at)) == SUPERSEDED
    assert cluster.try_change(change(ADD, member(1), based_on=at + 1)) == of(ErrorKind.MEMBER_EXIST)
    assert cluster.machine.members.changed_at == at + 1, "a refusal changes nothing"


def test_what_is_applied_is_found_again() -> None:
    cluster = Cluster()
    cluster.try_change(change(ADD, member(1)))
    cluster.try_change(change(ADD, member(2)))
    cluster.try_change(ConfChange(REMOVE, 2))
    cluster.machine.members.set_attributes(1, "renamed", ["http://c:2379"])
    cluster.machine.members.set_attributes(2, "gone", [])
    cluster.machine.members.set_cluster_version("3.5.0")
    cluster.machine.durable_barrier()
    again = StateMachine.open(engine=cluster.engine)
    assert again.members.members() == (member(1)._replace(name="renamed", client_urls=("http://c:2379",)),)
    assert again.members.removed() == {2}
    assert again.members.cluster_version == "3.5.0"
    assert again.members.changed_at == 3
    assert again.applied == cluster.machine.applied
    assert again.applied.conf_state == ConfState(voters=(1, 2))
    assert again.digest() == cluster.machine.digest()


def test_changes_of_the_second_version() -> None:
    cluster = Cluster()
    single = ConfChangeV2(changes=(ConfChangeSingle(ADD, 1),), context=encode_member_context(member(1), proposal_id=9))
    assert cluster.try_change(single) == (member(1),)
    assert cluster.try_change(ConfChangeV2()) == (member(1),)
    with pytest.raises(MalformedContext, match="one at a time"):
        cluster.try_change(ConfChangeV2(changes=(ConfChangeSingle(ADD, 1), ConfChangeSingle(ADD, 2))))


def test_contexts() -> None:
    data = encode_member_context(member(5), is_promote=True, proposal_id=2**64 - 1, based_on=2**63)
    assert decode_member_context(data) == MemberContext(member(5), True, 2**64 - 1, 2**63)
    assert decode_member_context(encode_member_context(member(5))) == MemberContext(member(5))
    for damaged in (b"\x93", b"\xc1", b"\x93\x00\xc2\x95\x01\x02\x90\x90\xc2", b"\x05"):
        with pytest.raises(MalformedContext, match="cannot be read"):
            decode_member_context(damaged)
