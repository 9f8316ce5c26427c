"""Status, members, health and version; metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.conformance.cases import Call, Case, case, put
from tests.conformance.conftest import PairKeeper
from tests.conformance.wire import Connection

pytestmark = pytest.mark.conformance

SETUP = case("one key, one lease", put("foo", "bar"), Call("/v3/lease/grant", {"TTL": 3600, "ID": 99}))

SIZES = ("dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex", "raftTerm", "leader", "version")


def members(path: str, **fields: object) -> Call:
    return Call(f"/v3/cluster/member/{path}", fields, hide=("ID",), unordered=("members",))


SERVICES = (
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


@pytest.mark.parametrize("case", SERVICES, ids=lambda case: case.name)
def test_services(check: Callable[[Case], None], case: Case) -> None:
    check(case)


def test_variables_for_debugging(keeper: PairKeeper) -> None:
    """Go's memory apart, which is not there, names and layout are the same; so are the numbers that do not count."""
    shapes = []
    for server in (keeper.pair().reference, keeper.pair().subject):
        with Connection(server.address) as connection:
            body = connection.request("GET", "/debug/vars").body.decode()
        found = json.loads(body)
        found.pop("memstats", None)
        assert "--name=m1" in found.pop("cmdline")
        lines = [line for line in body.split("\n") if not line.startswith(('"cmdline"', '"memstats"'))]
        shapes.append(
            ([*found], found["file_descriptor_limit"], re.sub(r"[0-9a-f]{14,}|[0-9]+", "N", "\n".join(lines)))
        )
    assert shapes[0] == shapes[1]


def test_metrics_are_served(keeper: PairKeeper) -> None:
    """Names and values differ by nature; both speak the same format."""
    for server in (keeper.pair().reference, keeper.pair().subject):
        with Connection(server.address) as connection:
            answer = connection.request("GET", "/metrics")
        assert answer.status == 200
        assert (answer.header("content-type") or "").startswith("text/plain; version=0.0.4"), answer.headers
        assert b"etcd_server_has_leader 1" in answer.body
