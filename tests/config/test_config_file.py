"""One YAML file in place of flags and variables, read as etcd 3.5.1 reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trioetcd.config import ConfigError, MemberConfig
from trioetcd.config.build import member_config
from trioetcd.config.sources import Settings, gather

WHOLE = b"""
# a member of three
name: m1
data-dir: /var/lib/m1
listen-client-urls: http://127.0.0.1:2379,http://127.0.0.1:12379
advertise-client-urls: http://127.0.0.1:2379
initial-cluster: 'm1=http://localhost:2380,m2=http://10.0.0.2:2380'
snapshot-count: 5000
heartbeat-interval: 50
pre-vote: false
quota-backend-bytes: 0
log-level:
initial-cluster-token: ""
log-outputs: [stdout, stderr]
experimental-watch-progress-notify-interval: 5000000000
experimental-snapshot-catch-up-entries: 77
auto-compaction-mode: periodic
auto-compaction-retention: "5m"
enable-pprof: false
logger: zap
client-transport-security:
  cert-file: ''
  client-cert-auth: false
peer-transport-security:
socket-options: {reuse-port: false}
"""


def read(content: bytes, **flags: str) -> Settings:
    return gather({"config-file": "etcd.yaml", **flags}, {}, read=lambda _: content)


def test_a_whole_file() -> None:
    settings = read(WHOLE)
    assert settings.warnings == ("logger in etcd.yaml is a flag of etcd's that has no effect here",)
    config = member_config(settings)
    assert (config.name, config.data_dir, config.snapshot_count) == ("m1", Path("/var/lib/m1"), 5000)
    assert [url.port for url in config.listen_client_urls] == [2379, 12379]
    assert [member.name for member in config.initial_cluster] == ["m1", "m2"]
    assert (config.heartbeat_interval_ms, config.pre_vote, config.log.outputs) == (50, False, ("stdout", "stderr"))
    assert config.watch_progress_notify_interval_seconds == 5
    assert config.snapshot_catchup_entries == 77
    assert config.initial_cluster_token == "etcd-cluster"
    assert config.auto_compaction == (300.0,)


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"{}", b"---\n"])
def test_an_empty_file_is_the_defaults(content: bytes) -> None:
    assert member_config(read(content)) == MemberConfig()


def test_flags_and_variables_have_no_effect_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "etcd.yaml"
    file.write_bytes(b"name: of-the-file")
    settings = gather({"name": "of-the-flag"}, {"ETCD_CONFIG_FILE": str(file), "ETCD_SNAPSHOT_COUNT": "7"})
    assert settings.given() == {"name": "of-the-file"}
    (warning,) = settings.warnings
    assert warning.endswith("is given, so these have no effect: --name, ETCD_SNAPSHOT_COUNT")


def test_the_flag_of_the_file_wins_over_the_variable() -> None:
    names: list[str] = []
    gather(
        {"config-file": "flag"},
        {"ETCD_CONFIG_FILE": "a", "TRIOETCD_CONFIG_FILE": "b"},
        read=lambda path: names.append(path.name) or b"",
    )
    assert names == ["flag"]


def test_a_key_that_is_none_is_a_warning() -> None:
    settings = read(b"nmae: a\nconfig-file: b\n7: c\nsocket-options: {speed: 1}")
    assert settings.given() == {}
    assert settings.warnings == tuple(
        f"{key} in etcd.yaml is not a setting and has no effect"
        for key in ("nmae", "config-file", "7", "socket-options.speed")
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"- a", "etcd.yaml: expected `flag: value` lines, found a list"),
        (b"a: [", "--config-file=etcd.yaml cannot be read as YAML: "),
        (b"\xff\xfe\xfd", "cannot be read as YAML"),
        (b"x: !!python/object:os.system {}", "cannot be read as YAML"),
        (b"[" * 5000, "cannot be read as YAML"),
        (b"name: 5", "name in etcd.yaml is a number; expected a text, in quotes"),
        (b"name: [5]", "name in etcd.yaml is a list; expected a text"),
        (b"name: 2020-01-01", "name in etcd.yaml is neither text nor number; expected a text"),
        (b"heartbeat-interval: x", "heartbeat-interval in etcd.yaml is a text; expected a whole number"),
        (b"heartbeat-interval: true", "heartbeat-interval in etcd.yaml is a truth value; expected a whole number"),
        (b"snapshot-count: 1.5", "snapshot-count in etcd.yaml is a fraction; expected a whole number"),
        (b"pre-vote: 'true'", "pre-vote in etcd.yaml is a text; expected true or false"),
        (b"auto-compaction-retention: 5", "auto-compaction-retention in etcd.yaml is a number; expected a text"),
        (b"experimental-watch-progress-notify-interval: 5s", "is a text; expected a whole number of nanoseconds"),
        (b"listen-client-urls: 7", "listen-client-urls in etcd.yaml is a number; expected a text with URLs"),
        (b"listen-client-urls: nowhere", "listen-client-urls in etcd.yaml: URL 'nowhere' has no scheme"),
        (b"initial-cluster-state: old", "initial-cluster-state in etcd.yaml: 'old' is not one of new, existing"),
        (b"socket-options: 5", "socket-options in etcd.yaml: expected `flag: value` lines, found a number"),
        (b"enable-pprof: true", "enable-pprof in etcd.yaml=true: etcd has the flag --enable-pprof, this version"),
    ],
)
def test_what_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        read(content)
    assert reason in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config-file=.*none.yaml cannot be read: No such file"):
        gather({"config-file": str(tmp_path / "none.yaml")}, {})
