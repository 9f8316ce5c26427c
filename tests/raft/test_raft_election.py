from __future__ import annotations

import random

import pytest

from tests.raft.helpers import TestGroup, TestMember, Zero, kinds
from trioetcd.raft import (
    ConfChange,
    ConfChangeType,
    ConfState,
    Entry,
    EntryType,
    HardState,
    MemoryStorage,
    Message,
    MessageType,
    RaftInvariantError,
    ReadOnlyOption,
    Snapshot,
    SnapshotMetadata,
    StateType,
    election,
    encode_conf_change,
)
from trioetcd.raft.step import HANDLERS

THREE = ConfState(voters=(1, 2, 3))


def vote(*, frm: int, term: int, index: int = 1, log_term: int = 1, kind: MessageType = MessageType.VOTE) -> Message:
    return Message(kind, to=1, from_=frm, term=term, index=index, log_term=log_term)


def test_timeouts_lie_between_one_and_two_election_ticks_and_are_drawn_from_the_given_chance() -> None:
    stops: list[int] = []

    class Recorder(Zero):
        def randrange(self, stop: int, /) -> int:
            stops.append(stop)
            return stop - 1

    member = TestMember(1, THREE, random=Recorder())
    for _ in range(18):
        member.node.tick()
    assert member.core.state is StateType.FOLLOWER
    member.node.tick()
    assert member.core.state is StateType.CANDIDATE
    assert set(stops) == {10}


def test_same_seed_same_timeouts() -> None:
    def timeouts(seed: int) -> list[int]:
        member = TestMember(1, THREE, random=random.Random(seed))
        drawn = []
        for _ in range(5):
            member.core.reset_election_timeout()
            drawn.append(member.core.election_timeout)
        return drawn

    assert timeouts(7) == timeouts(7)
    assert all(10 <= timeout < 20 for timeout in timeouts(7))


def test_candidate_that_hears_nothing_campaigns_again_in_a_later_term() -> None:
    member = TestMember(1, THREE)
    for _ in range(20):
        member.node.tick()
    assert (member.core.term, member.core.vote, member.core.state) == (2, 1, StateType.CANDIDATE)


def test_own_vote_counts_when_it_is_saved() -> None:
    member = TestMember(1, ConfState(voters=(1,)))
    member.node.campaign()
    assert member.core.state is StateType.CANDIDATE
    member.ready()
    assert member.core.state is StateType.LEADER
    assert member.storage.initial_state()[0] == HardState(1, 1, 1)


def test_one_vote_a_term_and_again_to_the_same_candidate() -> None:
    member = TestMember(1, THREE)
    answers = member.step(vote(frm=2, term=1), vote(frm=3, term=1), vote(frm=2, term=1))
    assert [(m.to, m.reject) for m in answers] == [(2, False), (3, True), (2, False)]


@pytest.mark.parametrize(("index", "log_term", "granted"), [(1, 1, True), (0, 1, False), (9, 0, False), (0, 2, True)])
def test_votes_go_to_logs_that_are_as_complete(index: int, log_term: int, granted: bool) -> None:
    member = TestMember(1, THREE)
    (answer,) = member.step(vote(frm=2, term=1, index=index, log_term=log_term))
    assert answer.reject is not granted
    assert member.core.vote == (2 if granted else 0)


def test_no_vote_while_a_leader_of_the_term_is_known() -> None:
    member = TestMember(1, THREE)
    (_, answer) = member.step(Message(MessageType.HEARTBEAT, to=1, from_=3, term=1), vote(frm=2, term=1))
    assert answer.reject


def test_two_rejections_of_three_end_a_campaign() -> None:
    member = TestMember(1, THREE)
    member.node.campaign()
    member.work()
    reject = [Message(MessageType.VOTE_RESP, to=1, from_=frm, term=1, reject=True) for frm in (2, 3)]
    member.step(*reject)
    assert member.core.state is StateType.FOLLOWER


def test_first_answer_of_a_voter_counts() -> None:
    member = TestMember(1, ConfState(voters=(1, 2, 3, 4, 5)))
    member.node.campaign()
    member.work()
    grants = [Message(MessageType.VOTE_RESP, to=1, from_=2, term=1) for _ in range(4)]
    member.step(*grants)
    assert member.core.state is StateType.CANDIDATE


def test_pre_vote_changes_neither_term_nor_vote() -> None:
    group = TestGroup((1, 2, 3), pre_vote=True)
    group.cut_off(1)
    for _ in range(30):
        group[1].node.tick()
        group[1].work()
    assert (group[1].core.term, group[1].core.vote, group[1].core.state) == (0, 0, StateType.PRE_CANDIDATE)
    group.heal()
    assert group.elect(1).core.term == 1


def test_pre_vote_with_a_rejection_of_a_later_term_follows_into_it() -> None:
    member = TestMember(1, THREE, pre_vote=True)
    member.node.campaign()
    member.work()
    member.step(Message(MessageType.PRE_VOTE_RESP, to=1, from_=2, term=5, reject=True))
    assert (member.core.term, member.core.state) == (5, StateType.FOLLOWER)


def test_late_answers_of_the_other_kind_of_campaign_are_ignored() -> None:
    member = TestMember(1, THREE)
    member.node.campaign()
    member.work()
    member.step(Message(MessageType.PRE_VOTE_RESP, to=1, from_=2, term=1))
    assert member.core.state is StateType.CANDIDATE
    assert set(member.core.tracker.votes) == {1}


def test_pre_vote_of_an_earlier_term_is_answered_so_that_the_candidate_learns_the_term() -> None:
    member = TestMember(1, THREE)
    member.step(Message(MessageType.HEARTBEAT, to=1, from_=3, term=4))
    (answer,) = member.step(vote(frm=2, term=3, kind=MessageType.PRE_VOTE))
    assert (answer.type, answer.term, answer.reject) == (MessageType.PRE_VOTE_RESP, 4, True)


@pytest.mark.parametrize("setting", ["check_quorum", "pre_vote"])
def test_leader_of_an_earlier_term_is_told_of_the_later_one(setting: str) -> None:
    member = TestMember(1, THREE, **{setting: True})
    member.step(vote(frm=2, term=4))
    (answer,) = member.step(Message(MessageType.HEARTBEAT, to=1, from_=3, term=2))
    assert (answer.type, answer.term) == (MessageType.APP_RESP, 4)
    assert not member.step(Message(MessageType.HEARTBEAT_RESP, to=1, from_=3, term=2))


def test_leader_of_an_earlier_term_is_ignored_without_pre_vote_and_check_quorum() -> None:
    member = TestMember(1, THREE)
    member.step(vote(frm=2, term=4))
    assert not member.step(Message(MessageType.HEARTBEAT, to=1, from_=3, term=2))


def test_lease_holds_votes_back_until_the_election_timeout() -> None:
    member = TestMember(1, THREE, check_quorum=True)
    member.step(Message(MessageType.HEARTBEAT, to=1, from_=3, term=1))
    assert not member.step(vote(frm=2, term=2))
    assert member.core.term == 1
    member.core.election_timeout = 100
    for _ in range(10):
        member.node.tick()
    (answer,) = member.step(vote(frm=2, term=2))
    assert not answer.reject


def test_lease_does_not_hold_back_a_transfer() -> None:
    member = TestMember(1, THREE, check_quorum=True)
    member.step(Message(MessageType.HEARTBEAT, to=1, from_=3, term=1))
    request = vote(frm=2, term=2)
    request.context = election.TRANSFER_CONTEXT
    assert member.step(request)[0].type is MessageType.VOTE_RESP


def test_check_quorum_makes_a_leader_that_hears_nobody_step_down() -> None:
    group = TestGroup((1, 2, 3), check_quorum=True)
    leader = group.elect(1)
    group.cut_off(1)
    for _ in range(10):
        leader.node.tick()
        group.settle()
    assert leader.core.state is StateType.LEADER
    for _ in range(10):
        leader.node.tick()
        group.settle()
    assert (leader.core.state, leader.core.lead, leader.core.term) == (StateType.FOLLOWER, 0, 1)


def test_check_quorum_keeps_a_leader_that_hears_a_majority_and_learners_do_not_count() -> None:
    group = TestGroup((1, 2, 3), learners=(4,), check_quorum=True)
    leader = group.elect(1)
    group.cut_off(3)
    for _ in range(40):
        leader.node.tick()
        group.settle()
    assert leader.core.state is StateType.LEADER
    group.cut_off(2, 3)
    for _ in range(20):
        leader.node.tick()
        group.settle()
    assert leader.core.state is StateType.FOLLOWER


def test_member_with_a_snapshot_on_its_way_or_no_vote_does_not_campaign() -> None:
    member = TestMember(1, THREE)
    snapshot = Snapshot(SnapshotMetadata(THREE, 5, 1))
    member.node.step(Message(MessageType.SNAP, to=1, from_=2, term=1, snapshot=snapshot))
    member.node.campaign()
    assert member.core.state is StateType.FOLLOWER
    learner = TestMember(4, ConfState(voters=(1,), learners=(4,)))
    for _ in range(50):
        learner.node.tick()
    assert (learner.core.state, learner.core.term) == (StateType.FOLLOWER, 0)


def test_member_with_unapplied_configuration_changes_does_not_campaign() -> None:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(SnapshotMetadata(THREE, 1, 1)))
    update = encode_conf_change(ConfChange(ConfChangeType.UPDATE_NODE, 2))
    storage.append([Entry(1, 2), Entry(1, 3, EntryType.CONF_CHANGE, update)])
    storage.set_hard_state(HardState(1, 0, 3))
    member = TestMember(1, THREE, storage=storage, max_size_per_msg=1)
    member.node.campaign()
    assert member.core.state is StateType.FOLLOWER
    member.work()
    assert member.core.log.applied == 3
    member.node.campaign()
    assert member.core.state is StateType.CANDIDATE


def test_leader_ignores_the_wish_to_campaign() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.campaign()
    assert (leader.core.term, leader.core.state) == (1, StateType.LEADER)


def test_transitions_that_cannot_be_are_refused_with_the_numbers() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    with pytest.raises(RaftInvariantError, match="member 1 in term 1: no way from LEADER to CANDIDATE"):
        election.become_candidate(leader.core)
    with pytest.raises(RaftInvariantError, match="LEADER to PRE_CANDIDATE"):
        election.become_pre_candidate(leader.core)
    with pytest.raises(RaftInvariantError, match="FOLLOWER to LEADER"):
        election.become_leader(group[2].core)


def test_every_role_has_a_rule_for_every_message() -> None:
    assert all(set(handlers) == set(MessageType) for handlers in HANDLERS.values())
    assert set(HANDLERS) == set(StateType)


def test_forgetting_a_leader_lets_a_follower_vote_but_not_under_leases() -> None:
    for option, lead in [(ReadOnlyOption.SAFE, 0), (ReadOnlyOption.LEASE_BASED, 3)]:
        member = TestMember(1, THREE, check_quorum=True, read_only_option=option)
        member.step(Message(MessageType.HEARTBEAT, to=1, from_=3, term=1))
        member.node.forget_leader()
        assert member.core.lead == lead


def test_transfer_campaigns_without_pre_vote() -> None:
    group = TestGroup((1, 2, 3), pre_vote=True, check_quorum=True)
    leader = group.elect(1)
    leader.node.transfer_leader(2)
    sent = group.settle()
    assert MessageType.PRE_VOTE not in kinds(sent)
    assert group[2].core.state is StateType.LEADER


def test_transfer_is_ignored_for_learners_strangers_and_the_leader_itself() -> None:
    group = TestGroup((1, 2, 3), learners=(4,))
    leader = group.elect(1)
    for target in (4, 9, 1):
        leader.node.transfer_leader(target)
        assert leader.node.basic_status().lead_transferee == 0
    leader.node.transfer_leader(2)
    leader.node.transfer_leader(3)
    assert leader.node.basic_status().lead_transferee == 3


def test_transfer_is_forwarded_by_a_follower_that_knows_a_leader() -> None:
    group = TestGroup((1, 2, 3))
    group[2].node.transfer_leader(2)
    assert not group[2].work()
    group.elect(1)
    group[2].node.transfer_leader(2)
    group.settle()
    assert group[2].core.state is StateType.LEADER


def test_candidate_ignores_timeout_now() -> None:
    member = TestMember(1, THREE)
    member.node.campaign()
    member.work()
    member.step(Message(MessageType.TIMEOUT_NOW, to=1, from_=2, term=1))
    assert member.core.term == 1
