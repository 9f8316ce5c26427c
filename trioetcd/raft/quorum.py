"""Majorities, simple and joint (thesis 3.4, 3.6, 4.3): what is committed, and who has won.

A joint quorum decides only what both of its majorities decide. An empty majority decides everything: so a joint
quorum of which one half is empty is the other half.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Final

COMMITTED_ALL: Final = 2**64 - 1
"""The committed index of an empty majority: no limit to what the other half of a joint quorum commits."""


class VoteResult(Enum):
    """What the votes collected so far decide."""

    PENDING = "VotePending"
    LOST = "VoteLost"
    WON = "VoteWon"


def majority_committed(acked: list[int]) -> int:
    """The highest index that a majority has acknowledged (thesis 3.6.2), of what each voter has; the list is sorted."""
    if not acked:
        return COMMITTED_ALL
    acked.sort()
    return acked[(len(acked) - 1) // 2]


def joint_committed(incoming: list[int], outgoing: list[int]) -> int:
    """The highest index that both majorities have acknowledged (thesis 4.3: agreement needs both)."""
    return min(majority_committed(incoming), majority_committed(outgoing))


def majority_vote(voters: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    """Count each voter's vote once; votes of others do not count. Without voters the vote is won."""
    if not voters:
        return VoteResult.WON
    quorum = len(voters) // 2 + 1
    granted = sum(1 for voter in voters if votes.get(voter, False))
    missing = sum(1 for voter in voters if voter not in votes)
    if granted >= quorum:
        return VoteResult.WON
    return VoteResult.PENDING if granted + missing >= quorum else VoteResult.LOST


def joint_vote(incoming: Collection[int], outgoing: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    """Won when both majorities have won, lost as soon as one has lost (thesis 4.3)."""
    results = {majority_vote(incoming, votes), majority_vote(outgoing, votes)}
    if len(results) == 1:
        return results.pop()
    return VoteResult.LOST if VoteResult.LOST in results else VoteResult.PENDING
