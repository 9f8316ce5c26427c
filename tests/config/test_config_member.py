from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trioetcd.config import ConfigError, InitialMember, MemberConfig, Url, parse_initial_cluster, parse_urls
from trioetcd.config.build import member_config
from trioetcd.config.sources import gather


def build(**flags: str) -> MemberConfig:
    return member_config(gather({name.replace("_", "-"): text for name, text in flags.items()}, {}))


def test_without_a_flag_it_is_a_lone_member_on_etcds_ports() -> None:
    config = build()
    assert config == MemberConfig()
    assert config.data_dir == Path("default.trioetcd")
    assert config.wal_directory == Path("default.trioetcd/member/wal")
    assert config.initial_members == (InitialMember("default", parse_urls("http://localhost:2380")),)
    assert (config.election_ticks, config.tick_seconds, config.request_timeout_seconds) == (10, 0.1, 7.0)
    assert config.watch_progress_notify_interval_seconds == 600


def test_the_name_names_the_data_directory_and_the_cluster_of_one() -> None:
    config = build(name="m1", initial_advertise_peer_urls="http://10.0.0.1:2380")
    assert config.data_dir == Path("m1.trioetcd")
    assert config.initial_members == (InitialMember("m1", parse_urls("http://10.0.0.1:2380")),)


def test_every_flag_reaches_its_field() -> None:
    config = build(
        name="a",
        data_dir="/d",
        wal_dir="/w",
        listen_client_urls="http://0.0.0.0:1",
        advertise_client_urls="http://h:1",
        listen_peer_urls="http://0.0.0.0:2",
        initial_advertise_peer_urls="http://h:2",
        initial_cluster="a=http://h:2,b=http://i:2,b=http://i:3",
        initial_cluster_token="t",
        initial_cluster_state="existing",
        heartbeat_interval="20",
        election_timeout="200",
        initial_election_tick_advance="false",
        pre_vote="0",
        snapshot_count="10",
        experimental_snapshot_catchup_entries="11",
        max_wals="0",
        max_snapshots="12",
        max_request_bytes="13",
        max_txn_ops="14",
        experimental_watch_progress_notify_interval="200ms",
        http_engine="h11",
        log_level="warn",
        log_format="console",
        log_outputs="default,/l",
    )
    assert config.wal_directory == Path("/w")
    assert config.initial_cluster[1] == InitialMember("b", parse_urls("http://i:2,http://i:3"))
    assert (config.initial_cluster_token, config.initial_cluster_state) == ("t", "existing")
    assert (config.heartbeat_interval_ms, config.election_timeout_ms) == (20, 200)
    assert (config.initial_election_tick_advance, config.pre_vote) == (False, False)
    assert (config.snapshot_count, config.snapshot_catchup_entries) == (10, 11)
    assert (config.max_wals, config.max_snapshots) == (0, 12)
    assert (config.max_request_bytes, config.max_txn_ops) == (13, 14)
    assert config.watch_progress_notify_interval_seconds == pytest.approx(0.2)
    assert config.http_engine == "h11"
    assert (config.log.level, config.log.format, config.log.outputs) == ("warn", "console", ("stderr", "/l"))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"election_timeout": "499"}, "at least as 5 times .* set it to 500 or more"),
        ({"election_timeout": "50001"}, "too long"),
        ({"heartbeat_interval": "0"}, "must be above 0"),
        ({"snapshot_count": "0"}, "--snapshot-count=0 is too small"),
        ({"max_wals": "-1"}, "--max-wals=-1 is too small"),
        ({"max_request_bytes": "30000001"}, "--max-request-bytes=30000001 is too large; expected 30000000 or less"),
        ({"experimental_watch_progress_notify_interval": "10ms"}, "below the least one, 100ms"),
        ({"name": ""}, "--name is empty"),
        ({"name": "a=b"}, "--name='a=b'"),
        ({"log_outputs": "systemd/journal"}, "this version does not have it"),
    ],
)
def test_values_out_of_bounds(flags: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build(**flags)


def test_who_says_where_to_listen_says_where_clients_come_to() -> None:
    with pytest.raises(ConfigError, match=r"is required .* add --advertise-client-urls=http://127.0.0.1:1$"):
        build(listen_client_urls="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"add --advertise-client-urls=http://HOST:1, HOST being"):
        build(listen_client_urls="http://0.0.0.0:1")


def test_a_listener_has_an_address_of_its_own() -> None:
    with pytest.raises(ConfigError, match="expected IP in URL for binding"):
        build(listen_peer_urls="http://example.com:1")
    with pytest.raises(ConfigError, match="have the same address"):
        build(listen_peer_urls="http://127.0.0.1:2379")
    with pytest.raises(ConfigError, match="unexpected empty host"):
        build(advertise_client_urls="http://:2379")
    free = "http://127.0.0.1:0"
    assert build(listen_client_urls=free, listen_peer_urls=free, advertise_client_urls="http://localhost:1")


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"initial_cluster": "a=http://localhost:2380"}, "couldn't find local name 'default'"),
        ({"initial_cluster": "default=http://h:1"}, "has default=http://h:1 but --initial-advertise-peer-urls="),
        ({"initial_cluster": "default=http://localhost:2380,b=http://127.0.0.1:2380"}, "to both default and b"),
        ({"initial_cluster": "http://localhost:2380"}, "expected NAME=http://HOST:PORT"),
        ({"initial_cluster": "a="}, "expected NAME=http://HOST:PORT"),
    ],
)
def test_the_initial_cluster_agrees_with_itself(flags: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build(**flags)


def test_a_name_may_come_once_for_each_url() -> None:
    assert parse_initial_cluster("a=http://h:1, b=http://h:2 ,a=http://h:3") == (
        InitialMember("a", parse_urls("http://h:1,http://h:3")),
        InitialMember("b", parse_urls("http://h:2")),
    )


@pytest.mark.parametrize("change", [{"listen_client_urls": ()}, {"listen_peer_urls": ()}])
def test_the_rules_hold_for_a_configuration_made_by_hand(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        MemberConfig(**change)


def test_checkpoints_of_leases_are_an_option_that_persisting_needs() -> None:
    assert build().lease_checkpoint_interval_seconds is None
    assert build(experimental_enable_lease_checkpoint="true").lease_checkpoint_interval_seconds == 300
    both = {"experimental_enable_lease_checkpoint": "true", "experimental_enable_lease_checkpoint_persist": "true"}
    assert build(**both).lease_checkpoint_interval_seconds == 300
    with pytest.raises(ConfigError, match="persist requires experimental-enable-lease-checkpoint"):
        build(experimental_enable_lease_checkpoint_persist="true")


@pytest.mark.parametrize(
    ("flags", "field", "value"),
    [
        ({}, "cors_origins", {"*"}),
        ({"cors": "http://a:80, https://b"}, "cors_origins", {"http://a:80", "https://b"}),
        ({"host-whitelist": "a, b"}, "host_whitelist", {"a", "b"}),
        ({"host-whitelist": ""}, "host_whitelist", {"*"}),
        ({"listen-metrics-urls": ""}, "listen_metrics_urls", ()),
        ({"listen-metrics-urls": "http://127.0.0.1:9"}, "listen_metrics_urls", (Url("http", "127.0.0.1", 9),)),
    ],
)
def test_who_may_ask_and_where(flags: dict[str, str], field: str, value: object) -> None:
    assert getattr(member_config(gather(flags, {})), field) == value


@pytest.mark.parametrize("origins", ["", "a.com", "http://a/x", "ftp://a:1", "*,a", "http://"])
def test_what_is_no_origin_is_refused(origins: str) -> None:
    with pytest.raises(ConfigError, match="is no origin; expected"):
        member_config(gather({"cors": origins}, {}))


def test_metrics_have_an_address_of_their_own() -> None:
    with pytest.raises(ConfigError, match="have the same address"):
        member_config(gather({"listen-metrics-urls": "http://127.0.0.1:2379"}, {}))
