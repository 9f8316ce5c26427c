"""A quota that is used up, and the way back. How much fits differs, so each server is filled by its own measure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.cases import Call, Case, Until, case, compact, delete, get, op_delete, op_put, put, txn

pytestmark = pytest.mark.conformance

SERVER_FLAGS = ("--quota-backend-bytes=4000000",)
ALARM = "/v3/maintenance/alarm"
BIG = "v" * 200_000
HIDDEN = ("revision", "memberID", "create_revision", "mod_revision", "version", "value", "prev_kv")


def hidden(call: Call) -> Call:
    return Call(call.path, call.body, call.method, hide=HIDDEN)


FULL = case(
    "full, and the way back",
    Call("/v3/lease/grant", {"TTL": 3600, "ID": 99}, hide=HIDDEN),
    hidden(put("small", "v")),
    Until(put("k", BIG), "database space exceeded", seconds=30.0),
    Call(ALARM, {}, hide=HIDDEN, save={"MEMBER": "alarms.0.memberID"}),
    Until(Call("/v3/maintenance/status", {}), "alarm:NOSPACE "),
    Call("/health", None, "GET"),
    hidden(put("k", "v")),
    hidden(put("", BIG)),
    hidden(txn(success=(op_put("k", "v"),))),
    Call("/v3/lease/grant", {"TTL": 10}, hide=HIDDEN),
    Call("/v3/lease/revoke", {"ID": 99}, hide=HIDDEN),
    hidden(get("small")),
    hidden(delete("small")),
    hidden(compact("$REV", physical=True)),
    Call("/v3/maintenance/defragment", {}),
    hidden(put("k", "v")),
    Call(ALARM, {"action": "DEACTIVATE", "memberID": "$MEMBER", "alarm": "NOSPACE"}, hide=HIDDEN),
    hidden(put("k", "v")),
    hidden(txn(success=(op_put("k", "v"), op_delete("small")))),
    *[hidden(put("k", BIG))] * 10,
    Call("/health", None, "GET"),
    Call(ALARM, {}, hide=HIDDEN),
)


def test_a_quota(check: Callable[[Case], None]) -> None:
    check(FULL)
