from __future__ import annotations

from typing import Any

import pytest

from tests.raft.helpers import TestGroup, TestMember, Zero, kinds
from trioetcd.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    Config,
    ConfigInvalid,
    ConfState,
    Entry,
    MemoryStorage,
    Message,
    MessageType,
    ProgressState,
    ProgressStatus,
    RaftError,
    RaftInvariantError,
    RawNode,
    ReadOnlyOption,
    Snapshot,
    SnapshotMetadata,
    SoftState,
    StateType,
    StepLocalMessage,
    StepPeerNotFound,
)
from trioetcd.raft.inflights import Inflights
from trioetcd.raft.progress import Progress

THREE = ConfState(voters=(1, 2, 3))


def progress(**settings: Any) -> Progress:
    window = Inflights(messages_max=2, bytes_max=0)
    return Progress(**{"next_index": 5, "inflights": window, "is_learner": False, **settings})


# -- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"id": 0}, "id 0 is not in"),
        ({"id": LOCAL_APPLY_THREAD}, "is not in"),
        ({"heartbeat_tick": 0}, "got 0 and 10"),
        ({"election_tick": 1}, "got 1 and 1"),
        ({"max_inflight_msgs": 0}, "max_inflight_msgs is 0"),
        ({"max_inflight_bytes": 1}, "less than one message"),
        ({"read_only_option": ReadOnlyOption.LEASE_BASED}, "need check_quorum"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, Any], reason: str) -> None:
    sound: dict[str, Any] = {"id": 1, "election_tick": 10, "heartbeat_tick": 1}
    with pytest.raises(ConfigInvalid, match=reason):
        Config(storage=MemoryStorage(), random=Zero(), **{**sound, **settings})


def test_refusals_and_broken_invariants_are_apart() -> None:
    assert not issubclass(RaftInvariantError, RaftError)
    assert issubclass(ConfigInvalid, RaftError)


# -- the door -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [MessageType.HUP, MessageType.CHECK_QUORUM, MessageType.STORAGE_APPEND_RESP])
def test_local_messages_are_not_taken_from_others(kind: MessageType) -> None:
    member = TestMember(1, THREE)
    with pytest.raises(StepLocalMessage, match=f"{kind.name} came from member 2"):
        member.node.step(Message(kind, to=1, from_=2))


def test_answers_of_strangers_are_not_taken() -> None:
    member = TestMember(1, THREE)
    with pytest.raises(StepPeerNotFound, match="APP_RESP came from 9"):
        member.node.step(Message(MessageType.APP_RESP, to=1, from_=9, term=1))


def test_ready_is_empty_when_there_is_nothing_to_do() -> None:
    member = TestMember(1, THREE)
    assert not member.node.has_ready()
    ready = member.node.ready()
    assert ready.messages == []
    assert (ready.soft_state, ready.hard_state, ready.snapshot, ready.must_sync) == (None, None, None, False)


def test_ready_and_advance_alternate() -> None:
    member = TestMember(1, THREE)
    member.node.campaign()
    ready = member.node.ready()
    with pytest.raises(RaftInvariantError, match="before advance"):
        member.node.ready()
    with pytest.raises(RaftInvariantError, match="another Ready"):
        member.node.advance(ready._replace(must_sync=False))
    member.node.advance(ready)
    with pytest.raises(RaftInvariantError, match="another Ready"):
        member.node.advance(ready)


def test_leader_sends_while_it_saves_and_others_save_first() -> None:
    group = TestGroup((1, 2, 3))
    group[1].node.campaign()
    ready = group[1].ready()
    assert (list(ready.messages_now), kinds(ready.messages_after_save)) == ([], [MessageType.VOTE] * 2)
    for message in ready.messages:
        if message.to == 2:
            group[2].node.step(message)
    ready = group[2].ready()
    assert (list(ready.messages_now), kinds(ready.messages_after_save)) == ([], [MessageType.VOTE_RESP])
    group[1].node.step(ready.messages[0])
    ready = group[1].ready()
    assert ready.soft_state == SoftState(1, StateType.LEADER)
    assert (kinds(ready.messages_now), list(ready.messages_after_save)) == ([MessageType.APP] * 2, [])
    assert ready.must_sync


def test_new_term_is_saved_before_its_leader_is_answered() -> None:
    member = TestMember(2, THREE)
    member.node.step(Message(MessageType.HEARTBEAT, to=2, from_=1, term=3))
    ready = member.ready()
    assert (list(ready.messages_now), kinds(ready.messages_after_save)) == ([], [MessageType.HEARTBEAT_RESP])


def test_snapshot_is_handed_out_once_and_applied_on_advance() -> None:
    member = TestMember(2, THREE)
    snapshot = Snapshot(SnapshotMetadata(THREE, 9, 1), b"state")
    member.node.step(Message(MessageType.SNAP, to=2, from_=1, term=1, snapshot=snapshot))
    ready = member.node.ready()
    assert ready.snapshot == snapshot
    assert member.core.log.applied == 1
    member.save(ready)
    member.node.advance(ready)
    assert member.core.log.applied == 9
    assert not member.node.has_ready()


def test_election_timeout_can_be_fixed() -> None:
    member = TestMember(1, THREE)
    member.node.set_election_timeout(2)
    member.node.tick()
    assert not member.node.has_ready()
    member.node.tick()
    assert member.node.has_ready()


def test_status_is_frozen_and_tells_progress_of_a_leader_only() -> None:
    group = TestGroup((1, 2), learners=(3,))
    leader = group.elect(1)
    status = leader.node.status()
    assert status.soft_state == SoftState(1, StateType.LEADER)
    assert {member: (p.match, p.is_learner) for member, p in status.progress.items()} == {
        1: (2, False),
        2: (2, False),
        3: (2, True),
    }
    assert group[2].node.status().progress == {}
    basic = leader.node.basic_status()
    assert (basic.id, basic.applied, basic.hard_state) == (status.id, status.applied, status.hard_state)
    with pytest.raises(AttributeError):
        basic.applied = 0  # type: ignore[misc]


# -- sending --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (Message(MessageType.VOTE, to=2), "VOTE to 2 has no term"),
        (Message(MessageType.HEARTBEAT, to=2, term=4), "HEARTBEAT to 2 has term 4 already"),
        (Message(MessageType.HEARTBEAT, to=1), "HEARTBEAT is addressed to its sender 1"),
    ],
)
def test_messages_that_would_lie_are_not_sent(message: Message, reason: str) -> None:
    with pytest.raises(RaftInvariantError, match=reason):
        TestMember(1, THREE).core.send(message)


# -- asynchronous storage -------------------------------------------------------------------------------------------


def test_asynchronous_snapshot_of_an_earlier_term_is_applied_all_the_same() -> None:
    member = TestMember(2, THREE, async_storage_writes=True)
    snapshot = Snapshot(SnapshotMetadata(THREE, 9, 1))
    member.node.step(Message(MessageType.SNAP, to=2, from_=1, term=1, snapshot=snapshot))
    (append,) = member.node.ready().messages
    assert (append.type, append.to, append.snapshot) == (MessageType.STORAGE_APPEND, LOCAL_APPEND_THREAD, snapshot)
    member.storage.apply_snapshot(snapshot)
    member.node.step(Message(MessageType.HEARTBEAT, to=2, from_=3, term=5))
    report = append.responses[-1]
    assert (report.type, report.term) == (MessageType.STORAGE_APPEND_RESP, 1)
    member.node.step(report)
    assert member.core.log.applied == 9


def test_asynchronous_snapshot_is_applied_when_it_is_reported() -> None:
    member = TestMember(2, THREE, async_storage_writes=True)
    snapshot = Snapshot(SnapshotMetadata(THREE, 9, 1))
    member.node.step(Message(MessageType.SNAP, to=2, from_=1, term=1, snapshot=snapshot))
    (append,) = member.node.ready().messages
    member.storage.apply_snapshot(snapshot)
    assert not member.core.promotable()
    member.node.step(append.responses[-1])
    assert member.core.log.applied == 9
    assert member.core.promotable()


def test_late_report_without_a_snapshot_changes_nothing() -> None:
    member = TestMember(2, THREE, async_storage_writes=True)
    member.node.step(Message(MessageType.APP, to=2, from_=1, term=1, index=1, log_term=1, entries=(Entry(1, 2),)))
    (append,) = member.node.ready().messages
    member.node.step(Message(MessageType.HEARTBEAT, to=2, from_=3, term=5))
    member.node.step(append.responses[-1])
    assert [entry.index for entry in member.core.log.unstable.entries] == [2]


def test_report_of_nothing_applied_changes_nothing() -> None:
    member = TestMember(2, THREE, async_storage_writes=True)
    member.node.step(Message(MessageType.STORAGE_APPLY_RESP, to=2, from_=LOCAL_APPLY_THREAD))
    assert member.core.log.applied == 1


def test_advance_is_not_for_asynchronous_storage() -> None:
    member = TestMember(1, THREE, async_storage_writes=True)
    member.node.campaign()
    with pytest.raises(RaftInvariantError, match="storage is asynchronous"):
        member.node.advance(member.node.ready())


# -- progress and window --------------------------------------------------------------------------------------------


def test_window_is_full_by_messages_or_by_bytes() -> None:
    window = Inflights(messages_max=2, bytes_max=10)
    window.add(1, 3)
    assert not window.full
    window.add(2, 3)
    assert window.full
    with pytest.raises(
        RaftInvariantError, match=r"up to index 3 is sent into a full window \(2 of 2 messages, 6 of 10"
    ):
        window.add(3, 1)
    window.free_through(1)
    assert (window.count, window.size_bytes) == (1, 3)
    window.free_through(0)
    assert window.count == 1
    window.clear()
    window.add(9, 10)
    assert window.full


def test_rejections_while_sending_ahead_go_back_to_what_matches() -> None:
    p = progress()
    p.maybe_update(4)
    p.become_replicate()
    p.sent_entries(3, 10)
    assert (p.next, p.maybe_decrease(4, 4), p.next) == (8, False, 8)
    assert (p.maybe_decrease(6, 2), p.next) == (True, 5)


def test_rejections_while_probing_must_be_of_the_last_probe() -> None:
    p = progress(next_index=10)
    p.sent_entries(1, 1)
    assert p.paused
    assert not p.maybe_decrease(4, 2)
    assert p.maybe_decrease(9, 2)
    assert (p.next, p.paused) == (3, False)
    p.sent_entries(0, 0)
    assert not p.paused


def test_nothing_is_sent_while_a_snapshot_is_under_way() -> None:
    p = progress()
    p.become_snapshot(8)
    assert (p.state, p.next, p.paused) == (ProgressState.SNAPSHOT, 9, True)
    with pytest.raises(RaftInvariantError, match="1 entries are sent from index 9 while a snapshot"):
        p.sent_entries(1, 1)
    p.become_probe()
    assert p.next == 9


def test_commit_index_is_sent_only_if_it_can_help() -> None:
    p = progress(next_index=5)
    p.sent_commit = 3
    assert [p.can_bump_commit(index) for index in (3, 4, 9)] == [False, True, True]
    p.sent_commit = 4
    assert not p.can_bump_commit(9)


def test_progress_reads_as_in_the_field() -> None:
    p = progress(is_learner=True)
    p.become_replicate()
    p.sent_entries(1, 1)
    p.sent_entries(1, 1)
    text = "StateReplicate match=0 next=3 learner paused inactive inflight=2[full]"
    assert str(ProgressStatus.of(p)) == text
    p.become_snapshot(7)
    p.recent_active = True
    assert str(ProgressStatus.of(p)) == "StateSnapshot match=0 next=8 learner paused pendingSnap=7"


def test_node_can_start_without_a_configuration() -> None:
    node = RawNode(Config(id=4, election_tick=10, heartbeat_tick=1, storage=MemoryStorage(), random=Zero()))
    for _ in range(100):
        node.tick()
    assert not node.has_ready()
