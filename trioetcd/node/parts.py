"""The parts of a member between its log and its front ends, put together. What runs them is `nursery_server`."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from trioetcd.config import MemberConfig
from trioetcd.metrics import Durations
from trioetcd.node.applier import Applier
from trioetcd.node.bootstrap import Recovered
from trioetcd.node.disk import Disk
from trioetcd.node.driver import RaftDriver
from trioetcd.node.environment import Environment
from trioetcd.node.leadership import Leadership
from trioetcd.node.membership import MembershipView
from trioetcd.node.parking import Signal
from trioetcd.node.proposals import Proposals
from trioetcd.node.protocols import Transport
from trioetcd.node.reads import ReadLoop
from trioetcd.node.request_ids import RequestIds
from trioetcd.node.snapshotting import Snapshotter
from trioetcd.node.timeouts import TimeoutExplainer
from trioetcd.node.upkeep.compaction import Compactor
from trioetcd.raft import Config, RawNode
from trioetcd.storage.machine import StateMachine

# etcd's settings of the core (server/etcdserver/raft.go).
_MESSAGE_BYTES_MAX = 1 << 20
_INFLIGHT_MESSAGES_MAX = 512


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What one member is made of."""

    machine: StateMachine
    raw_node: RawNode
    leadership: Leadership
    membership: MembershipView
    proposals: Proposals
    reads: ReadLoop
    snapshotter: Snapshotter
    applier: Applier
    disk: Disk
    driver: RaftDriver
    compactor: Compactor


def make_core(config: MemberConfig, environment: Environment, recovered: Recovered) -> RawNode:
    """The consensus core, at the position that the state machine has."""
    return RawNode(
        Config(
            id=recovered.member_id,
            election_tick=config.election_ticks,
            heartbeat_tick=1,
            storage=recovered.raft_log,
            random=environment.random,
            applied=recovered.machine.applied.index,
            max_size_per_msg=_MESSAGE_BYTES_MAX,
            max_inflight_msgs=_INFLIGHT_MESSAGES_MAX,
            check_quorum=True,
            pre_vote=config.pre_vote,
        )
    )


def assemble(
    *,
    config: MemberConfig,
    environment: Environment,
    recovered: Recovered,
    transport: Transport,
    durations: Durations,
) -> Parts:
    """Put the parts of a member together. Nothing runs yet; must be called in the loop, whose clock they take."""
    clock = trio.current_time
    machine, log = recovered.machine, environment.log
    raw_node = make_core(config, environment, recovered)
    work = Signal()
    ids = RequestIds(member_id=recovered.member_id, wall_seconds=environment.wall_seconds())
    leadership = Leadership(member_id=recovered.member_id, clock=clock)
    membership = MembershipView(
        member_id=recovered.member_id,
        machine=machine,
        transport=transport,
        initial_peers=recovered.initial_peers,
    )
    proposals = Proposals(
        next_id=ids.next,
        work=work,
        clock=clock,
        timeout_seconds=config.request_timeout_seconds,
        request_bytes_max=config.max_request_bytes,
        explain_timeout=TimeoutExplainer(
            leadership=leadership,
            transport=transport,
            election_timeout_seconds=config.election_timeout_ms / 1000,
        ),
    )
    snapshotter = Snapshotter(
        engine_folder=environment.engine_folder,
        files=recovered.snapshot_files,
        wal=recovered.wal,
        raft_log=recovered.raft_log,
        machine=machine,
        snapshot_count=config.snapshot_count,
        catchup_entries=config.snapshot_catchup_entries,
        last_index=recovered.snapshot.index,
        log=log,
    )
    compactor = Compactor(machine=machine)
    applier = Applier(
        machine=machine,
        raw_node=raw_node,
        work=work,
        proposals=proposals,
        snapshotter=snapshotter,
        membership=membership,
        on_installed=compactor.wake,
    )
    reads = ReadLoop(
        core=raw_node,
        work=work,
        leadership=leadership,
        applied=applier,
        next_id=ids.next,
        is_lone_voter=lambda: membership.is_lone_voter,
        timeout_seconds=config.request_timeout_seconds,
    )
    disk = Disk(
        file=recovered.wal,
        run_blocking=environment.run_blocking,
        clock=environment.stopwatch,
        observe=durations.wal_fsync.observe,
    )
    driver = RaftDriver(
        raw_node=raw_node,
        raft_log=recovered.raft_log,
        wal=recovered.wal,
        disk=disk,
        work=work,
        transport=transport,
        proposals=proposals,
        reads=reads,
        applier=applier,
        snapshotter=snapshotter,
        leadership=leadership,
        hard_state=recovered.hard_state,
        log=log,
    )
    return Parts(
        machine=machine,
        raw_node=raw_node,
        leadership=leadership,
        membership=membership,
        proposals=proposals,
        reads=reads,
        snapshotter=snapshotter,
        applier=applier,
        disk=disk,
        driver=driver,
        compactor=compactor,
    )
