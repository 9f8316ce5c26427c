"""All services of the member, by the names under which front ends find them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from trioetcd.api.services import Rpc
from trioetcd.config import MemberConfig
from trioetcd.log import Logger
from trioetcd.node.auth.guard import Guard, Method
from trioetcd.node.bootstrap import Recovered
from trioetcd.node.leader_calls import LeaderCalls
from trioetcd.node.maintenance.leader_transfer import LeaderTransfer
from trioetcd.node.parts import Parts
from trioetcd.node.protocols import LeaseForwarder, PromotionForwarder
from trioetcd.node.service.auth import AuthService
from trioetcd.node.service.cluster import ClusterService
from trioetcd.node.service.concurrency import Lines
from trioetcd.node.service.election import ElectionService
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.node.service.kv import KvService
from trioetcd.node.service.lease import LeaseService
from trioetcd.node.service.lock import LockService
from trioetcd.node.service.maintenance import MaintenanceService
from trioetcd.node.service.two_steps import TwoSteps
from trioetcd.node.service.watch import WatchService

_WORD_BOUNDARY: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_FRAGMENT_OVERHEAD_BYTES: Final = 512 * 1024  # etcd splits watch responses at the size of its largest gRPC message


@dataclass(frozen=True, kw_only=True)
class Services:
    """One attribute a service of the API."""

    kv: KvService
    watch: WatchService
    lease: LeaseService
    cluster: ClusterService
    maintenance: MaintenanceService
    lock: LockService
    election: ElectionService
    auth: AuthService
    guard: Guard

    def method(self, rpc: Rpc) -> Method | None:
        """What serves an RPC, behind its rule: the one way for front ends. None: it is not built."""
        method = find_method(self, rpc)
        return None if method is None else self.guard.protect(rpc, method)

    def two_steps(self, rpc: Rpc) -> TwoSteps | None:
        """The two steps of a unary RPC, behind its rule; None for one that is served as a coroutine function alone."""
        steps = find_two_steps(self, rpc)
        return None if steps is None else self.guard.protect_steps(rpc, steps)


def find_method(services: object, rpc: Rpc) -> Method | None:
    """The bare method of an RPC: `LeaseGrant` is `lease.lease_grant`, `HashKV` is `maintenance.hash_kv`."""
    service, name = _names(services, rpc)
    method: Method | None = getattr(service, name, None)
    return method


def find_two_steps(services: object, rpc: Rpc) -> TwoSteps | None:
    """The bare two steps of an RPC: those of `Put` are `kv.begin_put` and `kv.finish_put`."""
    service, name = _names(services, rpc)
    begin, finish = getattr(service, f"begin_{name}", None), getattr(service, f"finish_{name}", None)
    return None if begin is None or finish is None else TwoSteps(begin, finish)


def _names(services: object, rpc: Rpc) -> tuple[object, str]:
    service: object = getattr(services, rpc.service.rpartition(".")[2].lower())
    return service, "open" if rpc.name == "Watch" else _WORD_BOUNDARY.sub("_", rpc.name).lower()


def make_services(
    *,
    config: MemberConfig,
    recovered: Recovered,
    parts: Parts,
    random: Random,
    wall_clock: Callable[[], float],
    lease_forwarder: LeaseForwarder,
    promotion_forwarder: PromotionForwarder,
    log: Logger,
) -> Services:
    """The services over the parts of a member."""
    headers = Headers(
        cluster_id=recovered.cluster_id,
        member_id=recovered.member_id,
        machine=parts.machine,
        leadership=parts.leadership,
    )
    gate = Gate(leadership=parts.leadership, membership=parts.membership)
    leader_calls = LeaderCalls(leadership=parts.leadership, timeout_seconds=config.request_timeout_seconds)
    kv = KvService(
        machine=parts.machine,
        proposals=parts.proposals,
        reads=parts.reads,
        headers=headers,
        gate=gate,
        authenticator=parts.authenticator,
        compactor=parts.compactor,
        quota=parts.quota,
        max_txn_ops=config.max_txn_ops,
    )
    watch = WatchService(
        machine=parts.machine,
        headers=headers,
        gate=gate,
        authenticator=parts.authenticator,
        leaderless=parts.leaderless,
        fragment_bytes_max=config.max_request_bytes + _FRAGMENT_OVERHEAD_BYTES,
    )
    lease = LeaseService(
        proposals=parts.proposals,
        headers=headers,
        gate=gate,
        authenticator=parts.authenticator,
        random=random,
        ttl_seconds_min=_lease_ttl_seconds_min(config),
        quota=parts.quota,
        leader_calls=leader_calls,
        lessor=parts.lessor,
        primary=parts.lease_primary,
        forwarder=lease_forwarder,
        leaderless=parts.leaderless,
    )
    lines = Lines(kv=kv, watch=watch, lease=lease, authenticator=parts.authenticator)
    return Services(
        kv=kv,
        watch=watch,
        lease=lease,
        lock=LockService(lines=lines, kv=kv, gate=gate),
        election=ElectionService(lines=lines, kv=kv, headers=headers, gate=gate),
        cluster=_make_cluster(parts, headers, gate, leader_calls, promotion_forwarder, wall_clock),
        maintenance=_make_maintenance(config, parts, headers, gate),
        auth=_make_auth(parts, headers, gate, log),
        guard=Guard(authenticator=parts.authenticator),
    )


def _make_cluster(
    parts: Parts,
    headers: Headers,
    gate: Gate,
    leader_calls: LeaderCalls,
    forwarder: PromotionForwarder,
    wall_clock: Callable[[], float],
) -> ClusterService:
    return ClusterService(
        machine=parts.machine,
        reads=parts.reads,
        headers=headers,
        gate=gate,
        reconfiguration=parts.reconfiguration,
        check=parts.reconfig_check,
        promotion=parts.promotion,
        leader_calls=leader_calls,
        forwarder=forwarder,
        wall_clock=wall_clock,
    )


def _make_auth(parts: Parts, headers: Headers, gate: Gate, log: Logger) -> AuthService:
    return AuthService(
        machine=parts.machine,
        proposals=parts.proposals,
        reads=parts.reads,
        headers=headers,
        gate=gate,
        authenticator=parts.authenticator,
        tokens=parts.tokens,
        passwords=parts.passwords,
        log=log,
    )


def _make_maintenance(config: MemberConfig, parts: Parts, headers: Headers, gate: Gate) -> MaintenanceService:
    return MaintenanceService(
        machine=parts.machine,
        driver=parts.driver,
        leadership=parts.leadership,
        membership=parts.membership,
        proposals=parts.proposals,
        headers=headers,
        gate=gate,
        authenticator=parts.authenticator,
        defragmenter=parts.defragmenter,
        leader_transfer=LeaderTransfer(
            machine=parts.machine,
            driver=parts.driver,
            leadership=parts.leadership,
            timeout_seconds=config.request_timeout_seconds,
        ),
        downgrades=parts.downgrades,
    )


def _lease_ttl_seconds_min(config: MemberConfig) -> int:
    """One and a half election timeouts, in whole seconds upwards: a lease must outlive a change of the leader."""
    milliseconds = 3 * config.election_ticks * config.heartbeat_interval_ms // 2
    return -(-milliseconds // 1000)
