"""Leases, as far as keys see them: grant, revoke, attach; keep-alive, time to live and the list where they are built."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.cases import Call, Case, Finish, Open, Take, case, delete, get, op_put, put, txn, watch

pytestmark = pytest.mark.conformance


def grant(**fields: object) -> Call:
    """A grant; the ID is the server's choice unless it is given."""
    hide = () if "ID" in fields else ("ID",)
    return Call("/v3/lease/grant", fields, hide=hide, save={"LEASE": "ID"})


def revoke(number: object) -> Call:
    return Call("/v3/lease/revoke", {"ID": number})


GRANT = (
    # The first of the module, so that no lease is there whose ID a server chose.
    case(
        "leases in the order of their end",
        *(grant(TTL=ttl, ID=number) for number, ttl in ((31, 300), (32, 100), (-33, -1))),
        Call("/v3/lease/leases"),
        *(revoke(number) for number in (31, 32, -33)),
    ),
    case("with an ID", grant(TTL=60, ID=4242), revoke(4242)),
    case("the server's ID", grant(TTL="100"), revoke("$LEASE")),
    case("the same ID", grant(TTL=60, ID=1), grant(TTL=60, ID=1), revoke(1)),
    case("no TTL", grant()),
    case("TTL 1", grant(TTL=1, ID=4343)),
    case("a negative TTL", grant(TTL="-5")),
    case("the largest TTL", grant(TTL="9000000000", ID=4444)),
    case("too large a TTL", grant(TTL="9000000001")),
    case("a negative ID", grant(TTL=50, ID=-7), revoke(-7)),
    case("the largest ID", grant(TTL=50, ID=2**63 - 1), revoke(2**63 - 1)),
    case("names in lower case", Call("/v3/lease/grant", {"ttl": 50, "id": 99}, hide=("ID",))),
    case("a TTL that is no number", grant(TTL="x")),
    case("granted again after its end", grant(TTL=60, ID=5), revoke(5), grant(TTL=60, ID=5), revoke(5)),
)

KEYS = (
    case("revoke deletes its keys in one revision", grant(TTL=60, ID=1), put("l2", lease=1), put("l1", lease=1), revoke(1), get("l", "m"), get("l", "m", revision="$REV-1")),
    case("revoke of a lease without keys", get("l"), grant(TTL=60, ID=1), revoke(1), get("l")),
    case("revoke of an unknown lease", revoke(1)),
    case("revoke of none", Call("/v3/lease/revoke", {})),
    case("the other path", grant(TTL=60, ID=1), Call("/v3/kv/lease/revoke", {"ID": "1"})),
    case("a put without the lease detaches", grant(TTL=60, ID=1), put("l1", lease=1), put("l1"), revoke(1), get("l1")),
    case("a put with another lease moves it", grant(TTL=60, ID=1), grant(TTL=60, ID=2), put("l1", lease=1), put("l1", lease=2), revoke(1), get("l1"), revoke(2), get("l1")),
    case("ignore_lease keeps it", grant(TTL=60, ID=1), put("l1", lease=1), put("l1", "x", ignore_lease=True), revoke(1), get("l1")),
    case("a deleted key is detached", grant(TTL=60, ID=1), put("l1", lease=1), delete("l1"), put("l1"), revoke(1), get("l1")),
    case("attached in a transaction", grant(TTL=60, ID=1), txn(success=(op_put("l1", lease=1), op_put("l2", lease=1))), revoke(1), get("l", "m")),
    case("after its revoke it is unknown", grant(TTL=60, ID=1), revoke(1), put("l1", lease=1)),
)  # fmt: skip

KEEPALIVE = "/v3/lease/keepalive"
LIFE = (
    case("time to live", grant(TTL=600, ID=8), Call("/v3/lease/timetolive", {"ID": 8}, hide=("TTL",))),
    case("time to live of an unknown lease", Call("/v3/lease/timetolive", {"ID": 999999})),
    case("time to live, keys", put("tk2", lease=8), put("tk1", lease=8), Call("/v3/lease/timetolive", {"ID": 8, "keys": True}, hide=("TTL",), unordered=("keys",))),
    case("time to live, no keys", Call("/v3/lease/timetolive", {"ID": 8, "keys": False}, hide=("TTL",))),
    case("time to live, the other path", Call("/v3/kv/lease/timetolive", {"ID": "8"}, hide=("TTL",))),
    case("leases", grant(TTL=600, ID=21), Call("/v3/lease/leases", {}, hide=("ID",), unordered=("leases",))),
    case("leases, the other path", Call("/v3/kv/lease/leases", {}, hide=("ID",))),
    case("keep-alive", Open(({"ID": 8},), path=KEEPALIVE), Take(), Finish(), Take()),
    case("keep-alive of an unknown lease", Open(({"ID": 999},), path=KEEPALIVE), Take(), Finish(), Take()),
    case("keep-alive of two", Open((b'{"ID":"8"}\n{"ID":"21"}',), path=KEEPALIVE), Take(2), Finish(), Take()),
    case("keep-alive of nothing", Open(path=KEEPALIVE), Finish(), Take()),
    case("keep-alive, bad JSON after a good one", Open((b'{"ID":"8"}{xx',), path=KEEPALIVE), Take(2)),
    case("keep-alive, several in one array", Open((b'[{"ID":"8"}]',), path=KEEPALIVE), Take(2)),
    case("keep-alive, without an ID", Open(({},), path=KEEPALIVE), Take(), Finish(), Take()),
    case("keep-alive, of a unary call's kind", Call(KEEPALIVE, {"ID": 8})),
    case("keep-alive, bad JSON", Open((b"{xx",), path=KEEPALIVE), Take(2)),
)  # fmt: skip

EXPIRY = case(
    "a lease that nobody keeps alive",
    Open((watch("x", "y", prev_kv=True),)),
    Take(),
    grant(TTL=1, ID=71),
    txn(success=(op_put("x1", lease=71), op_put("x2", lease=71))),
    Take(),
    Take(seconds=8),
    get("x", "y"),
    Call("/v3/lease/timetolive", {"ID": 71}),
    revoke(71),
    put("x1", lease=71),
)


@pytest.mark.parametrize("case", GRANT, ids=lambda case: case.name)
def test_grant(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", KEYS, ids=lambda case: case.name)
def test_keys_of_leases(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", LIFE, ids=lambda case: case.name)
def test_life_of_leases(check: Callable[[Case], None], case: Case) -> None:
    check(case)


def test_expiry(check: Callable[[Case], None]) -> None:
    check(EXPIRY)
