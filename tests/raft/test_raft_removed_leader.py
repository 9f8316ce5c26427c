"""A leader that is not in its configuration any more, and has not stepped down."""

from __future__ import annotations

from tests.raft.helpers import TestGroup, TestMember
from trioetcd.raft import ConfChange, ConfChangeType, StateType


def group_led_by_a_removed_member() -> tuple[TestGroup, TestMember, TestMember]:
    """Member 1 leads and has applied its own removal; member 2, the one voter left, has too."""
    group = TestGroup([1, 2])
    removed = group.elect(1)
    removed.node.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 1))
    group.settle()
    assert removed.core.state is StateType.LEADER
    assert group[2].core.tracker.configuration.incoming == {2}
    return group, removed, group[2]


def test_a_removed_leader_does_not_answer_reads_by_itself() -> None:
    """The only voter left decides alone, and it is another: it may have committed more as the next leader."""
    group, removed, voter = group_led_by_a_removed_member()
    group.cut_off(1)
    group.elect(2)
    voter.node.propose(b"newer")
    group.settle()
    assert voter.data() == [b"newer"]
    removed.node.read_index(b"read")
    group.settle()
    assert removed.reads == []


def test_a_removed_leader_answers_reads_that_the_voter_confirms() -> None:
    group, removed, _ = group_led_by_a_removed_member()
    removed.node.read_index(b"read")
    group.settle()
    assert [read.index for read in removed.reads] == [removed.core.log.committed]
