"""From settings, which are text, to the configuration of a member."""

from __future__ import annotations

from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from trioetcd.config.auth import parse_auth_token
from trioetcd.config.auto_compaction import parse_auto_compaction
from trioetcd.config.errors import ConfigError
from trioetcd.config.member import (
    ANY,
    LEASE_CHECKPOINT_INTERVAL_SECONDS,
    PROGRESS_INTERVAL_SECONDS_DEFAULT,
    ClusterState,
    HttpEngine,
    LogConfig,
    LogFormat,
    MemberConfig,
    parse_initial_cluster,
)
from trioetcd.config.sources import Settings
from trioetcd.config.url import Url, parse_urls
from trioetcd.config.values import boolean, duration_seconds, integer


def member_config(settings: Settings) -> MemberConfig:
    """The configuration that the settings describe. Raises `ConfigError` for what a member cannot start with."""
    _require_advertised_client_urls(settings)
    text = settings.text
    name = text("name")
    return MemberConfig(
        name=name,
        data_dir=Path(text("data-dir") or f"{name}.trioetcd"),
        wal_dir=Path(text("wal-dir")) if text("wal-dir") else None,
        listen_client_urls=_urls(settings, "listen-client-urls"),
        advertise_client_urls=_urls(settings, "advertise-client-urls"),
        listen_peer_urls=_urls(settings, "listen-peer-urls"),
        initial_advertise_peer_urls=_urls(settings, "initial-advertise-peer-urls"),
        listen_metrics_urls=_urls(settings, "listen-metrics-urls") if text("listen-metrics-urls") else (),
        cors_origins=_cors_origins(text("cors")),
        host_whitelist=frozenset(part.strip() for part in text("host-whitelist").split(",") if part.strip()) or ANY,
        initial_cluster=parse_initial_cluster(text("initial-cluster")),
        initial_cluster_token=text("initial-cluster-token"),
        initial_cluster_state=cast("ClusterState", text("initial-cluster-state")),
        strict_reconfig_check=boolean(text("strict-reconfig-check")),
        heartbeat_interval_ms=integer(text("heartbeat-interval")),
        election_timeout_ms=integer(text("election-timeout")),
        initial_election_tick_advance=boolean(text("initial-election-tick-advance")),
        pre_vote=boolean(text("pre-vote")),
        snapshot_count=integer(text("snapshot-count")),
        snapshot_catchup_entries=integer(text("experimental-snapshot-catchup-entries")),
        max_wals=integer(text("max-wals")),
        max_snapshots=integer(text("max-snapshots")),
        max_request_bytes=integer(text("max-request-bytes")),
        max_txn_ops=integer(text("max-txn-ops")),
        quota_backend_bytes=integer(text("quota-backend-bytes")),
        auto_compaction=parse_auto_compaction(text("auto-compaction-mode"), text("auto-compaction-retention")),
        max_concurrent_streams=integer(text("max-concurrent-streams")),
        initial_corrupt_check=boolean(text("experimental-initial-corrupt-check")),
        corrupt_check_interval_seconds=duration_seconds(text("experimental-corrupt-check-time")) or None,
        watch_progress_notify_interval_seconds=duration_seconds(text("experimental-watch-progress-notify-interval"))
        or PROGRESS_INTERVAL_SECONDS_DEFAULT,
        lease_checkpoint_interval_seconds=_lease_checkpoint_interval_seconds(settings),
        auth_token=parse_auth_token(text("auth-token")),
        auth_token_ttl_seconds=integer(text("auth-token-ttl")),
        bcrypt_cost=integer(text("bcrypt-cost")),
        http_engine=cast("HttpEngine", text("http-engine")),
        log=log_config(settings),
    )


def log_config(settings: Settings) -> LogConfig:
    """How to log: read first, so that what is wrong with the rest can be logged."""
    outputs = tuple(part.strip() for part in settings.text("log-outputs").split(",") if part.strip())
    for output in outputs:
        if output == "systemd/journal":
            raise ConfigError("--log-outputs=systemd/journal: this version does not have it; log to stderr instead")
    return LogConfig(
        level=settings.text("log-level"),
        format=cast("LogFormat", settings.text("log-format")),
        outputs=tuple("stderr" if output == "default" else output for output in outputs) or ("stderr",),
    )


def _lease_checkpoint_interval_seconds(settings: Settings) -> float | None:
    """Checkpoints are part of the replicated state, so they are always persisted: that flag only must not stand alone.

    The rule is etcd's.
    """
    enabled = boolean(settings.text("experimental-enable-lease-checkpoint"))
    if boolean(settings.text("experimental-enable-lease-checkpoint-persist")) and not enabled:
        raise ConfigError(
            "setting experimental-enable-lease-checkpoint-persist requires experimental-enable-lease-checkpoint; "
            "add --experimental-enable-lease-checkpoint"
        )
    return LEASE_CHECKPOINT_INTERVAL_SECONDS if enabled else None


def _cors_origins(text: str) -> frozenset[str]:
    """An origin is what a browser sends: scheme, host, and a port that is not the scheme's own. etcd wants the port."""
    origins = frozenset(part.strip() for part in text.split(","))
    for origin in origins - ANY:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname or origin != f"{parts.scheme}://{parts.netloc}":
            raise ConfigError(f"--cors={text}: {origin!r} is no origin; expected http://HOST:PORT,... or * for all")
    return origins


def _urls(settings: Settings, name: str) -> tuple[Url, ...]:
    try:
        return parse_urls(settings.text(name))
    except ConfigError as error:
        raise ConfigError(f"{settings.values[name].origin}: {error}") from error


def _require_advertised_client_urls(settings: Settings) -> None:
    """The rule is etcd's: who chooses where to listen says where clients are to come."""
    if settings.is_given("listen-client-urls") and not settings.is_given("advertise-client-urls"):
        listening = _urls(settings, "listen-client-urls")
        example = settings.text("listen-client-urls")
        if any(url.is_unspecified for url in listening):
            example = ",".join(f"http://HOST:{url.port}" for url in listening) + ", HOST being what clients can reach"
        raise ConfigError(
            "--advertise-client-urls is required when --listen-client-urls is set explicitly; "
            f"add --advertise-client-urls={example}"
        )
