"""The flags of `trioetcd serve`, one row each: etcd's names, defaults and meanings (release 3.5).

A row says how far a flag is served:

    SERVED   it does what it says;
    LATER    etcd has it and this version does not: refused by name, unless it is given the value that asks for nothing
             (its default), because a member that ignores a wish for, say, client certificates is worse than none;
    IGNORED  etcd has it and it changes nothing that a client or an operator relies on: a warning, and on it goes.

Every flag has an environment form, `ETCD_` or `TRIOETCD_` and its name in capitals with `_` for `-`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple


class Standing(Enum):
    """How far a flag is served."""

    SERVED = "served"
    LATER = "later"
    IGNORED = "ignored"


class Kind(Enum):
    """What the text of a value must be. The value of each is what help prints for it."""

    TEXT = "TEXT"
    INTEGER = "NUMBER"
    BOOLEAN = "true|false"
    DURATION = "DURATION"
    URLS = "URLS"


class Flag(NamedTuple):
    """One flag. `default` is the text that stands for it when nobody gives it."""

    name: str
    default: str
    help: str = ""
    kind: Kind = Kind.TEXT
    choices: tuple[str, ...] = ()
    standing: Standing = Standing.SERVED

    @property
    def variable(self) -> str:
        """The name of its environment variable behind `ETCD_` or `TRIOETCD_`."""
        return self.name.upper().replace("-", "_")


MEMBER: Final = (
    Flag("name", "default", "The member's name, unique in its cluster."),
    Flag("data-dir", "", "Where its data is. The default is NAME.trioetcd."),
    Flag("wal-dir", "", "Where its write-ahead log is, when not in the data directory."),
    Flag("snapshot-count", "100000", "Applied entries between two snapshots.", Kind.INTEGER),
    Flag("heartbeat-interval", "100", "Milliseconds between two heartbeats: one Raft tick.", Kind.INTEGER),
    Flag("election-timeout", "1000", "Milliseconds without a leader before an election.", Kind.INTEGER),
    Flag("initial-election-tick-advance", "true", "Shorten the first election's wait at start.", Kind.BOOLEAN),
    Flag("config-file", "", "A YAML file with all settings; flags and variables have no effect then."),
    Flag("listen-peer-urls", "http://localhost:2380", "Where to listen for other members.", Kind.URLS),
    Flag("listen-client-urls", "http://localhost:2379", "Where to listen for clients.", Kind.URLS),
    Flag("listen-metrics-urls", "", "Where to serve metrics and health besides; nothing else is there.", Kind.URLS),
    Flag("cors", "*", "Origins whose pages may call: http://HOST:PORT,... The default is all."),
    Flag("host-whitelist", "*", "Names in the Host field that are answered: HOST,... The default is all."),
    Flag("max-snapshots", "5", "Snapshot files to keep; 0 keeps all.", Kind.INTEGER),
    Flag("max-wals", "5", "Write-ahead log files to keep; 0 keeps all.", Kind.INTEGER),
    Flag("max-txn-ops", "128", "Operations a transaction may hold.", Kind.INTEGER),
    Flag("max-request-bytes", "1572864", "Size of the largest request.", Kind.INTEGER),
    Flag(
        "quota-backend-bytes",
        "0",
        "Size of the database above which writes are refused; 0 is 2 GiB, below 0 none.",
        Kind.INTEGER,
    ),
    Flag(
        "auto-compaction-retention",
        "0",
        "History to keep: a duration or hours (periodic), a number (revision). 0 keeps all that clients leave.",
    ),
    Flag("auto-compaction-mode", "periodic", "What auto-compaction-retention is.", choices=("periodic", "revision")),
    Flag("max-concurrent-streams", "4294967295", "Calls that run at once; more wait. 0 is no limit.", Kind.INTEGER),
)

CLUSTERING: Final = (
    Flag("initial-advertise-peer-urls", "http://localhost:2380", "Where other members reach this one.", Kind.URLS),
    Flag("initial-cluster", "", "All members at the start: NAME=URL,... The default is this member alone."),
    Flag("initial-cluster-state", "new", "new, or existing to join one.", choices=("new", "existing")),
    Flag("initial-cluster-token", "etcd-cluster", "Keeps clusters apart whose members have the same names and URLs."),
    Flag("strict-reconfig-check", "true", "Refuse changes of the members that endanger the quorum.", Kind.BOOLEAN),
    Flag("advertise-client-urls", "http://localhost:2379", "Where clients reach this member.", Kind.URLS),
    Flag("pre-vote", "true", "Ask for votes before an election disturbs anyone.", Kind.BOOLEAN),
)

OPERATION: Final = (
    Flag("log-level", "info", "What to log.", choices=("debug", "info", "warn", "error", "panic", "fatal")),
    Flag("log-format", "json", "How to log: JSON lines, or lines for people.", choices=("json", "console")),
    Flag("log-outputs", "default", "Where to log: stderr (the default), stdout, or files."),
    Flag(
        "http-engine",
        "auto",
        "What parses clients' HTTP. auto is httptools.",
        choices=("auto", "httptools", "h11"),
    ),
    Flag(
        "experimental-watch-progress-notify-interval",
        "0s",
        "Time between two progress notices of an idle watch; 0 is 10m.",
        Kind.DURATION,
    ),
    Flag(
        "experimental-enable-lease-checkpoint",
        "false",
        "Record what is left of long leases, so that a change of the leader does not begin them anew.",
        Kind.BOOLEAN,
    ),
    Flag(
        "experimental-enable-lease-checkpoint-persist",
        "false",
        "Keep those records over restarts; here they always are.",
        Kind.BOOLEAN,
    ),
    Flag(
        "experimental-initial-corrupt-check",
        "false",
        "Compare the keys with the other members' before serving clients.",
        Kind.BOOLEAN,
    ),
    Flag(
        "experimental-corrupt-check-time",
        "0s",
        "Time between two comparisons of the members' keys by the leader; 0 is never.",
        Kind.DURATION,
    ),
    Flag(
        "experimental-snapshot-catchup-entries",
        "5000",
        "Entries kept behind a snapshot for slow followers.",
        Kind.INTEGER,
    ),
)

AUTH: Final = (
    Flag("auth-token", "simple", "Tokens: simple, or jwt,sign-method=RS256,priv-key=FILE,pub-key=FILE,ttl=10m."),
    Flag("auth-token-ttl", "300", "Seconds that a simple token lives without being used.", Kind.INTEGER),
    Flag("bcrypt-cost", "10", "How hard passwords are to guess: 4 to 31, each twice as hard.", Kind.INTEGER),
)

# Flag and the value of it that asks for nothing.
LATER: Final = (
    ("listen-client-http-urls", ""),
    ("socket-reuse-port", "false"),
    ("socket-reuse-address", "false"),
    ("discovery", ""),
    ("discovery-srv", ""),
    ("discovery-srv-name", ""),
    ("discovery-fallback", "proxy"),
    ("discovery-proxy", ""),
    ("proxy", "off"),
    ("cert-file", ""),
    ("key-file", ""),
    ("client-cert-file", ""),
    ("client-key-file", ""),
    ("client-cert-auth", "false"),
    ("client-crl-file", ""),
    ("client-cert-allowed-hostname", ""),
    ("trusted-ca-file", ""),
    ("auto-tls", "false"),
    ("peer-cert-file", ""),
    ("peer-key-file", ""),
    ("peer-client-cert-file", ""),
    ("peer-client-key-file", ""),
    ("peer-client-cert-auth", "false"),
    ("peer-trusted-ca-file", ""),
    ("peer-auto-tls", "false"),
    ("peer-crl-file", ""),
    ("peer-cert-allowed-cn", ""),
    ("peer-cert-allowed-hostname", ""),
    ("self-signed-cert-validity", "1"),
    ("cipher-suites", ""),
    ("tls-min-version", "TLS1.2"),
    ("tls-max-version", ""),
    ("enable-pprof", "false"),
    ("metrics", "basic"),
    ("enable-log-rotation", "false"),
    ("log-rotation-config-json", ""),
    ("enable-grpc-gateway", "true"),
    ("unsafe-no-fsync", "false"),
    ("force-new-cluster", "false"),
)

# Those etcd itself ignores, those of its own storage, of gRPC alone, of its v2 API, and its experiments.
IGNORED: Final = (
    *("backend-bbolt-freelist-type", "backend-batch-interval", "backend-batch-limit"),
    *("grpc-keepalive-min-time", "grpc-keepalive-interval", "grpc-keepalive-timeout"),
    *("raft-read-timeout", "raft-write-timeout", "logger", "enable-v2", "v2-deprecation"),
    *("proxy-failure-wait", "proxy-refresh-interval", "proxy-dial-timeout", "proxy-write-timeout"),
    *("proxy-read-timeout", "cluster-active-size", "cluster-remove-delay", "cluster-sync-interval", "config", "force"),
    *("max-result-buffer", "max-retry-attempts", "peer-heartbeat-interval", "peer-election-timeout"),
    *("retry-interval", "snapshot", "v", "vv"),
    *("experimental-enable-v2v3", "experimental-enable-distributed-tracing"),
    *("experimental-distributed-tracing-address", "experimental-distributed-tracing-service-name"),
    *("experimental-distributed-tracing-instance-id", "experimental-distributed-tracing-sampling-rate"),
    *("experimental-compact-hash-check-enabled", "experimental-compact-hash-check-time"),
    *("experimental-compaction-batch-limit", "experimental-compaction-sleep-interval"),
    *("experimental-peer-skip-client-san-verification", "experimental-downgrade-check-time"),
    *("experimental-warning-apply-duration", "experimental-memory-mlock"),
    *("experimental-txn-mode-write-with-shared-buffer", "experimental-stop-grpc-service-on-defrag"),
    "experimental-bootstrap-defrag-threshold-megabytes",
)

# Flags that etcd takes without a value.
_SWITCHES: Final = frozenset(
    {
        *("enable-v2", "force", "experimental-enable-distributed-tracing"),
        *("experimental-compact-hash-check-enabled", "experimental-peer-skip-client-san-verification"),
        *("experimental-memory-mlock", "experimental-txn-mode-write-with-shared-buffer"),
        *("experimental-stop-grpc-service-on-defrag", "v", "vv"),
    }
)


def _table() -> dict[str, Flag]:
    served = (*MEMBER, *CLUSTERING, *AUTH, *OPERATION)
    later = (Flag(name, default, kind=_kind(name, default), standing=Standing.LATER) for name, default in LATER)
    ignored = (Flag(name, "", kind=_kind(name, ""), standing=Standing.IGNORED) for name in IGNORED)
    return {flag.name: flag for flag in (*served, *later, *ignored)}


def _kind(name: str, default: str) -> Kind:
    return Kind.BOOLEAN if default in {"true", "false"} or name in _SWITCHES else Kind.TEXT


FLAGS: Final = _table()
