"""Status, members, health and version; and the services that are not all built: maintenance, cluster, auth, lock, election."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.cases import Call, Case, case, compact, delete, get, op_put, put, txn
from tests.conformance.conftest import PairKeeper
from tests.conformance.pair import subject_kind
from tests.conformance.scope import NOT_BUILT, check_or_refused, check_refused
from tests.conformance.wire import Connection

pytestmark = pytest.mark.conformance

SETUP = case("one key, one lease", put("foo", "bar"), Call("/v3/lease/grant", {"TTL": 3600, "ID": 99}))

SIZES = ("dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex", "raftTerm", "leader", "version")
MEMBER = {"SELF": "members.0.ID"}


def members(path: str, **fields: object) -> Call:
    return Call(f"/v3/cluster/member/{path}", fields, hide=("ID",), unordered=("members",))


BUILT = (
    case("status", Call("/v3/maintenance/status", {}, hide=SIZES)),
    case("status, empty body", Call("/v3/maintenance/status", None, hide=SIZES)),
    case("member list", members("list")),
    case("member list, linearizable", members("list", linearizable=True)),
    case("member list, not linearizable", members("list", linearizable=False)),
    case("member list, empty body", Call("/v3/cluster/member/list", None, hide=("ID",))),
    case("health", Call("/health", None, "GET")),
    case("health, serializable", Call("/health?serializable=true", None, "GET")),
    case("health, a bad value", Call("/health?serializable=maybe", None, "GET")),
    case("version", Call("/version", None, "GET", hide=("etcdserver",))),
)

SERVER = Call("/v3/cluster/member/list", {}, hide=("ID",), save=MEMBER)

MAINTENANCE = (
    case("no alarm", Call("/v3/maintenance/alarm", {})),
    case(
        "NOSPACE",
        Call("/v3/maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE"}),
        put("ns"),
        get("ns"),
        delete("ns"),
        txn(success=(op_put("ns"),)),
        Call("/v3/lease/grant", {"TTL": 10}),
        Call("/v3/maintenance/status", {}, hide=SIZES),
        Call("/health", None, "GET"),
        Call("/health?exclude=NOSPACE", None, "GET"),
        Call("/health?exclude=CORRUPT", None, "GET"),
        Call("/v3/maintenance/alarm", {"action": "GET", "alarm": "NOSPACE"}),
        Call("/v3/maintenance/alarm", {"action": "GET", "alarm": "CORRUPT"}),
        Call("/v3/maintenance/alarm", {"action": "DEACTIVATE", "alarm": "CORRUPT"}),
        Call("/v3/maintenance/alarm", {"action": "DEACTIVATE", "alarm": "NOSPACE"}),
        Call("/v3/maintenance/alarm", {"action": "DEACTIVATE", "alarm": "NOSPACE"}),
        put("ns"),
    ),
    case(
        "CORRUPT",
        Call("/v3/maintenance/alarm", {"action": "ACTIVATE", "memberID": "77", "alarm": "CORRUPT"}),
        put("ns"),
        get("ns"),
        Call("/v3/lease/grant", {"TTL": 10}),
        compact("$REV"),
        Call("/health", None, "GET"),
        Call("/v3/maintenance/alarm", {"action": "DEACTIVATE", "memberID": "77", "alarm": "CORRUPT"}),
    ),
    case("an alarm of none", Call("/v3/maintenance/alarm", {"action": "ACTIVATE", "alarm": "NONE"})),
    case("defragment", Call("/v3/maintenance/defragment", {})),
    case("hash", Call("/v3/maintenance/hash", {}, hide=("hash",))),
    case("move to nobody", Call("/v3/maintenance/transfer-leadership", {"targetID": "1"})),
    case("move to itself", SERVER, Call("/v3/maintenance/transfer-leadership", {"targetID": "$SELF"})),
    case("downgrade, validate", Call("/v3/maintenance/downgrade", {"action": "VALIDATE", "version": "3.4.0"}, hide=("version",))),
    case("downgrade, bad words", Call("/v3/maintenance/downgrade", {"action": "VALIDATE", "version": "abc"})),
    case("downgrade, too far", Call("/v3/maintenance/downgrade", {"action": "VALIDATE", "version": "3.2.0"})),
    case("downgrade, none", Call("/v3/maintenance/downgrade", {"action": "VALIDATE"})),
    case("downgrade, cancel", Call("/v3/maintenance/downgrade", {"action": "CANCEL"})),
)  # fmt: skip

LATER = MAINTENANCE


@pytest.mark.parametrize("case", BUILT, ids=lambda case: case.name)
def test_services(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", LATER, ids=lambda case: case.name)
def test_later_services(keeper: PairKeeper, case: Case) -> None:
    check_or_refused(keeper, case)


@pytest.mark.skipif(subject_kind() != "trioetcd", reason="etcd has them all")
@pytest.mark.parametrize("path", sorted(NOT_BUILT))
def test_what_is_not_built_is_refused_by_name(keeper: PairKeeper, path: str) -> None:
    check_refused(keeper.pair(), path)


def test_metrics_are_served(keeper: PairKeeper) -> None:
    """Names and values differ by nature; both speak the same format."""
    for server in (keeper.pair().reference, keeper.pair().subject):
        with Connection(server.address) as connection:
            answer = connection.request("GET", "/metrics")
        assert answer.status == 200
        assert (answer.header("content-type") or "").startswith("text/plain; version=0.0.4"), answer.headers
        assert b"etcd_server_has_leader 1" in answer.body
