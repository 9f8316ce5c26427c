"""Locks and elections: alone, and of several clients of whom all but one wait."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.cases import (
    Answered,
    Ask,
    Call,
    Case,
    Finish,
    HangUp,
    Open,
    Quiet,
    Step,
    Take,
    Until,
    b64,
    case,
    compact,
    delete,
    get,
    put,
)

pytestmark = pytest.mark.conformance

SETUP = case(
    "leases", put("foo"), *(Call("/v3/lease/grant", {"TTL": 3600, "ID": number}) for number in (1, 2, 3, -7, 99))
)

SILENT_SECONDS = 0.15


def lock(name: str | bytes, lease: int = 0, **options: Any) -> Call:
    return Call("/v3/lock/lock", {"name": b64(name), **({"lease": lease} if lease else {})}, **options)


def unlock(key: str | bytes) -> Call:
    return Call("/v3/lock/unlock", {"key": b64(key)})


def grant(lease: int) -> Call:
    return Call("/v3/lease/grant", {"TTL": 3600, "ID": lease})


def revoke(lease: int) -> Call:
    return Call("/v3/lease/revoke", {"ID": lease})


def hiding(call: Call, *fields: str) -> Call:
    return replace(call, hide=fields)


def silent(name: str) -> Answered:
    """There is no answer yet."""
    return Answered(name, seconds=SILENT_SECONDS)


def appears(key: str) -> Until:
    return Until(get(key), '"count":"1"')


def vanishes(key: str) -> Until:
    return Until(get(key, count_only=True), '"raft_term":"TERM"}}')


def waiting(name: str, call: Call, key: str) -> tuple[Step, ...]:
    """Ask under a name, and see that the key is in the line and the answer is not there."""
    return (Ask(name, call), appears(key), silent(name))


LOCKS = (
    case("lock and unlock", lock("l", 99), get("l/63"), lock("l", 99), unlock("l/63"), unlock("l/63"), get("l/63")),
    case("unlock of nothing", Call("/v3/lock/unlock", {})),
    case("unlock of a key that is no lock", put("no lock"), unlock("no lock"), get("no lock")),
    case("lock without a name", Call("/v3/lock/lock", {"lease": 99})),
    case("lock of bytes that are no text", lock(b"\xff\x00", 99)),
    case("lock with an unknown lease", lock("x", 7)),
    case("lock with a negative lease", lock("neg", -7), get("neg/-7")),
    case("lock with a lease of its own", lock("own", hide=("key",)), hiding(get("own/", "own0"), "key", "lease")),
    case("lock beside other keys", put("n"), put("n."), put("n0"), lock("n", 99)),
    case("lock again with what the key held", put("held/63", "text"), lock("held", 99), get("held/63")),
    case("lock, bad JSON", Call("/v3/lock/lock", b"{xx"), Call("/v3/lock/lock", {"name": "%"}), Call("/v3/lock/lock", {"lease": "x"})),
    case("lock, too large a name", lock("x" * 1_600_000, 99)),
    case("unlock, bad JSON", Call("/v3/lock/unlock", b"[]")),
)  # fmt: skip

LOCKS_THAT_WAIT = (
    case("three in a line", lock("w1", 1), *waiting("b", lock("w1", 2), "w1/2"), *waiting("c", lock("w1", 3), "w1/3"), unlock("w1/1"), Answered("b"), silent("c"), unlock("w1/2"), Answered("c"), get("w1/", "w10")),
    case("the holder's lease ends", grant(11), lock("w2", 11), *waiting("b", lock("w2", 2), "w2/2"), revoke(11), Answered("b")),
    case("a waiter's lease ends", grant(12), lock("w3", 1), *waiting("b", lock("w3", 12), "w3/c"), *waiting("c", lock("w3", 3), "w3/3"), revoke(12), silent("b"), silent("c"), unlock("w3/1"), Answered("b"), Answered("c")),
    case("a waiter hangs up", lock("w4", 1), *waiting("b", lock("w4", 2), "w4/2"), *waiting("c", lock("w4", 3), "w4/3"), HangUp("b"), vanishes("w4/2"), silent("c"), unlock("w4/1"), Answered("c")),
    case("a waiter's time is up", lock("w5", 1), lock("w5", 2, headers={"Grpc-Timeout": "300m"}), vanishes("w5/2"), lock("w5", 1), unlock("w5/1")),
    case("one lease waits twice", lock("w6", 1), *waiting("b", lock("w6", 2), "w6/2"), *waiting("c", lock("w6", 2), "w6/2"), unlock("w6/1"), Answered("b"), Answered("c")),
    case("a key without a lease", put("w7/x"), *waiting("b", lock("w7", 2), "w7/2"), put("w7/x", "again"), silent("b"), delete("w7/x"), Answered("b")),
    case("a waiter is unlocked", lock("w8", 1), *waiting("b", lock("w8", 2), "w8/2"), unlock("w8/2"), silent("b"), unlock("w8/1"), Answered("b")),
    case("a compaction meanwhile", lock("w9", 1), *waiting("b", lock("w9", 2), "w9/2"), put("foo"), compact("$REV"), unlock("w9/1"), Answered("b")),
    case("a lease of its own", lock("wa", 1), Ask("b", lock("wa")), Until(get("wa/", "wa0"), '"count":"2"'), silent("b"), unlock("wa/1"), Answered("b", hide=("key",))),
    case("a name within a name", lock("wc/x/", 1), *waiting("b", lock("wc", 2), "wc/2"), unlock("wc/x//1"), Answered("b")),
    case("locked by another's key", lock("wd", 1), *waiting("b", lock("wd", 2), "wd/2"), delete("wd/2"), *waiting("c", lock("wd", 2), "wd/2"), unlock("wd/1"), Answered("b")),
    case("all keys are deleted at once", lock("wb", 1), *waiting("b", lock("wb", 2), "wb/2"), *waiting("c", lock("wb", 3), "wb/3"), delete("wb/", "wb0"), Answered("b"), Answered("c")),
)  # fmt: skip


def campaign(name: str, lease: int = 0, value: str = "v", **options: Any) -> Call:
    return Call("/v3/election/campaign", {"name": b64(name), "lease": lease, "value": b64(value)}, **options)


def leader(name: str) -> Call:
    return Call("/v3/election/leader", {"name": b64(name)})


def leader_key(name: str, lease: int, revision: Any = "$CREATED") -> dict[str, Any]:
    return {"name": b64(name), "key": b64(f"{name}/{lease:x}"), "rev": revision, "lease": lease}


def proclaim(key: Any, value: str = "w") -> Call:
    return Call("/v3/election/proclaim", {"leader": key, "value": b64(value)})


def resign(key: Any) -> Call:
    return Call("/v3/election/resign", {"leader": key})


def observe(name: str) -> tuple[Step, ...]:
    return (Open(({"name": b64(name)},), path="/v3/election/observe"), Finish())


CREATED = {"CREATED": "leader.rev"}
ELECTIONS = (
    case("leader of none", leader("none")),
    case("leader of no name", Call("/v3/election/leader", {})),
    case(
        "a term of office",
        campaign("el", 99, "v1", save=CREATED),
        leader("el"),
        *observe("el"),
        Take(),
        proclaim(leader_key("el", 99), "v2"),
        Take(),
        leader("el"),
        proclaim(leader_key("el", 99, 1), "v3"),
        resign(leader_key("el", 99, 1)),
        leader("el"),
        resign(leader_key("el", 99)),
        resign(leader_key("el", 99)),
        leader("el"),
        Quiet(),
    ),
    case("campaign again, the same value", campaign("e2", 1, "v"), campaign("e2", 1, "v"), get("e2/1")),
    case("campaign again, another value", campaign("e3", 1, "v"), campaign("e3", 1, "w"), get("e3/1")),
    case("campaign without a value", Call("/v3/election/campaign", {"name": b64("e4"), "lease": 1}), leader("e4")),
    case("campaign without a name", Call("/v3/election/campaign", {"lease": 99})),
    case("campaign with a lease of its own", campaign("e5", hide=("key", "lease")), hiding(get("e5/", "e50"), "key", "lease")),
    case("campaign with an unknown lease", campaign("e6", 7)),
    case("campaign with a negative lease", campaign("e7", -7)),
    case("proclaim without a leader", Call("/v3/election/proclaim", {"value": b64("v")})),
    case("proclaim with an empty leader", proclaim({})),
    case("proclaim with another key", campaign("e8", 1, save=CREATED), proclaim({**leader_key("e8", 1), "key": b64("foo")}), get("e8/1")),
    case("proclaim with another lease", campaign("e9", 1, save=CREATED), proclaim({**leader_key("e9", 1), "lease": 2}), get("e9/1")),
    case("proclaim with an unknown lease", campaign("ea", 1, save=CREATED), proclaim({**leader_key("ea", 1), "lease": 7}), get("ea/1")),
    case("proclaim without a lease", campaign("eb", 1, save=CREATED), proclaim({**leader_key("eb", 1), "lease": 0}), hiding(get("eb/1"), "lease")),
    case("proclaim under another name", campaign("ec", 1, save=CREATED), proclaim({**leader_key("ec", 1), "name": b64("x")}), get("ec/1")),
    case("resign without a leader", Call("/v3/election/resign", {})),
    case("resign with an empty leader", resign({})),
    case("resign with an unknown lease", campaign("ed", 1, save=CREATED), resign({**leader_key("ed", 1), "lease": 7}), get("ed/1")),
    case("election, bad JSON", *(Call(f"/v3/election/{path}", b"{xx") for path in ("campaign", "proclaim", "leader", "resign")), Call("/v3/election/proclaim", {"leader": 5})),
    case("observe, bad JSON", Open((b"{xx",), path="/v3/election/observe"), Finish(), Take(2)),
    case("leases that sessions leave", Call("/v3/lease/leases", {}, hide=("ID",), unordered=("leases",))),
)  # fmt: skip

ELECTIONS_THAT_WAIT = (
    case(
        "one leader after the other",
        *observe("f1"),
        campaign("f1", 1, "a", save=CREATED),
        Take(),
        *waiting("b", campaign("f1", 2, "b"), "f1/2"),
        *waiting("c", campaign("f1", 3, "c"), "f1/3"),
        leader("f1"),
        resign(leader_key("f1", 1)),
        Answered("b", save=CREATED),
        Take(),
        silent("c"),
        leader("f1"),
        resign(leader_key("f1", 2)),
        Answered("c", save=CREATED),
        Take(),
        resign(leader_key("f1", 3)),
        leader("f1"),
        campaign("f1", 1, "again"),
        Take(),
    ),
    case("a candidate proclaims", campaign("f2", 1, "a"), *waiting("b", campaign("f2", 2, "b"), "f2/2"), get("f2/2"), proclaim(leader_key("f2", 2, "$REV")), get("f2/2"), leader("f2"), delete("f2/1"), Answered("b"), leader("f2")),
    case("a candidate hangs up", campaign("f3", 1, "a"), *waiting("b", campaign("f3", 2, "b"), "f3/2"), HangUp("b"), vanishes("f3/2"), delete("f3/1"), leader("f3")),
    case("a candidate campaigns again", campaign("f4", 1, "a"), *waiting("b", campaign("f4", 2, "b"), "f4/2"), Ask("c", campaign("f4", 2, "c")), Until(get("f4/2"), '"version":"2"'), silent("c"), delete("f4/1"), Answered("b"), Answered("c"), leader("f4")),
    case("the leader's lease ends", grant(21), campaign("f5", 21, "a"), *waiting("b", campaign("f5", 2, "b"), "f5/2"), *observe("f5"), Take(), revoke(21), Answered("b"), Take()),
    case("elected without its lease", grant(22), campaign("f6", 1, "a"), *waiting("b", campaign("f6", 22, "b"), "f6/16"), revoke(22), silent("b"), delete("f6/1"), Answered("b")),
)  # fmt: skip


@pytest.mark.parametrize("case", LOCKS, ids=lambda case: case.name)
def test_locks(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", LOCKS_THAT_WAIT, ids=lambda case: case.name)
def test_locks_that_wait(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", ELECTIONS, ids=lambda case: case.name)
def test_elections(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", ELECTIONS_THAT_WAIT, ids=lambda case: case.name)
def test_elections_that_wait(check: Callable[[Case], None], case: Case) -> None:
    check(case)
