from __future__ import annotations

import pytest

from tests.raft.helpers import TestGroup, TestMember
from trioetcd.raft import (
    ConfChange,
    ConfChangeRefused,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    Configuration,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    ProposalDropped,
    RaftInvariantError,
    Snapshot,
    SnapshotMetadata,
    StateType,
)
from trioetcd.raft.confchange import Changer, check_invariants, restore
from trioetcd.raft.confchange_codec import (
    conf_change_entry,
    decode_conf_change,
    decode_conf_change_entry,
    decode_conf_change_v2,
    encode_conf_change,
)
from trioetcd.raft.errors import ConfChangeMalformed
from trioetcd.raft.inflights import Inflights
from trioetcd.raft.progress import Progress
from trioetcd.raft.tracker import Tracker

ADD, REMOVE, LEARNER = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE, ConfChangeType.ADD_LEARNER_NODE


def v2(
    *changes: tuple[ConfChangeType, int], transition: ConfChangeTransition = ConfChangeTransition.AUTO
) -> ConfChangeV2:
    return ConfChangeV2(tuple(ConfChangeSingle(*change) for change in changes), transition)


def tracker() -> Tracker:
    return Tracker(inflight_messages_max=10, inflight_bytes_max=0)


# -- the leader's checks, and what follows from a change --------------------------------------------------------


def test_change_takes_effect_where_it_is_applied() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.propose_conf_change(ConfChange(REMOVE, 3))
    group.settle()
    assert leader.node.status().config == Configuration(incoming=frozenset({1, 2}))
    assert sorted(leader.node.status().progress) == [1, 2]


def test_second_change_waits_until_the_first_is_applied() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.propose_conf_change(v2((LEARNER, 3)))
    leader.node.propose_conf_change(v2((LEARNER, 2)))
    group.settle()
    assert leader.node.status().config.learners == {3}
    assert leader.applied[-1] == Entry(1, 4)


def test_new_leader_takes_no_change_until_what_it_found_is_applied() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    group.lost = lambda message: message.type is MessageType.APP_RESP
    leader.node.propose(b"found")
    group.settle()
    group.lost = lambda message: message.type is MessageType.APP
    new = group.elect(2)
    new.node.propose_conf_change(v2((LEARNER, 3)))
    assert new.core.log.last_index() == 5
    assert new.core.log.unstable.entries[-1].type == EntryType.NORMAL
    group.heal()
    new.node.tick()
    group.settle()
    new.node.propose_conf_change(v2((LEARNER, 3)))
    assert new.core.log.unstable.entries[-1].type == EntryType.CONF_CHANGE_V2


def test_joint_configuration_needs_both_majorities_to_commit() -> None:
    group = TestGroup((1, 2, 3), learners=(4, 5))
    leader = group.elect(1)
    leader.node.propose_conf_change(
        v2((ADD, 4), (ADD, 5), (REMOVE, 2), (REMOVE, 3), transition=ConfChangeTransition.JOINT_EXPLICIT)
    )
    group.settle()
    assert leader.node.status().config.is_joint
    committed = leader.core.log.committed
    for cut in ((2, 3), (4, 5)):
        group.cut_off(*cut)
        leader.node.propose(b"x")
        group.settle()
        assert leader.core.log.committed == committed
        group.heal()
        leader.node.tick()
        group.settle()
        leader.node.tick()
        group.settle()
        committed = leader.core.log.committed
        assert committed == leader.core.log.last_index()
    leader.node.propose_conf_change(ConfChangeV2())
    group.settle()
    assert leader.node.status().config.conf_state() == ConfState(voters=(1, 4, 5))


def test_demoted_voter_counts_until_the_joint_configuration_is_left() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.propose_conf_change(v2((LEARNER, 3), transition=ConfChangeTransition.JOINT_EXPLICIT))
    group.settle()
    state = leader.node.status().config.conf_state()
    assert state == ConfState(voters=(1, 2), voters_outgoing=(1, 2, 3), learners_next=(3,))
    leader.node.propose_conf_change(ConfChangeV2())
    group.settle()
    assert leader.node.status().config.conf_state() == ConfState(voters=(1, 2), learners=(3,))


def test_leaving_automatically_waits_for_a_transfer_to_end() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.propose_conf_change(v2((LEARNER, 3), transition=ConfChangeTransition.JOINT_IMPLICIT))
    group.cut_off(3)
    leader.node.transfer_leader(3)
    group.settle()
    assert leader.node.status().config.is_joint
    for _ in range(10):
        leader.node.tick()
    group.heal()
    leader.node.propose(b"x")
    group.settle()
    assert not leader.node.status().config.is_joint


def test_leader_that_is_removed_goes_on_unless_told_to_step_down() -> None:
    for step_down, state in ((False, StateType.LEADER), (True, StateType.FOLLOWER)):
        group = TestGroup((1, 2, 3), step_down_on_removal=step_down)
        leader = group.elect(1)
        leader.node.propose_conf_change(ConfChange(REMOVE, 1))
        group.settle()
        assert leader.core.state is state
        leader.core.reset(1)
        if state is StateType.LEADER:
            with pytest.raises(
                ProposalDropped, match="member 1 was removed from the configuration while it leads term 1"
            ):
                leader.node.propose(b"x")


def test_removing_a_member_can_commit_what_waited_for_it() -> None:
    group = TestGroup((1, 2, 3, 4))
    leader = group.elect(1)
    group.cut_off(3, 4)
    leader.node.propose(b"waits")
    group.settle()
    waiting = leader.core.log.last_index()
    leader.node.apply_conf_change(ConfChange(REMOVE, 4))
    assert leader.core.log.committed == waiting


def test_transfer_to_a_member_that_is_removed_ends() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.propose_conf_change(ConfChange(REMOVE, 3))
    group.cut_off(3)
    leader.node.transfer_leader(3)
    group.settle()
    assert leader.node.basic_status().lead_transferee == 0


def test_transfer_to_a_member_that_stays_goes_on() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.transfer_leader(2)
    leader.node.apply_conf_change(ConfChange(REMOVE, 3))
    assert leader.node.basic_status().lead_transferee == 2


def test_change_that_does_not_follow_stops_the_member_when_it_is_applied() -> None:
    member = TestMember(1, ConfState(voters=(1,)))
    with pytest.raises(RaftInvariantError, match=r"does not follow from voters=\(1\): removed all voters"):
        member.node.apply_conf_change(ConfChange(REMOVE, 1))


def test_change_that_is_applied_after_a_snapshot_came_is_part_of_it() -> None:
    member = TestMember(2, ConfState((1, 2, 3)))
    ahead = ConfState((1, 2), learners=(3,))
    snapshot = Snapshot(SnapshotMetadata(ahead, 9, 1))
    member.node.step(Message(MessageType.SNAP, to=2, from_=1, term=1, snapshot=snapshot))
    assert member.node.apply_conf_change(ConfChange(REMOVE, 3)) == ahead
    member.work()
    assert member.node.apply_conf_change(ConfChange(REMOVE, 3)) == ConfState((1, 2))


def test_malformed_change_of_another_member_is_refused_before_anything_happens() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    bad = Entry(0, 0, EntryType.CONF_CHANGE_V2, b"\x08")
    with pytest.raises(ConfChangeMalformed):
        leader.node.step(Message(MessageType.PROP, to=1, from_=2, entries=(Entry(0, 0, data=b"x"), bad)))
    assert leader.core.log.last_index() == 2


def test_restart_in_a_joint_configuration() -> None:
    state = ConfState((2, 1), (5,), (2, 3), (3,), auto_leave=True)
    configuration, progress = restore(tracker=tracker(), conf_state=state, last_index=7)
    assert configuration.conf_state() == ConfState((1, 2), (5,), (2, 3), (3,), auto_leave=True)
    assert sorted(progress) == [1, 2, 3, 5]
    assert {p.next for p in progress.values()} == {7}


def test_stored_configuration_that_cannot_be_is_found_out() -> None:
    with pytest.raises(RaftInvariantError, match="was restored as"):
        restore(tracker=tracker(), conf_state=ConfState(voters=(1, 2), learners=(2,)), last_index=1)


# -- the changer's own guards ---------------------------------------------------------------------------------------


def test_configuration_reads_as_in_the_field() -> None:
    configuration = Configuration(
        incoming=frozenset({3, 1}),
        outgoing=frozenset({2}),
        learners=frozenset({5}),
        learners_next=frozenset({2}),
        auto_leave=True,
    )
    assert str(configuration) == "voters=(1 3)&&(2) learners=(5) learners_next=(2) autoleave"


@pytest.mark.parametrize(
    ("configuration", "members", "marked", "reason"),
    [
        (Configuration(incoming=frozenset({1, 2})), {1}, set(), "the progress is not that of its voters"),
        (Configuration(incoming=frozenset({1}), learners_next=frozenset({1})), {1}, set(), "no outgoing voter"),
        (Configuration(incoming=frozenset({1}), learners=frozenset({1})), {1}, {1}, "a learner is a voter"),
        (Configuration(incoming=frozenset({1}), learners=frozenset({2})), {1, 2}, {1}, r"marked are \[1\]"),
        (Configuration(incoming=frozenset({1}), auto_leave=True), {1}, set(), "only a joint configuration"),
    ],
)
def test_unsound_configurations_are_found_out(
    configuration: Configuration, members: set[int], marked: set[int], reason: str
) -> None:
    window = Inflights(messages_max=1, bytes_max=0)
    progress = {m: Progress(next_index=1, inflights=window, is_learner=m in marked) for m in members}
    with pytest.raises(RaftInvariantError, match=reason):
        check_invariants(configuration, progress)


def test_changes_of_no_member_and_updates_do_nothing() -> None:
    t = tracker()
    t.switch(*Changer.of(t, 1).simple([ConfChangeSingle(ADD, 1)]))
    same = v2((ADD, 0))
    configuration, progress = Changer.of(t, 1).change(same)
    assert (configuration, sorted(progress)) == (t.configuration, [1])
    configuration, _ = Changer.of(t, 1).change(v2((ConfChangeType.UPDATE_NODE, 1)))
    assert configuration == t.configuration
    with pytest.raises(ConfChangeRefused, match="removed all voters"):
        Changer.of(t, 1).change(v2((REMOVE, 1)))


def test_refused_change_changes_nothing() -> None:
    t = tracker()
    t.switch(*Changer.of(t, 1).simple([ConfChangeSingle(ADD, 1)]))
    with pytest.raises(ConfChangeRefused, match="removed all voters"):
        Changer.of(t, 1).simple([ConfChangeSingle(LEARNER, 1)])
    assert t.configuration == Configuration(incoming=frozenset({1}))
    assert not t.progress[1].is_learner
    with pytest.raises(ConfChangeRefused, match="zero-voter"):
        Changer.of(tracker(), 1).enter_joint([], auto_leave=False)


# -- bytes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "data"),
    [
        (ConfChange(ADD, 1), "080010001801"),
        (ConfChange(LEARNER, 300, b"ctx", 2**64 - 1), "08ffffffffffffffffff01100318ac022203637478"),
        (ConfChangeV2(), "0800"),
        (
            v2((REMOVE, 2), (LEARNER, 128), transition=ConfChangeTransition.JOINT_EXPLICIT),
            "080212040801100212050803108001",
        ),
        (ConfChangeV2(context=b"c"), "08001a0163"),
    ],
)
def test_bytes_are_those_of_the_field(change: ConfChange | ConfChangeV2, data: str) -> None:
    assert encode_conf_change(change).hex() == data
    assert decode_conf_change_entry(conf_change_entry(change)) == change


def test_no_bytes_are_an_empty_change_and_unknown_fields_are_skipped() -> None:
    assert decode_conf_change_v2(b"") == ConfChangeV2()
    unknown = bytes.fromhex("280131" + "00" * 8 + "3d" + "00" * 4 + "420161")
    assert decode_conf_change(bytes.fromhex("10011807") + unknown) == ConfChange(REMOVE, 7)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("08", "has no end"),
        ("08" + "80" * 11, "has no end within 10 bytes"),
        ("1005", "5 is no ConfChangeType"),
        ("2205aa", "a field of 5 bytes at byte 2 of 3: it is cut off"),
        ("0b", "wire type 3"),
        ("3100", "a field of 8 bytes"),
    ],
)
def test_damaged_bytes_are_refused(data: str, reason: str) -> None:
    with pytest.raises(ConfChangeMalformed, match=reason):
        decode_conf_change(bytes.fromhex(data))


def test_entry_that_is_no_change_is_refused() -> None:
    with pytest.raises(ConfChangeMalformed, match="entry 1/2"):
        decode_conf_change_entry(Entry(1, 2))
