"""Maintenance: alarms and what they refuse, defragmentation, hashes, snapshots, leadership, downgrades; the health pages."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.cases import (
    Call,
    Case,
    Finish,
    Open,
    Take,
    case,
    compact,
    delete,
    get,
    op_delete,
    op_get,
    op_put,
    put,
    txn,
)

pytestmark = pytest.mark.conformance

SETUP = case("one key, one lease", put("foo", "bar"), Call("/v3/lease/grant", {"TTL": 3600, "ID": 99}))

SIZES = ("dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex", "raftTerm", "leader", "version")
AT_ONCE = {"Grpc-Timeout": "200m"}
"""etcd 3.5.1 does what it is asked, and never answers; see the table of differences."""


def maintain(rpc: str, body: Any, **options: Any) -> Call:
    return Call(f"/v3/maintenance/{rpc}", body, **options)


def alarm(action: Any = None, alarm: Any = None, member: int | None = None) -> Call:
    fields = {"action": action, "alarm": alarm, "memberID": None if member is None else str(member)}
    return maintain(
        "alarm", {name: value for name, value in fields.items() if value is not None}, unordered=("alarms",)
    )


def health(query: str = "") -> Call:
    return Call(f"/health{query}", None, "GET")


STATUS = maintain("status", {}, hide=SIZES, unordered=("errors",))

ALARMS = (
    case("none", alarm()),
    case("none, empty body", maintain("alarm", None)),
    case("of each kind there is none", alarm("GET", "NOSPACE"), alarm(0, 2), alarm("GET", "NONE")),
    case("of a kind that is none", alarm("GET", 7), alarm("DEACTIVATE", 7), alarm("GET", -1)),
    case("none is raised", alarm("ACTIVATE", "NONE"), alarm("ACTIVATE"), alarm("ACTIVATE", "NONE", 4), alarm()),
    case("none is taken back", alarm("DEACTIVATE", "NONE"), alarm("DEACTIVATE"), alarm("DEACTIVATE", "CORRUPT")),
    case("no words of its own", alarm("RAISE"), alarm("ACTIVATE", "FULL"), alarm("ACTIVATE", "nospace"), maintain("alarm", {"memberID": "x"}), maintain("alarm", {"member_id": 3, "extra": 1})),
    case(
        "NOSPACE",
        alarm("ACTIVATE", "NOSPACE"),
        put("ns"),
        put("ns", ignore_value=True),
        put("ns", lease=77),
        put(""),
        get("ns"),
        get("foo"),
        delete("ns"),
        delete("foo", prev_kv=True),
        txn(success=(op_put("ns"),)),
        txn(failure=(op_put("ns"),)),
        txn(success=(op_get("ns"),)),
        txn(success=(op_delete("ns"),)),
        txn(),
        txn(success=({"request_txn": {"success": [op_put("nested", "1")]}},)),
        Call("/v3/lease/grant", {"TTL": 10}),
        Call("/v3/lease/grant", {"TTL": "99999999999"}),
        Call("/v3/lease/grant", {"TTL": 10, "ID": 99}),
        Call("/v3/lease/revoke", {"ID": 98}),
        Call("/v3/lease/timetolive", {"ID": 99}, hide=("TTL",)),
        compact("$REV"),
        compact("$REV+5"),
        STATUS,
        health(),
        health("?exclude=NOSPACE"),
        health("?exclude=CORRUPT"),
        health("?exclude=CORRUPT&exclude=NOSPACE"),
        health("?serializable=true"),
        alarm("GET", "NOSPACE"),
        alarm("GET", "CORRUPT"),
        alarm("DEACTIVATE", "CORRUPT"),
        alarm("DEACTIVATE", "NOSPACE", 4),
        alarm("DEACTIVATE", "NOSPACE"),
        alarm("DEACTIVATE", "NOSPACE"),
        put("ns"),
        STATUS,
        health(),
    ),
    case(
        "NOSPACE of two members",
        alarm("ACTIVATE", "NOSPACE", 4),
        alarm("ACTIVATE", "NOSPACE", 2**64 - 1),
        alarm(1, 1, 4),
        alarm(),
        STATUS,
        alarm("DEACTIVATE", "NOSPACE", 4),
        put("ns"),
        alarm("DEACTIVATE", "NOSPACE", 2**64 - 1),
        put("ns"),
    ),
    case(
        "CORRUPT",
        alarm("ACTIVATE", "CORRUPT", 77),
        put("ns"),
        put(""),
        get("ns"),
        get("ns", serializable=True),
        delete("ns"),
        txn(),
        txn(success=(op_get("foo"),)),
        txn(success=(op_put("ns"),)),
        txn(success=(op_delete("ns"),)),
        Call("/v3/lease/grant", {"TTL": 10}),
        Call("/v3/lease/revoke", {"ID": 99}),
        Call("/v3/lease/revoke", {"ID": 98}),
        Call("/v3/lease/timetolive", {"ID": 99}, hide=("TTL",)),
        Call("/v3/lease/leases", {}),
        compact("$REV"),
        compact("$REV+9"),
        STATUS,
        maintain("defragment", {}),
        maintain("hash", {}, hide=("hash",)),
        health(),
        health("?exclude=CORRUPT"),
        health("?exclude=NOSPACE"),
        alarm("DEACTIVATE", "CORRUPT", 77),
        put("ns"),
    ),
    case("both alarms", alarm("ACTIVATE", "NOSPACE", 4), alarm("ACTIVATE", "CORRUPT", 77), put("ns"), delete("ns"), STATUS, alarm(), health("?exclude=CORRUPT"), health("?exclude=NOSPACE")),
    case("both alarms, one is taken back", alarm("DEACTIVATE", "CORRUPT", 77), put("", "v"), Call("/v3/lease/grant", {"TTL": 10, "ID": 99})),
    case("both alarms, the other is taken back", alarm("DEACTIVATE", "NOSPACE", 4), alarm(), put("ns")),
)  # fmt: skip

LEADERSHIP = (
    case("move to nobody", maintain("transfer-leadership", {}), maintain("transfer-leadership", None), maintain("transfer-leadership", {"targetID": "0"})),
    case("move to who is not there", maintain("transfer-leadership", {"targetID": "1"}), maintain("transfer-leadership", {"targetID": str(2**64 - 1)})),
    case("move to no number", maintain("transfer-leadership", {"targetID": "x"}), maintain("transfer-leadership", {"targetID": -1})),
    case(
        "move to itself",
        Call("/v3/cluster/member/list", {}, hide=("ID",), save={"SELF": "members.0.ID"}),
        maintain("transfer-leadership", {"targetID": "$SELF"}),
        maintain("transfer-leadership", {"target_i_d": "$SELF"}),
    ),
)  # fmt: skip

OTHERS = (
    case("status", STATUS),
    case("status, more than nothing", maintain("status", {"x": 1}, hide=SIZES)),
    case("defragment", maintain("defragment", {}), maintain("defragment", None), maintain("defragment", {"x": 1}), get("foo")),
    case("defragment, no JSON", maintain("defragment", b"x")),
    case("hash", maintain("hash", {}, hide=("hash",)), maintain("hash", None, hide=("hash",)), maintain("hash", {"revision": 5}, hide=("hash",))),
    case("other methods", maintain("defragment", None, method="GET"), maintain("snapshot", None, method="GET"), maintain("alarm", {}, method="PUT")),
)  # fmt: skip


def downgrade(action: Any, version: str | None = None, **options: Any) -> Call:
    body = {"action": action} if version is None else {"action": action, "version": version}
    return maintain("downgrade", body, **options)


VERSIONS = (
    "3.4.0",
    "3.4",
    "3.4.7",
    "3.4.0-rc.1",
    "3.4.0+x",
    "3.4-rc",
    "3.4.0-",
    "v3.4.0",
    "3.5.0",
    "3.6.0",
    "3.2.0",
    "2.4.0",
    "3.4.0.1",
    " 3.4.0",
    "3.4.x",
    "03.04.00",
    "+3.4.0",
    "3.-4.0",
    "",
    "abc",
    "3.4.0-a_b",
    "99999999999999999999.4.0",
    "3.4.0-é",
)
DOWNGRADES = (
    *(case(f"validate {version!r}", downgrade("VALIDATE", version)) for version in VERSIONS),
    case("no version", downgrade("VALIDATE"), downgrade("ENABLE"), maintain("downgrade", {}), maintain("downgrade", None)),
    case("no action", maintain("downgrade", {"version": "3.4.0"})),
    case("an action that is none", downgrade(7, "3.4.0"), downgrade("BEGIN", "3.4.0")),
    case("enable, refused", downgrade("ENABLE", "3.2.0"), downgrade("ENABLE", "3.5.0"), downgrade("ENABLE", "x")),
    case("cancel none", downgrade("CANCEL"), downgrade("CANCEL", "3.4.0")),
    case("enable a downgrade", downgrade("ENABLE", "3.4.0", headers=AT_ONCE)),
    case("while one is under way", downgrade("ENABLE", "3.4.0"), downgrade("VALIDATE", "3.4.0"), downgrade("ENABLE", "3.2.0"), downgrade("VALIDATE", "x"), STATUS, put("foo"), health()),
    case("cancel a downgrade", downgrade("CANCEL", headers=AT_ONCE)),
    case("none is under way any more", downgrade("CANCEL"), downgrade("VALIDATE", "3.4.0")),
)  # fmt: skip


@pytest.mark.parametrize("case", [*ALARMS, *LEADERSHIP, *OTHERS], ids=lambda case: case.name)
def test_maintenance(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", DOWNGRADES, ids=lambda case: case.name)
def test_downgrades(check: Callable[[Case], None], case: Case) -> None:
    """In this order: one is enabled, and then cancelled."""
    check(case)


@pytest.mark.parametrize("request_body", [{}, {"x": 1}], ids=["nothing", "more than nothing"])
def test_snapshots(check: Callable[[Case], None], request_body: dict[str, int]) -> None:
    """As long as both databases fit into one blob, the streams are the same but for what is in them."""
    hidden = Take(hide=("blob",))
    steps = (Open((request_body,), path="/v3/maintenance/snapshot"), Finish(), hidden, hidden, Take())
    check(case("snapshot", *steps))


def test_a_snapshot_of_no_json(check: Callable[[Case], None]) -> None:
    check(
        case(
            "snapshot, no JSON", maintain("snapshot", b"x"), maintain("snapshot", b'{"a":'), maintain("snapshot", b"[]")
        )
    )
