"""The parts of a member between its log and its front ends, put together. What runs them is `nursery_server`."""

from __future__ import annotations

from typing import Final

import trio

from trioetcd.config import MemberConfig
from trioetcd.metrics import Durations
from trioetcd.node.applier import Applier
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.auth.passwords import Passwords
from trioetcd.node.auth.tokens import make_tokens
from trioetcd.node.bootstrap import Recovered
from trioetcd.node.disk import Disk
from trioetcd.node.driver import RaftDriver
from trioetcd.node.environment import Environment
from trioetcd.node.gone_leader import GoneLeader
from trioetcd.node.leadership import Leadership
from trioetcd.node.lease_primary import LeasePrimary
from trioetcd.node.lessor import Lessor
from trioetcd.node.maintenance.defragment import Defragmenter
from trioetcd.node.maintenance.downgrade import Downgrades
from trioetcd.node.maintenance.quota import Quota
from trioetcd.node.membership import MembershipView
from trioetcd.node.parking import Signal
from trioetcd.node.promotion import Promotion
from trioetcd.node.proposals import Proposals
from trioetcd.node.protocols import Transport
from trioetcd.node.reads import ReadLoop
from trioetcd.node.reconfig_check import ReconfigCheck
from trioetcd.node.reconfiguration import Reconfiguration
from trioetcd.node.request_ids import RequestIds
from trioetcd.node.snapshotting import Snapshotter
from trioetcd.node.timeouts import TimeoutExplainer
from trioetcd.node.upkeep.compaction import Compactor
from trioetcd.node.upkeep.leaderless import LeaderlessStreams
from trioetcd.raft import Config, RawNode
from trioetcd.storage.growth import PUT_OVERHEAD_BYTES

# etcd's settings of the core (server/etcdserver/raft.go).
_MESSAGE_BYTES_MAX: Final = 1 << 20
_INFLIGHT_MESSAGES_MAX: Final = 512


class Parts:
    """What one member is made of. Nothing runs yet; to be made in the loop, whose clock the parts take."""

    def __init__(
        self,
        *,
        config: MemberConfig,
        environment: Environment,
        recovered: Recovered,
        transport: Transport,
        durations: Durations,
    ) -> None:
        self._config = config
        self._environment = environment
        self._recovered = recovered
        self._transport = transport
        self._work = Signal()
        self._ids = RequestIds(member_id=recovered.member_id, wall_seconds=environment.wall_seconds())
        self.machine = recovered.machine
        self.machine.time_writes(clock=environment.stopwatch, observe=durations.backend_commit.observe)
        self.raw_node = self._make_core()
        self.leadership = Leadership(member_id=recovered.member_id, clock=trio.current_time)
        self.membership = MembershipView(
            member_id=recovered.member_id,
            machine=self.machine,
            transport=transport,
            initial_peers=recovered.initial_peers,
            joins_as_learner=recovered.joins_as_learner,
        )
        self.compactor = Compactor(machine=self.machine)
        self.leaderless = LeaderlessStreams(
            leadership=self.leadership, election_timeout_seconds=config.election_timeout_ms / 1000
        )
        self.disk = Disk(
            file=recovered.wal,
            run_blocking=environment.run_blocking,
            clock=environment.stopwatch,
            observe=durations.wal_fsync.observe,
        )
        self.proposals = self._make_proposals()
        self.snapshotter = self._make_snapshotter()
        self.quota = self._make_quota()
        self._make_changes_of_members()
        self.engine_lock = trio.Lock()
        self.defragmenter = self._make_defragmenter(durations)
        self.applier = self._make_applier()
        self._make_auth()
        self.reads = self._make_reads()
        self.downgrades = Downgrades(machine=self.machine, reads=self.reads, proposals=self.proposals)
        self.lessor = self._make_lessor()
        self.lease_primary = LeasePrimary(lessor=self.lessor, reads=self.reads, proposals=self.proposals)
        self.driver = self._make_driver()
        self.gone_leader = self._make_gone_leader()

    def _make_core(self) -> RawNode:
        """The consensus core, at the position that the state machine has."""
        return RawNode(
            Config(
                id=self._recovered.member_id,
                election_tick=self._config.election_ticks,
                heartbeat_tick=1,
                storage=self._recovered.raft_log,
                random=self._environment.random,
                applied=self.machine.applied.index,
                max_size_per_msg=_MESSAGE_BYTES_MAX,
                max_inflight_msgs=_INFLIGHT_MESSAGES_MAX,
                check_quorum=True,
                pre_vote=self._config.pre_vote,
            )
        )

    def _make_proposals(self) -> Proposals:
        return Proposals(
            next_id=self._ids.next,
            work=self._work,
            clock=trio.current_time,
            timeout_seconds=self._config.request_timeout_seconds,
            request_bytes_max=self._config.max_request_bytes,
            explain_timeout=TimeoutExplainer(
                leadership=self.leadership,
                transport=self._transport,
                election_timeout_seconds=self._config.election_timeout_ms / 1000,
            ),
        )

    def _make_quota(self) -> Quota:
        return Quota(
            machine=self.machine,
            member_id=self._recovered.member_id,
            proposals=self.proposals,
            limit_bytes=self._config.quota_bytes,
            request_growth_bytes_max=self._config.max_request_bytes + PUT_OVERHEAD_BYTES * self._config.max_txn_ops,
            log=self._environment.log,
        )

    def _make_snapshotter(self) -> Snapshotter:
        return Snapshotter(
            engine_folder=self._environment.engine_folder,
            files=self._recovered.snapshot_files,
            wal=self._recovered.wal,
            raft_log=self._recovered.raft_log,
            machine=self.machine,
            snapshot_count=self._config.snapshot_count,
            catchup_entries=self._config.snapshot_catchup_entries,
            last_index=self._recovered.snapshot.index,
            log=self._environment.log,
        )

    def _make_changes_of_members(self) -> None:
        self.reconfiguration = Reconfiguration(
            machine=self.machine,
            next_id=self._ids.next,
            work=self._work,
            repeat_ticks=self._config.election_ticks,
        )
        self.reconfig_check = ReconfigCheck(
            enabled=self._config.strict_reconfig_check,
            member_id=self._recovered.member_id,
            machine=self.machine,
            transport=self._transport,
            clock=trio.current_time,
        )
        self.promotion = Promotion(
            raw_node=self.raw_node, reconfiguration=self.reconfiguration, check=self.reconfig_check
        )

    def _make_defragmenter(self, durations: Durations) -> Defragmenter:
        return Defragmenter(
            machine=self.machine,
            engine_lock=self.engine_lock,
            run_blocking=self._environment.run_blocking,
            clock=self._environment.stopwatch,
            observe=durations.defragment.observe,
            log=self._environment.log,
        )

    def _make_applier(self) -> Applier:
        return Applier(
            machine=self.machine,
            raw_node=self.raw_node,
            work=self._work,
            proposals=self.proposals,
            reconfiguration=self.reconfiguration,
            snapshotter=self.snapshotter,
            membership=self.membership,
            wake_compactor=self.compactor.wake,
            note_applied=self.quota.note_applied,
            engine_lock=self.engine_lock,
            clock=self._environment.stopwatch,
        )

    def _make_auth(self) -> None:
        config, environment = self._config, self._environment
        self.tokens = make_tokens(
            config,
            replayed_index=self._recovered.raft_log.last_index(),
            secrets=environment.secrets,
            clock=trio.current_time,
            wall_seconds=environment.wall_seconds,
            read_file=environment.read_file,
        )
        self.authenticator = Authenticator(
            machine=self.machine,
            tokens=self.tokens,
            wait_applied=self.applier.wait_applied,
            timeout_seconds=config.request_timeout_seconds,
        )
        self.passwords = Passwords(
            cost=config.bcrypt_cost, secrets=environment.secrets, run_blocking=environment.run_blocking
        )

    def _make_reads(self) -> ReadLoop:
        return ReadLoop(
            core=self.raw_node,
            work=self._work,
            leadership=self.leadership,
            applied=self.applier,
            next_id=self._ids.next,
            membership=self.membership,
            timeout_seconds=self._config.request_timeout_seconds,
        )

    def _make_lessor(self) -> Lessor:
        return Lessor(
            machine=self.machine,
            leadership=self.leadership,
            clock=trio.current_time,
            extension_seconds=self._config.election_timeout_ms / 1000,
            checkpoint_interval_seconds=self._config.lease_checkpoint_interval_seconds,
        )

    def _make_driver(self) -> RaftDriver:
        return RaftDriver(
            raw_node=self.raw_node,
            raft_log=self._recovered.raft_log,
            wal=self._recovered.wal,
            disk=self.disk,
            work=self._work,
            transport=self._transport,
            proposals=self.proposals,
            reconfiguration=self.reconfiguration,
            reads=self.reads,
            applier=self.applier,
            snapshotter=self.snapshotter,
            leadership=self.leadership,
            membership=self.membership,
            hard_state=self._recovered.hard_state,
            log=self._environment.log,
        )

    def _make_gone_leader(self) -> GoneLeader:
        return GoneLeader(
            driver=self.driver,
            leadership=self.leadership,
            random=self._environment.random,
            clock=trio.current_time,
            pre_vote=self._config.pre_vote,
            heartbeat_seconds=self._config.heartbeat_interval_ms / 1000,
            election_seconds=self._config.election_timeout_ms / 1000,
            log=self._environment.log,
        )
