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


def scraped(address: tuple[str, int]) -> tuple[dict[str, str], dict[str, float]]:
    """The types of the families, and the samples by name and labels."""
    with Connection(address) as connection:
        answer = connection.request("GET", "/metrics")
    assert answer.status == 200
    assert (answer.header("content-type") or "").startswith("text/plain; version=0.0.4"), answer.headers
    types: dict[str, str] = {}
    values: dict[str, float] = {}
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, types[name] = line.split()
        elif not line.startswith("#"):
            sample, _, value = line.rpartition(" ")
            values[sample] = float(value)
    return types, values


COUNTED = case(
    "what metrics count",
    put("a", "xx"),
    Call("/v3/kv/put", {"key": "YQ==", "value": "eA==", "prev_kv": True}),
    Call("/v3/kv/put", {"key": "YQ==", "ignore_value": True}),
    Call("/v3/kv/range", {"key": "YQ=="}),
    Call("/v3/kv/range", {"key": "YQ==", "revision": 99}),
    Call("/v3/kv/txn", {"success": [{"request_range": {"key": "YQ=="}}, {"request_range": {"key": "Yg=="}}]}),
    Call("/v3/kv/txn", {"success": [{"request_put": {"key": "Yg=="}}, {"request_delete_range": {"key": "YQ=="}}]}),
    Call("/v3/kv/deleterange", {"key": "Yg==", "prev_kv": True}),
    Call("/v3/kv/deleterange", {"key": "Yg=="}),
    Call("/v3/lease/keepalive", {"ID": 99}),
    Call("/v3/lease/revoke", {"ID": 99}),
)

COUNTED_ALIKE = (
    *(f"etcd_mvcc_{what}_total" for what in ("put", "delete", "range", "txn")),
    *(f"etcd_debugging_mvcc_{what}_total" for what in ("range", "keys", "events", "watcher", "db_compaction_keys")),
    *(f"etcd_debugging_mvcc_{what}" for what in ("current_revision", "compact_revision", "total_put_size_in_bytes")),
    *(f"etcd_debugging_lease_{what}_total" for what in ("granted", "renewed", "revoked")),
    *(f'etcd_server_client_requests_total{{client_api_version="unknown",type="{of}"}}' for of in ("unary", "stream")),
    "etcd_server_has_leader",
    "etcd_server_is_leader",
    "etcd_server_leader_changes_seen_total",
    "etcd_server_proposals_failed_total",
    "etcd_server_quota_backend_bytes",
    "etcd_server_health_success",
    "etcd_debugging_auth_revision",
)


def test_metrics_have_etcds_names_types_and_values(check: Callable[[Case], None], keeper: PairKeeper) -> None:
    check(COUNTED)
    reference_types, reference = scraped(keeper.pair().reference.address)
    types, values = scraped(keeper.pair().subject.address)
    assert types.items() <= reference_types.items()
    assert {name: values[name] for name in COUNTED_ALIKE} == {name: reference[name] for name in COUNTED_ALIKE}
