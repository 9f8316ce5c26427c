from __future__ import annotations

from tests.raft.helpers import TestGroup, TestMember, kinds
from trioetcd.raft import ConfState, Entry, HardState, Message, MessageType, ReadOnlyOption, ReadState
from trioetcd.raft.read_only import ReadQueue


def read_request(context: bytes, from_: int = 0) -> Message:
    return Message(MessageType.READ_INDEX, from_=from_, entries=(Entry(0, 0, data=context),))


def test_safe_read_takes_a_round_of_heartbeats() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.read_index(b"r")
    assert kinds(leader.work()) == [MessageType.HEARTBEAT] * 2
    assert not leader.reads
    answer = Message(MessageType.HEARTBEAT_RESP, to=1, from_=3, term=1, context=b"r")
    leader.step(answer)
    assert leader.reads == [ReadState(2, b"r")]
    leader.step(answer)
    assert len(leader.reads) == 1


def test_confirmation_of_a_later_read_is_that_of_earlier_ones_too() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    for context in (b"a", b"b", b"c"):
        leader.node.read_index(context)
    leader.work()
    leader.step(Message(MessageType.HEARTBEAT_RESP, to=1, from_=2, term=1, context=b"b"))
    assert [read.request_context for read in leader.reads] == [b"a", b"b"]


def test_lost_confirmation_is_asked_for_again_by_the_next_beat() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    group.cut_off(1)
    leader.node.read_index(b"r")
    group.settle()
    group.heal()
    leader.node.tick()
    group.settle()
    assert leader.reads == [ReadState(2, b"r")]


def test_learner_confirms_nothing() -> None:
    group = TestGroup((1, 2, 3), learners=(4,))
    leader = group.elect(1)
    group.cut_off(2, 3)
    leader.node.read_index(b"r")
    group.settle()
    assert not leader.reads
    assert 4 in leader.core.tracker.progress


def test_read_waits_for_the_first_commit_of_the_term() -> None:
    group = TestGroup((1, 2, 3))
    group.elect(2)
    group.lost = lambda message: message.type is MessageType.APP
    leader = group.elect(1)
    leader.node.read_index(b"early")
    group.settle()
    assert not leader.reads
    group.heal()
    leader.node.tick()
    group.settle()
    assert leader.reads == [ReadState(3, b"early")]


def test_lone_voter_answers_at_once() -> None:
    member = TestMember(1, ConfState(voters=(1,)))
    member.node.campaign()
    member.work()
    member.node.read_index(b"r")
    assert member.ready().read_states == [ReadState(2, b"r")]


def test_lone_voter_that_lost_its_commit_index_in_a_crash_does_not_answer_with_the_old_one() -> None:
    member = TestMember(1, ConfState(voters=(1,)))
    member.node.campaign()
    member.work()
    member.node.propose(b"acknowledged")
    member.work()
    committed = member.core.log.committed
    # The entries and the vote were synced, the commit index was not.
    member.storage.set_hard_state(HardState(1, 1, 1))
    again = TestMember(1, ConfState(), storage=member.storage)
    again.node.campaign()
    again.ready()
    again.node.read_index(b"r")
    assert not again.core.read_states
    again.work()
    assert again.reads[0].index >= committed


def test_read_by_lease_takes_no_round() -> None:
    group = TestGroup((1, 2, 3), check_quorum=True, read_only_option=ReadOnlyOption.LEASE_BASED)
    leader = group.elect(1)
    leader.node.read_index(b"r")
    assert kinds(leader.work()) == []
    assert leader.reads == [ReadState(2, b"r")]


def test_follower_forwards_and_gets_the_answer() -> None:
    for settings in ({}, {"check_quorum": True, "read_only_option": ReadOnlyOption.LEASE_BASED}):
        group = TestGroup((1, 2, 3), **settings)
        group.elect(1)
        group[2].node.read_index(b"r")
        group.settle()
        assert group[2].reads == [ReadState(2, b"r")]
        assert not group[1].reads


def test_without_a_leader_a_read_is_dropped() -> None:
    group = TestGroup((1, 2, 3))
    group[2].node.read_index(b"r")
    assert not group.settle()
    group[2].node.campaign()
    group[2].node.read_index(b"r")
    assert MessageType.READ_INDEX not in kinds(group[2].work())


def test_answer_without_its_context_is_ignored() -> None:
    member = TestMember(2, ConfState(voters=(1, 2)))
    member.step(Message(MessageType.READ_INDEX_RESP, to=2, from_=1, term=1, index=9))
    assert not member.reads


def test_deposed_leader_answers_nothing_that_waited() -> None:
    group = TestGroup((1, 2, 3))
    group.elect(2)
    group.lost = lambda message: message.type is MessageType.APP
    leader = group.elect(1)
    leader.node.read_index(b"early")
    leader.step(Message(MessageType.HEARTBEAT, to=1, from_=2, term=7))
    group.heal()
    group.elect(1)
    assert not leader.reads


def test_queue_keeps_the_first_of_two_requests_with_one_context() -> None:
    queue = ReadQueue()
    assert queue.last_context() == b""
    queue.add(3, read_request(b"a", from_=2))
    queue.add(5, read_request(b"a", from_=3))
    assert queue.acknowledge(1, b"other") == {}
    assert queue.acknowledge(1, b"a") == {1: True}
    assert [(read.index, read.request.from_) for read in queue.release(b"a")] == [(3, 2)]
    assert queue.release(b"a") == []
