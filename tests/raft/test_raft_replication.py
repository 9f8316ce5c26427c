from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.raft.helpers import TestGroup, TestMember, kinds
from trioetcd.raft import (
    NO_LIMIT,
    ConfState,
    Entry,
    HardState,
    MemoryStorage,
    Message,
    MessageType,
    ProgressState,
    ProposalDropped,
    RaftInvariantError,
    Snapshot,
    SnapshotMetadata,
    SnapshotTemporarilyUnavailable,
    StateType,
)

THREE = ConfState(voters=(1, 2, 3))


def appended(messages: Sequence[Message], to: int) -> list[list[bytes]]:
    return [[e.data for e in m.entries] for m in messages if m.to == to and m.type is MessageType.APP]


def test_entries_reach_all_in_order() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    for number in range(20):
        leader.node.propose(b"%d" % number)
        if number % 3 == 0:
            group.settle()
    group.settle()
    expected = [b"%d" % number for number in range(20)]
    assert [member.data() for member in group.members.values()] == [expected] * 3


def test_leader_counts_its_own_entries_when_they_are_saved() -> None:
    member = TestMember(1, ConfState(voters=(1,)))
    member.node.campaign()
    member.work()
    member.node.propose(b"x")
    assert member.core.log.committed == 2
    member.ready()
    assert member.core.log.committed == 3


def test_entry_of_an_earlier_term_is_not_committed_by_counting() -> None:
    """Figure 8 of the paper: it is committed with the first one of the leader's own term."""
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    group.lost = lambda message: message.type is MessageType.APP_RESP
    leader.node.propose(b"old")
    group.settle()
    group.heal()
    group.lost = lambda message: message.type is MessageType.APP and bool(message.entries)
    group[2].node.campaign()
    group.settle()
    new = group[2]
    assert new.core.state is StateType.LEADER
    old_index = new.core.log.last_index() - 1
    new.core.tracker.progress[3].maybe_update(old_index)
    new.step(Message(MessageType.APP_RESP, to=2, from_=1, term=2, index=old_index))
    assert new.core.log.committed < old_index
    new.step(Message(MessageType.APP_RESP, to=2, from_=1, term=2, index=old_index + 1))
    assert new.core.log.committed == old_index + 1


def test_diverging_logs_are_reconciled_by_whole_terms() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    group.cut_off(1)
    for number in range(30):
        leader.node.propose(b"lost %d" % number)
    group.settle()
    group.elect(2)
    for number in range(5):
        group[2].node.propose(b"kept %d" % number)
    group.settle()
    group.heal()
    group[2].node.tick()
    sent = group.settle()
    group[2].node.tick()
    sent += group.settle()
    assert group[1].data() == group[2].data() == [b"kept %d" % number for number in range(5)]
    assert sum(message.reject for message in sent) <= 2


def test_old_messages_are_answered_with_the_commit_index() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.propose(b"x")
    group.settle()
    old = Message(MessageType.APP, to=2, from_=1, term=1, index=1, log_term=1, commit=1)
    (answer,) = group[2].step(old)
    assert (answer.index, answer.reject) == (3, False)


def test_old_rejections_and_acknowledgements_change_nothing() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    progress = leader.core.tracker.progress[2]
    assert not leader.step(
        Message(MessageType.APP_RESP, to=1, from_=2, term=1, index=1, reject=True, reject_hint=0),
        Message(MessageType.APP_RESP, to=1, from_=2, term=1, index=1),
    )
    assert (progress.match, progress.next) == (2, 3)


def test_window_bounds_messages_and_bytes() -> None:
    for settings in ({"max_inflight_msgs": 3}, {"max_inflight_bytes": 30, "max_size_per_msg": 10}):
        group = TestGroup((1, 2), **settings)
        leader = group.elect(1)
        group.cut_off(2)
        for _ in range(9):
            leader.node.propose(b"x" * 10)
        sent = leader.work()
        assert len(appended(sent, 2)) == 3, settings
        group.heal()
        leader.node.tick()
        group.settle()
        assert len(group[2].data()) == 9


def test_messages_are_paged_by_size_but_carry_an_entry_at_least() -> None:
    group = TestGroup((1, 2), max_size_per_msg=40)
    leader = group.elect(1)
    group.cut_off(2)
    leader.node.report_unreachable(2)
    for size in (10, 10, 10, 100):
        leader.node.propose(b"x" * size)
    leader.work()
    group.heal()
    leader.node.tick()
    sent = group.settle()
    assert [[len(data) for data in datas] for datas in appended(sent, 2) if datas] == [[10, 10], [10], [100]]


def test_uncommitted_entries_are_bounded_and_freed_when_applied() -> None:
    group = TestGroup((1, 2, 3), max_uncommitted_entries_size=25)
    leader = group.elect(1)
    group.cut_off(1)
    leader.node.propose(b"x" * 100)  # while nothing is uncommitted, any size
    with pytest.raises(ProposalDropped, match="101 bytes would be uncommitted, more than 25"):
        leader.node.propose(b"y")
    leader.node.propose(b"")
    group.heal()
    group.settle()
    leader.node.tick()
    group.settle()
    assert leader.core.uncommitted_size == 0
    leader.node.propose(b"y")


def test_proposals_are_forwarded_or_dropped() -> None:
    group = TestGroup((1, 2, 3))
    with pytest.raises(ProposalDropped, match="member 2 knows no leader in term 0"):
        group[2].node.propose(b"x")
    group.elect(1)
    group[2].node.propose(b"forwarded")
    group.settle()
    assert group[3].data() == [b"forwarded"]
    group[2].node.campaign()
    with pytest.raises(ProposalDropped, match="member 2 campaigns"):
        group[2].node.propose(b"x")


def test_forwarding_can_be_turned_off() -> None:
    group = TestGroup((1, 2, 3), disable_proposal_forwarding=True)
    group.elect(1)
    with pytest.raises(ProposalDropped, match="member 2 does not forward to the leader 1 of term 1"):
        group[2].node.propose(b"x")


def test_forwarded_proposal_can_be_dropped_by_the_leader() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.transfer_leader(2)
    with pytest.raises(ProposalDropped, match="transferred to 2"):
        leader.node.step(Message(MessageType.PROP, to=1, from_=3, entries=(Entry(0, 0, data=b"x"),)))
    with pytest.raises(RaftInvariantError, match="without entries by 3"):
        leader.node.step(Message(MessageType.PROP, to=1, from_=3))


def test_transfer_that_takes_an_election_timeout_is_given_up() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    group.cut_off(2)
    leader.node.transfer_leader(2)
    for _ in range(10):
        leader.node.tick()
    assert leader.node.basic_status().lead_transferee == 0
    leader.node.propose(b"x")


def test_follower_that_lags_gets_what_it_lacks_before_leadership() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    group.cut_off(2)
    leader.node.propose(b"x")
    group.settle()
    group.heal()
    leader.node.transfer_leader(2)
    leader.node.tick()
    group.settle()
    assert group[2].core.state is StateType.LEADER
    assert group[2].data() == [b"x"]


def test_compacted_entries_are_replaced_by_a_snapshot() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    group.cut_off(3)
    for number in range(5):
        leader.node.propose(b"%d" % number)
    group.settle()
    index = leader.core.log.applied
    leader.storage.create_snapshot(index, THREE, b"state")
    leader.storage.compact(index)
    leader.node.propose(b"after")
    group.settle()
    group.heal()
    leader.node.report_unreachable(3)
    leader.node.tick()
    sent = group.settle()
    assert MessageType.SNAP in kinds(sent)
    assert group[3].storage.snapshot().data == b"state"
    assert group[3].data() == [b"after"]
    assert leader.core.tracker.progress[3].state is ProgressState.REPLICATE


def lagging(state: ConfState = THREE) -> TestMember:
    """A leader whose follower 3 needs what is compacted, and has just answered a heartbeat."""
    group = TestGroup(state.voters)
    leader = group.elect(1)
    group.cut_off(3)
    for number in range(5):
        leader.node.propose(b"%d" % number)
    group.settle()
    index = leader.core.log.applied
    leader.storage.create_snapshot(index, state, b"state")
    leader.storage.compact(index)
    leader.node.report_unreachable(3)
    return leader


HEARTBEAT_ANSWER = Message(MessageType.HEARTBEAT_RESP, to=1, from_=3, term=1)


def test_reported_snapshot_is_probed_after_the_next_answer() -> None:
    leader = lagging()
    assert kinds(leader.step(HEARTBEAT_ANSWER)) == [MessageType.SNAP]
    progress = leader.core.tracker.progress[3]
    assert progress.state is ProgressState.SNAPSHOT
    assert not leader.step(HEARTBEAT_ANSWER)
    leader.node.report_snapshot(3, ok=True)
    assert (progress.state, progress.next, progress.paused) == (ProgressState.PROBE, 8, True)
    assert appended(leader.step(HEARTBEAT_ANSWER), 3) == [[]]


def test_failed_snapshot_is_sent_again() -> None:
    leader = lagging()
    leader.step(HEARTBEAT_ANSWER)
    leader.node.report_snapshot(3, ok=False)
    progress = leader.core.tracker.progress[3]
    assert (progress.state, progress.next) == (ProgressState.PROBE, progress.match + 1)
    assert kinds(leader.step(HEARTBEAT_ANSWER)) == [MessageType.SNAP]


def test_reports_about_strangers_and_other_states_change_nothing() -> None:
    leader = lagging()
    leader.node.report_snapshot(3, ok=True)
    leader.node.report_snapshot(9, ok=True)
    leader.node.report_unreachable(9)
    assert leader.core.tracker.progress[3].state is ProgressState.PROBE
    # Answers of a member that was removed meanwhile are stopped at the door; those under way inside do nothing.
    leader.core.tracker.progress.pop(3)
    for kind in (MessageType.APP_RESP, MessageType.HEARTBEAT_RESP):
        leader.step(Message(kind, to=1, from_=2**64 - 1, term=1))


def test_snapshot_goes_only_to_members_that_were_heard_from() -> None:
    leader = lagging()
    leader.core.tracker.progress[3].recent_active = False
    leader.node.propose(b"x")
    assert MessageType.SNAP not in kinds(leader.work())


def test_snapshot_that_is_not_ready_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    leader = lagging()

    def unavailable() -> Snapshot:
        raise SnapshotTemporarilyUnavailable

    monkeypatch.setattr(leader.storage, "snapshot", unavailable)
    assert not leader.step(HEARTBEAT_ANSWER)
    monkeypatch.undo()
    assert kinds(leader.step(HEARTBEAT_ANSWER)) == [MessageType.SNAP]


def test_storage_that_compacted_without_a_snapshot_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    leader = lagging()
    monkeypatch.setattr(leader.storage, "snapshot", Snapshot)
    with pytest.raises(RaftInvariantError, match="member 3 needs entry 3, the log begins at 8"):
        leader.node.step(HEARTBEAT_ANSWER)


def test_answer_to_a_snapshot_older_than_the_log_leaves_it_waiting() -> None:
    leader = lagging()
    leader.step(HEARTBEAT_ANSWER)
    leader.step(Message(MessageType.APP_RESP, to=1, from_=3, term=1, index=4))
    assert leader.core.tracker.progress[3].state is ProgressState.SNAPSHOT


def snap(index: int, term: int = 1, state: ConfState = THREE, message_term: int = 1) -> Message:
    snapshot = Snapshot(SnapshotMetadata(state, index, term))
    return Message(MessageType.SNAP, to=2, from_=1, term=message_term, snapshot=snapshot)


def test_snapshot_is_ignored_if_old_or_not_for_this_member() -> None:
    member = TestMember(2, THREE)
    stranger = snap(9, state=ConfState(voters=(1, 3)))
    nothing = Message(MessageType.SNAP, to=2, from_=1, term=1)
    answers = member.step(snap(1), stranger, nothing)
    assert [(m.type, m.index) for m in answers] == [(MessageType.APP_RESP, 1)] * 3
    assert member.core.log.unstable.snapshot is None


def test_snapshot_of_entries_that_are_there_only_commits_them() -> None:
    member = TestMember(2, THREE)
    entries = (Entry(1, 2), Entry(1, 3))
    member.step(Message(MessageType.APP, to=2, from_=1, term=1, index=1, log_term=1, entries=entries))
    (answer,) = member.step(snap(3))
    assert answer.index == 3
    assert member.core.log.committed == 3
    assert member.storage.last_index() == 3


def test_snapshot_reaches_a_candidate_of_the_same_term() -> None:
    member = TestMember(2, THREE)
    member.node.campaign()
    member.work()
    member.step(snap(9))
    assert (member.core.state, member.core.lead, member.core.log.committed) == (StateType.FOLLOWER, 1, 9)


def test_append_that_is_no_sequence_stops_the_member() -> None:
    member = TestMember(2, THREE)
    message = Message(MessageType.APP, to=2, from_=1, term=1, index=1, log_term=1, entries=(Entry(1, 3),))
    with pytest.raises(RaftInvariantError, match=r"1 entries 3\.\.3 were sent to follow index 1"):
        member.node.step(message)


def test_commit_index_past_the_log_stops_the_member() -> None:
    member = TestMember(2, THREE)
    with pytest.raises(RaftInvariantError, match="commit index 9 is out of range: the last index is 1"):
        member.node.step(Message(MessageType.HEARTBEAT, to=2, from_=1, term=1, commit=9))


def test_heartbeat_commits_no_further_than_what_matches() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    group.cut_off(3)
    leader.node.propose(b"x")
    group.settle()
    leader.node.tick()
    beats = {m.to: m.commit for m in leader.work() if m.type is MessageType.HEARTBEAT}
    assert beats == {2: 3, 3: 2}


def test_candidate_follows_a_leader_of_its_term() -> None:
    for kind in (MessageType.APP, MessageType.HEARTBEAT):
        member = TestMember(2, THREE)
        member.node.campaign()
        member.work()
        member.step(Message(kind, to=2, from_=1, term=1, index=1, log_term=1, commit=1))
        assert (member.core.state, member.core.lead) == (StateType.FOLLOWER, 1)


def test_restart_goes_on_from_what_was_saved() -> None:
    group = TestGroup((1, 2, 3))
    leader = group.elect(1)
    leader.node.propose(b"x")
    group.settle()
    again = TestMember(2, THREE, storage=group[2].storage, applied=2)
    assert (again.core.term, again.core.vote, again.core.log.committed, again.core.log.applied) == (1, 1, 3, 2)
    assert again.ready().committed_entries == [Entry(1, 3, data=b"x")]


def test_storage_that_lost_entries_is_found_out_at_the_start() -> None:
    storage = MemoryStorage()
    storage.set_hard_state(storage.initial_state()[0]._replace(term=1, commit=5))
    with pytest.raises(RaftInvariantError, match="commit index 5 lies after the last index 0"):
        TestMember(1, THREE, storage=storage, applied=0)


def test_commit_index_that_was_not_synced_may_lie_before_the_snapshot() -> None:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(SnapshotMetadata(THREE, 9, 2)))
    storage.set_hard_state(HardState(2, 1, 7))
    member = TestMember(1, THREE, storage=storage, applied=9)
    assert (member.core.log.committed, member.core.term, member.core.vote) == (9, 2, 1)


def test_unlimited_and_limited_pages_of_stored_and_unsaved_entries() -> None:
    member = TestMember(1, ConfState(voters=(1,)), max_size_per_msg=NO_LIMIT)
    member.node.campaign()
    member.work()
    member.node.propose(b"saved")
    member.work()
    member.node.propose(b"unsaved")
    log = member.core.log
    assert [e.data for e in log.slice(2, 5, NO_LIMIT)] == [b"", b"saved", b"unsaved"]
    assert [e.data for e in log.slice(2, 5, 35)] == [b"", b"saved", b"unsaved"]
    assert [e.data for e in log.slice(2, 5, 20)] == [b"", b"saved"]
    assert [e.data for e in log.slice(2, 5, 7)] == [b""]
    assert list(log.entries(9, NO_LIMIT)) == []
