"""What one member is told before it starts: typed, frozen, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

from trioetcd.config.auth import SIMPLE, TokenConfig
from trioetcd.config.auto_compaction import AutoCompaction
from trioetcd.config.errors import ConfigError
from trioetcd.config.url import Url, join_urls, parse_url, parse_urls, same_urls

HttpEngine = Literal["auto", "httptools", "h11"]
ClusterState = Literal["new", "existing"]
LogFormat = Literal["json", "console"]

ELECTION_TIMEOUT_MS_MAX: Final = 50_000
ELECTION_TICKS_MIN: Final = 5
PROGRESS_INTERVAL_SECONDS_DEFAULT: Final = 600.0
PROGRESS_INTERVAL_SECONDS_MIN: Final = 0.1
LEASE_CHECKPOINT_INTERVAL_SECONDS: Final = 300.0
BCRYPT_COST_MIN: Final = 4
BCRYPT_COST_MAX: Final = 31
QUOTA_BYTES_DEFAULT: Final = 2 << 30
CONCURRENT_STREAMS_MAX: Final = 2**32 - 1

REQUEST_BYTES_MAX: Final = 30_000_000
"""A record of the write-ahead log, which holds 32 MB, has to hold a request; etcd warns from 10 MiB on."""

ANY: Final = frozenset({"*"})

_PEER_URL: Final = parse_url("http://localhost:2380")
_CLIENT_URL: Final = parse_url("http://localhost:2379")


class InitialMember(NamedTuple):
    """One member of `--initial-cluster`."""

    name: str
    peer_urls: tuple[Url, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """What is logged, how, and where to (`stderr`, `stdout`, or paths of files)."""

    level: str = "info"
    format: LogFormat = "json"
    outputs: tuple[str, ...] = ("stderr",)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberConfig:
    """The configuration of one member. The defaults are etcd's; `trioetcd serve` without a flag runs with them.

    Making one raises `ConfigError` for what contradicts itself, with etcd's rules (server/embed/config.go): so a
    `MemberConfig` that exists is one that a member can try to start with.
    """

    name: str = "default"
    data_dir: Path = Path("default.trioetcd")
    wal_dir: Path | None = None
    listen_client_urls: tuple[Url, ...] = (_CLIENT_URL,)
    advertise_client_urls: tuple[Url, ...] = (_CLIENT_URL,)
    listen_peer_urls: tuple[Url, ...] = (_PEER_URL,)
    initial_advertise_peer_urls: tuple[Url, ...] = (_PEER_URL,)
    listen_metrics_urls: tuple[Url, ...] = ()
    """Where metrics and health are served besides the client URLs."""
    cors_origins: frozenset[str] = ANY
    """Origins whose pages may call; `*` is all."""
    host_whitelist: frozenset[str] = ANY
    """Hosts, without ports, that requests may be addressed to; `*` is all."""
    initial_cluster: tuple[InitialMember, ...] = ()
    """All members at the start; empty stands for this one alone, see `initial_members`."""
    initial_cluster_token: str = "etcd-cluster"  # noqa: S105 # it names a cluster, it opens nothing
    initial_cluster_state: ClusterState = "new"
    strict_reconfig_check: bool = True
    heartbeat_interval_ms: int = 100
    election_timeout_ms: int = 1000
    initial_election_tick_advance: bool = True
    pre_vote: bool = True
    snapshot_count: int = 100_000
    snapshot_catchup_entries: int = 5000
    max_wals: int = 5
    max_snapshots: int = 5
    max_request_bytes: int = 1_572_864
    max_txn_ops: int = 128
    quota_backend_bytes: int = 0
    """As the flag has it; see `quota_bytes`."""
    auto_compaction: AutoCompaction | None = None
    """What history the leader compacts by itself; None is none."""
    max_concurrent_streams: int = CONCURRENT_STREAMS_MAX
    """As the flag has it; see `concurrent_streams`."""
    initial_corrupt_check: bool = False
    corrupt_check_interval_seconds: float | None = None
    """How often the leader compares the members' keys; None is never."""
    watch_progress_notify_interval_seconds: float = PROGRESS_INTERVAL_SECONDS_DEFAULT
    lease_checkpoint_interval_seconds: float | None = None
    """How often the leader records what is left of a long lease; None is never."""
    auth_token: TokenConfig = SIMPLE
    auth_token_ttl_seconds: int = 300
    """Of simple tokens, from their last use; 0 stands for etcd's default too."""
    bcrypt_cost: int = 10
    http_engine: HttpEngine = "auto"
    log: LogConfig = LogConfig()

    def __post_init__(self) -> None:
        _check_names(self)
        _check_timing(self)
        _check_bounds(self)
        _check_urls(self)
        _check_initial_cluster(self)

    @property
    def wal_directory(self) -> Path:
        """Where WAL segments are."""
        return self.data_dir / "member" / "wal" if self.wal_dir is None else self.wal_dir

    @property
    def snapshot_directory(self) -> Path:
        """Where snapshot files are."""
        return self.data_dir / "member" / "snap"

    @property
    def initial_members(self) -> tuple[InitialMember, ...]:
        """The members of the cluster when it is new, this one among them."""
        return self.initial_cluster or (InitialMember(self.name, self.initial_advertise_peer_urls),)

    @property
    def quota_bytes(self) -> int | None:
        """The size that the database may have; None is any."""
        if self.quota_backend_bytes < 0:
            return None
        return self.quota_backend_bytes or QUOTA_BYTES_DEFAULT

    @property
    def concurrent_streams(self) -> int | None:
        """How many calls may run at once; None is any number."""
        return self.max_concurrent_streams if 0 < self.max_concurrent_streams < CONCURRENT_STREAMS_MAX else None

    @property
    def election_ticks(self) -> int:
        """The election timeout in Raft ticks, one tick being one heartbeat interval."""
        return self.election_timeout_ms // self.heartbeat_interval_ms

    @property
    def tick_seconds(self) -> float:
        """How long one Raft tick is."""
        return self.heartbeat_interval_ms / 1000

    @property
    def request_timeout_seconds(self) -> float:
        """How long a request may wait for the cluster: 5 s for the disk and a leader lost and elected, twice."""
        return 5 + 2 * self.election_timeout_ms / 1000


def parse_initial_cluster(text: str) -> tuple[InitialMember, ...]:
    """The members that `NAME=URL,NAME=URL` names, in order of first mention; a name may come once for each URL."""
    members: dict[str, tuple[Url, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, url = part.partition("=")
        if not separator or not name or not url:
            raise ConfigError(f"--initial-cluster has {part!r}; expected NAME=http://HOST:PORT")
        members[name] = (*members.get(name, ()), *parse_urls(url))
    return tuple(InitialMember(name, urls) for name, urls in members.items())


def _check_names(config: MemberConfig) -> None:
    if not config.name:
        raise ConfigError("--name is empty; expected a name that no other member of the cluster has")
    if any(character in config.name for character in "=,/\0"):
        raise ConfigError(f"--name={config.name!r} has one of the characters = , / that --initial-cluster cannot hold")


def _check_timing(config: MemberConfig) -> None:
    heartbeat, election = config.heartbeat_interval_ms, config.election_timeout_ms
    if heartbeat <= 0 or election <= 0:
        raise ConfigError(f"--heartbeat-interval={heartbeat} and --election-timeout={election} must be above 0 (in ms)")
    if election < ELECTION_TICKS_MIN * heartbeat:
        raise ConfigError(
            f"--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]; "
            f"set it to {ELECTION_TICKS_MIN * heartbeat} or more"
        )
    if election > ELECTION_TIMEOUT_MS_MAX:
        raise ConfigError(
            f"--election-timeout[{election}ms] is too long, and should be set less than {ELECTION_TIMEOUT_MS_MAX}ms"
        )
    interval = config.watch_progress_notify_interval_seconds
    if interval < PROGRESS_INTERVAL_SECONDS_MIN:
        raise ConfigError(f"--experimental-watch-progress-notify-interval={interval:g}s is below the least one, 100ms")


def _check_bounds(config: MemberConfig) -> None:
    least = {
        "snapshot-count": (config.snapshot_count, 1),
        "experimental-snapshot-catchup-entries": (config.snapshot_catchup_entries, 1),
        "max-wals": (config.max_wals, 0),
        "max-snapshots": (config.max_snapshots, 0),
        "max-request-bytes": (config.max_request_bytes, 1),
        "max-txn-ops": (config.max_txn_ops, 1),
        "auth-token-ttl": (config.auth_token_ttl_seconds, 0),
        "bcrypt-cost": (config.bcrypt_cost, BCRYPT_COST_MIN),
        "max-concurrent-streams": (config.max_concurrent_streams, 0),
    }
    for name, (value, minimum) in least.items():
        if value < minimum:
            raise ConfigError(f"--{name}={value} is too small; expected {minimum} or more")
    most = {
        "bcrypt-cost": (config.bcrypt_cost, BCRYPT_COST_MAX),
        "max-concurrent-streams": (config.max_concurrent_streams, CONCURRENT_STREAMS_MAX),
        "max-request-bytes": (config.max_request_bytes, REQUEST_BYTES_MAX),
    }
    for name, (value, maximum) in most.items():
        if value > maximum:
            raise ConfigError(f"--{name}={value} is too large; expected {maximum} or less")


def _check_urls(config: MemberConfig) -> None:
    listen = {
        "listen-client-urls": config.listen_client_urls,
        "listen-peer-urls": config.listen_peer_urls,
        "listen-metrics-urls": config.listen_metrics_urls,
    }
    taken: dict[tuple[str, int], str] = {}
    for name, urls in listen.items():
        if not urls and name != "listen-metrics-urls":
            raise ConfigError(f"--{name} is empty; expected http://IP:PORT")
        for url in urls:
            if not url.is_bindable:
                raise ConfigError(f"--{name}: expected IP in URL for binding ({url}); use an IP address or localhost")
            place = url.comparable[1:]
            if place in taken and url.port != 0:
                raise ConfigError(f"--{name}={url} and --{taken[place]} have the same address; give each its own port")
            taken[place] = name
    for name, urls in _advertised(config).items():
        if not urls:
            raise ConfigError(f"--{name} is empty; expected http://HOST:PORT")
        for url in urls:
            if not url.host:
                raise ConfigError(f"--{name}: unexpected empty host ({url}); use a name or address others can reach")


def _advertised(config: MemberConfig) -> dict[str, tuple[Url, ...]]:
    return {
        "advertise-client-urls": config.advertise_client_urls,
        "initial-advertise-peer-urls": config.initial_advertise_peer_urls,
    }


def _check_initial_cluster(config: MemberConfig) -> None:
    """The rules of etcd's `VerifyBootstrap`: a member is in its own cluster, no URL is in it twice."""
    if not config.initial_cluster:
        return
    members = dict(config.initial_cluster)
    if config.name not in members:
        raise ConfigError(
            f"couldn't find local name {config.name!r} in the initial cluster configuration "
            f"(--initial-cluster names {', '.join(members)}); make --name one of them"
        )
    owners: dict[tuple[str, str, int], str] = {}
    for name, urls in config.initial_cluster:
        for url in urls:
            if (owner := owners.setdefault(url.comparable, name)) != name:
                raise ConfigError(f"--initial-cluster gives {url} to both {owner} and {name}; each needs its own")
    if not same_urls(members[config.name], config.initial_advertise_peer_urls):
        raise ConfigError(
            f"--initial-cluster has {config.name}={join_urls(members[config.name])} but "
            f"--initial-advertise-peer-urls={join_urls(config.initial_advertise_peer_urls)}; make them the same"
        )
