"""The commands of quorum transcripts: `committed` and `vote` on simple and joint majorities.

Each result is computed in other ways too (by counting, with the halves exchanged, and so on), which must agree; where
one does not, it is printed, and so the transcript fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tests.raft.traces.transcript import Case, TranscriptError
from trioetcd.raft.quorum import (
    COMMITTED_ALL,
    joint_committed,
    joint_vote,
    majority_committed,
    majority_vote,
)

COMMANDS = frozenset({"committed", "vote"})
_VOTES = {"y": 2, "n": 1, "_": 0}


class Quorums:
    """Executes cases; none depends on another."""

    def __call__(self, case: Case) -> str:
        values = {key: [v for a in case.arguments if a.key == key for v in a.values] for key in _KEYS}
        unknown = {argument.key for argument in case.arguments} - _KEYS
        if unknown:
            raise TranscriptError(f"unknown arguments {unknown}")
        is_joint = bool(values["cfgj"])
        incoming = [int(v) for v in values["cfg"]]
        outgoing = [] if values["cfgj"] == ["zero"] else [int(v) for v in values["cfgj"]]
        is_vote = case.command == "vote"
        given = [_VOTES[v] for v in values["votes"]] if is_vote else [_index(v) for v in values["idx"]]
        voters = sorted({*incoming, *outgoing})
        if len(voters) != len(given):
            told = " ".join(map(str, given))
            return f"error: mismatched input (explicit or _) for voters {_set(voters)}: [{told}]"
        known = {member: value for member, value in zip(_order(incoming, outgoing), given, strict=True) if value}
        lines = _vote if is_vote else _committed
        return "\n".join(lines(set(incoming), set(outgoing) if is_joint else None, known))


_KEYS = frozenset({"cfg", "cfgj", "idx", "votes"})


def _index(text: str) -> int:
    if text == "0":
        raise TranscriptError("cannot use 0 as idx")
    return 0 if text == "_" else int(text)


def _order(incoming: list[int], outgoing: list[int]) -> list[int]:
    return [*dict.fromkeys(incoming + outgoing)]


def _set(voters: list[int]) -> str:
    return "(" + " ".join(map(str, voters)) + ")"


def _vote(incoming: set[int], outgoing: set[int] | None, known: Mapping[int, int]) -> Iterator[str]:
    votes = {member: value == 2 for member, value in known.items()}
    if outgoing is None:
        yield majority_vote(incoming, votes).value
        return
    result = joint_vote(incoming, outgoing, votes)
    exchanged = joint_vote(outgoing, incoming, votes)
    if exchanged is not result:
        yield f"{exchanged.value} <-- via symmetry"
    yield result.value


def _committed(incoming: set[int], outgoing: set[int] | None, acked: Mapping[int, int]) -> Iterator[str]:
    if outgoing is None:
        result = _by_majority(incoming, acked)
        ways = _other_ways(incoming, acked, result)
    else:
        result = _by_both(incoming, outgoing, acked)
        ways = iter([("via symmetry", _by_both(outgoing, incoming, acked))])
    described = _described(sorted(incoming | (outgoing or set())), acked)
    differences = [f"{_told(index)} <-- {way}" for way, index in ways if index != result]
    # The drawing of no voters has no line of its own.
    lines = [*described, *differences, _told(result)]
    if not (incoming or outgoing):
        lines = ["".join(lines)]
    yield from lines


def _other_ways(voters: set[int], acked: Mapping[int, int], result: int) -> Iterator[tuple[str, int]]:
    yield "via alternative computation", _by_counting(voters, acked)
    yield "via zero-joint quorum", _by_both(voters, set(), acked)
    yield "via self-joint quorum", _by_both(voters, voters, acked)
    for member in sorted(voters):
        index = acked.get(member, 0)
        if 0 < index < result:
            # What lies below the result may as well lie lower.
            yield f"overlaying {member}->{index}", _by_majority(voters, {**acked, member: index - 1})
            yield f"overlaying {member}->0", _by_majority(voters, {**acked, member: 0})


def _by_majority(voters: set[int], acked: Mapping[int, int]) -> int:
    return majority_committed([acked.get(voter, 0) for voter in voters])


def _by_both(incoming: set[int], outgoing: set[int], acked: Mapping[int, int]) -> int:
    return joint_committed([acked.get(voter, 0) for voter in incoming], [acked.get(voter, 0) for voter in outgoing])


def _by_counting(voters: set[int], acked: Mapping[int, int]) -> int:
    """The highest of the indexes that enough voters have reached."""
    if not voters:
        return COMMITTED_ALL
    indexes = [acked.get(voter, 0) for voter in voters]
    reached: Callable[[int], int] = lambda index: sum(other >= index for other in indexes)  # noqa: E731 (a count, used once)
    return max((index for index in indexes if reached(index) > len(voters) // 2), default=0)


def _described(voters: list[int], acked: Mapping[int, int]) -> Iterator[str]:
    """A bar for each voter: how many others its index is above."""
    if not voters:
        yield "<empty majority quorum>"
        return
    count = len(voters)
    ranked = sorted(acked.get(voter, 0) for voter in voters)
    yield " " * count + "    idx"
    for voter in voters:
        index = acked.get(voter, 0)
        rank = ranked.index(index)
        bar = "x" * rank + ">" + " " * (count - rank) if voter in acked else "?" + " " * count
        yield f"{bar} {index:5d}    (id={voter})"


def _told(index: int) -> str:
    return "∞" if index == COMMITTED_ALL else str(index)
