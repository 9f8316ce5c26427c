from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from trioetcd.api.errors import Code
from trioetcd.api.services import RPCS
from trioetcd.metrics import (
    Metrics,
    NetworkMetrics,
    PeerMetrics,
    ProcessMetrics,
    ServerMetrics,
    StoreMetrics,
)
from trioetcd.metrics.source import ROUND_TRIP_BOUNDS_SECONDS


class Source:
    def __init__(self) -> None:
        self.server = ServerMetrics(member_id=0x8E9E05C52164694D, cluster_version="3.5.0")
        self.network = NetworkMetrics()

    def server_metrics(self) -> ServerMetrics:
        return self.server

    def store_metrics(self) -> StoreMetrics:
        return StoreMetrics(puts=3, current_revision=4)

    def network_metrics(self) -> NetworkMetrics:
        return self.network

    def process_metrics(self) -> ProcessMetrics:
        return ProcessMetrics(descriptors_used=7, descriptors_limit=1024)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def metrics(source: Source) -> Metrics:
    source.network = NetworkMetrics(peers=(PeerMetrics(peer_id=0xAB),))
    return Metrics(source=source)


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample by its name and labels, as `name{label="value",...}`."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


# What the dashboards and alerts of etcd's monitoring mixin read.
RELIED_ON = [
    ("etcd_server_has_leader", "gauge"),
    ("etcd_server_leader_changes_seen_total", "counter"),
    ("etcd_server_proposals_failed_total", "counter"),
    ("etcd_server_proposals_pending", "gauge"),
    ("etcd_server_proposals_committed_total", "gauge"),
    ("etcd_server_proposals_applied_total", "gauge"),
    ("etcd_server_quota_backend_bytes", "gauge"),
    ("etcd_mvcc_db_total_size_in_bytes", "gauge"),
    ("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge"),
    ("etcd_disk_wal_fsync_duration_seconds", "histogram"),
    ("etcd_disk_backend_commit_duration_seconds", "histogram"),
    ("etcd_network_peer_sent_failures_total", "counter"),
    ("etcd_network_peer_round_trip_time_seconds", "histogram"),
    ("etcd_network_peer_sent_bytes_total", "counter"),
    ("etcd_network_peer_received_bytes_total", "counter"),
    ("etcd_network_client_grpc_sent_bytes_total", "counter"),
    ("etcd_network_client_grpc_received_bytes_total", "counter"),
    ("grpc_server_started_total", "counter"),
    ("grpc_server_handled_total", "counter"),
    ("process_resident_memory_bytes", "gauge"),
    ("etcd_server_health_failures", "counter"),
]


@pytest.mark.parametrize(("name", "kind"), RELIED_ON)
def test_names_and_types_are_etcds(metrics: Metrics, name: str, kind: str) -> None:
    assert f"# TYPE {name} {kind}\n" in metrics.text().decode()


def test_values_are_those_of_the_moment(metrics: Metrics, source: Source) -> None:
    before = samples(metrics)
    assert before["etcd_server_has_leader"] == 0
    assert before["etcd_debugging_mvcc_compact_revision"] == -1
    assert before["etcd_mvcc_put_total"] == 3
    assert before["os_fd_used"] == 7
    source.server = ServerMetrics(member_id=1, has_leader=True, health_failures=2)
    after = samples(metrics)
    assert after["etcd_server_has_leader"] == 1
    assert after["etcd_server_health_failures_total"] == 2  # the parser adds what the text does not have


def test_who_and_which_version_are_labels(metrics: Metrics, source: Source) -> None:
    found = samples(metrics)
    assert found['etcd_server_id{server_id="8e9e05c52164694d"}'] == 1
    assert found['etcd_cluster_version{cluster_version="3.5"}'] == 1
    source.server = ServerMetrics(member_id=1)
    assert not any(name.startswith("etcd_cluster_version") for name in samples(metrics))


def test_a_duration_falls_into_its_bucket(metrics: Metrics) -> None:
    metrics.durations.wal_fsync.observe(0.003)
    found = samples(metrics)
    name = "etcd_disk_wal_fsync_duration_seconds"
    assert found[name + '_bucket{le="0.002"}'] == 0
    assert found[name + '_bucket{le="0.004"}'] == 1
    assert found[name + '_bucket{le="8.192"}'] == 1
    assert found[name + "_count"] == 1
    assert not any("_created" in sample for sample in found)


def test_peers_are_labels(metrics: Metrics, source: Source) -> None:
    counts = (0, 2, *(0 for _ in ROUND_TRIP_BOUNDS_SECONDS[2:]), 1)
    peer = PeerMetrics(peer_id=0xAB, is_active=True, sent_bytes=5, round_trip_counts=counts, round_trip_sum_seconds=9.5)
    source.network = NetworkMetrics(peers=(peer,))
    found = samples(metrics)
    assert found['etcd_network_peer_sent_bytes_total{To="ab"}'] == 5
    assert found['etcd_network_active_peers{Local="8e9e05c52164694d",Remote="ab"}'] == 1
    assert found['etcd_network_peer_round_trip_time_seconds_bucket{To="ab",le="0.0001"}'] == 0
    assert found['etcd_network_peer_round_trip_time_seconds_bucket{To="ab",le="0.0002"}'] == 2
    assert found['etcd_network_peer_round_trip_time_seconds_count{To="ab"}'] == 3
    assert found['etcd_network_peer_round_trip_time_seconds_sum{To="ab"}'] == 9.5


def test_calls_are_counted_by_rpc_and_code(metrics: Metrics) -> None:
    put = metrics.rpcs.of(next(rpc for rpc in RPCS if rpc.name == "Put"))
    put.started()
    put.handled(Code.INVALID_ARGUMENT)
    put.received_bytes += 7
    found = samples(metrics)
    assert found['etcd_server_client_requests_total{client_api_version="unknown",type="unary"}'] == 1
    assert found["etcd_network_client_grpc_received_bytes_total"] == 7
    labels = 'grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    assert found[f"grpc_server_started_total{{{labels}}}"] == 1
    assert found[f'grpc_server_handled_total{{grpc_code="InvalidArgument",{labels}}}'] == 1
    assert found[f'grpc_server_handled_total{{grpc_code="OK",{labels}}}'] == 0


def test_every_rpc_and_code_is_there_from_the_start(metrics: Metrics) -> None:
    lines = metrics.text().decode().splitlines()
    assert sum(line.startswith("grpc_server_handled_total{") for line in lines) == len(RPCS) * len(Code)
    kinds = {match[1] for line in lines if (match := re.search(r'grpc_method="Watch".*grpc_type="(\w+)"', line))}
    assert kinds == {"bidi_stream"}


def test_members_in_one_process_do_not_mix(source: Source) -> None:
    one, other = Metrics(source=source), Metrics(source=source)
    one.durations.wal_fsync.observe(1)
    assert samples(other)["etcd_disk_wal_fsync_duration_seconds_count"] == 0
