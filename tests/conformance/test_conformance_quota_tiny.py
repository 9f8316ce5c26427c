"""A quota below what an empty database takes: the first write is refused, and every one after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.conformance.cases import Call, Case, b64, case, compact, delete, get, op_delete, op_get, op_put, put, txn

pytestmark = pytest.mark.conformance

SERVER_FLAGS = ("--quota-backend-bytes=10000",)


def alarm(action: str) -> Call:
    return Call("/v3/maintenance/alarm", {"action": action, "alarm": "NOSPACE"}, hide=("memberID",))


def lease(path: str, **fields: object) -> Call:
    return Call(f"/v3/lease/{path}", fields)


NAMED = {"name": b64("n"), "lease": 5}
FULL = case(
    "no room at all",
    get("a"),
    delete("a"),
    alarm("GET"),
    Call("/health", None, "GET"),
    put("a"),
    alarm("GET"),
    Call("/health", None, "GET"),
    Call("/health?exclude=NOSPACE", None, "GET"),
    *(put(""), put("a", ""), put("a", lease=9), txn(success=(op_put("a"),)), txn(failure=(op_put("a"),))),
    *(lease("grant", TTL=10), lease("grant", TTL=10, ID=5), lease("grant", TTL=9_000_000_001), lease("revoke", ID=5)),
    *(lease("keepalive", ID=5), lease("leases"), lease("timetolive", ID=5)),
    *(Call("/v3/lock/lock", NAMED), Call("/v3/lock/lock", {"name": b64("n")})),
    *(Call("/v3/election/campaign", NAMED), Call("/v3/election/leader", {"name": b64("n")})),
    *(get("a"), delete("a"), compact(1), Call("/v3/maintenance/defragment", {})),
    *(Call(f"/v3/auth/{path}", {"name": "u", "password": "x"}) for path in ("user/add", "role/add", "user/get")),
    alarm("DEACTIVATE"),
    alarm("GET"),
    put("a"),
    alarm("GET"),
)
READS = case(
    "what only reads, without any room",
    *(replace(txn(success=(op,)), hide=("revision",)) for op in (op_get("a"), op_delete("a"))),
)


@pytest.mark.parametrize("case", [FULL, READS], ids=lambda case: case.name)
def test_a_quota_below_any_size(check: Callable[[Case], None], case: Case) -> None:
    check(case)
