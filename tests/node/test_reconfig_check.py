"""Which changes of the members endanger the quorum: a table of who is there, who is down, and what is asked."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.protocols import PeerStatus, TransportStatus
from trioetcd.node.reconfig_check import HEALTH_SECONDS, ReconfigCheck
from trioetcd.storage.members import Member

NOW = 100.0
SELF = 1
STARTED, UNHEALTHY = ErrorKind.MEMBER_NOT_ENOUGH_STARTED, ErrorKind.UNHEALTHY


def make_check(members: str, *, enabled: bool = True) -> ReconfigCheck:
    """A letter a member, this one first: `u` up, `n` up only just now, `d` down, `-` not started, `l` a learner."""
    rows = [
        Member(number, "" if kind == "-" else "m", is_learner=kind == "l") for number, kind in enumerate(members, 1)
    ]
    since = {"u": NOW - HEALTH_SECONDS - 1, "l": NOW - 60, "n": NOW - 1}
    peers = [
        PeerStatus(row.id, kind in since, since.get(kind), None, None, None)
        for row, kind in zip(rows, members, strict=True)
        if row.id != SELF
    ]
    machine = SimpleNamespace(
        members=SimpleNamespace(members=lambda: tuple(rows), get={row.id: row for row in rows}.get)
    )
    transport = SimpleNamespace(status=lambda: TransportStatus(tuple(peers)))
    return ReconfigCheck(
        enabled=enabled,
        member_id=SELF,
        machine=machine,  # type: ignore[arg-type] # what the check asks of it
        transport=transport,  # type: ignore[arg-type]
        clock=lambda: NOW,
    )


def refusal(check: ReconfigCheck, what: str) -> ErrorKind | None:
    """What is asked: `voter`, `learner`, `promote`, or the number of the member to remove."""
    try:
        if what.isdigit():
            check.may_remove(int(what))
        elif what == "promote":
            check.may_promote()
        else:
            check.may_add(is_learner=what == "learner")
    except ApiError as error:
        return next(kind for kind in ErrorKind if error == ApiError.of(kind))
    return None


@pytest.mark.parametrize(
    ("members", "what", "expected"),
    [
        ("u", "voter", None),
        ("u", "learner", None),
        ("u", "1", STARTED),
        ("ul", "1", STARTED),
        ("ul", "2", None),
        ("ul", "promote", None),
        ("u-", "voter", STARTED),  # two of three would have to have started
        ("u-", "learner", UNHEALTHY),
        ("u-", "promote", None),
        ("u-", "2", None),
        ("u-", "1", STARTED),
        ("uu", "voter", None),
        ("uu", "1", None),
        ("uu", "2", None),
        ("un", "voter", UNHEALTHY),
        ("un", "2", UNHEALTHY),
        ("ud", "voter", UNHEALTHY),
        ("ud", "2", None),  # who is down is no part of the quorum that is there
        ("ud", "1", UNHEALTHY),
        ("uuu", "voter", None),
        ("uuu", "3", None),
        ("uud", "voter", UNHEALTHY),  # of four, three would be needed
        ("uud", "learner", UNHEALTHY),
        ("uud", "3", None),
        ("uud", "2", UNHEALTHY),
        ("uud", "1", UNHEALTHY),
        ("uun", "3", UNHEALTHY),
        ("uu-", "voter", STARTED),
        ("uu-", "promote", None),
        ("u--", "promote", STARTED),
        ("uuud", "voter", None),
        ("uudd", "voter", UNHEALTHY),
        ("uuuud", "voter", None),  # etcd issue 16798: the quorum is fine
        ("uuuud", "4", None),
        ("uuudd", "voter", UNHEALTHY),
        ("uuudd", "3", UNHEALTHY),
        ("uuudd", "5", None),
        ("uuu", "77", None),  # of nobody: apply says so
    ],
)
def test_the_rules(members: str, what: str, expected: ErrorKind | None) -> None:
    assert refusal(make_check(members), what) is expected
    assert refusal(make_check(members, enabled=False), what) is None
