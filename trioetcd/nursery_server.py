"""THE TREE: one member, from its files to its listeners, as tasks of nested nurseries.

    run_member
    └─ with recover(...): data directory locked, log and engine open            (closed last, on every exit)
       └─ core nursery:        driver, ticks, applier
          └─ peers nursery:       peer listener, transport
             └─ upkeep nursery:      reads, watches, compaction, versions, leases, publish, purge, ...
                └─ clients nursery:     client listener, until the stop

Each level outlives what is inside it. A stop ends the clients first, with a moment for requests in flight; then the
upkeep; then leadership is handed over; then the peers, then the core. A task that raises takes the member down.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from trioetcd.config import MemberConfig, join_urls
from trioetcd.config.version import MIN_CLUSTER_VERSION, SERVER_VERSION
from trioetcd.frontend.heads import Cors
from trioetcd.frontend.hosts import guard_hosts
from trioetcd.frontend.listener import ClientListener
from trioetcd.frontend.routes import build_metrics_routes, build_routes
from trioetcd.http11 import Engine
from trioetcd.metrics import Durations, Metrics
from trioetcd.node.bootstrap import Recovered, recover
from trioetcd.node.environment import Environment
from trioetcd.node.handover import hand_over_leadership
from trioetcd.node.maintenance.corruption import CorruptionCheck, refuse_corrupt_start
from trioetcd.node.measures import MemberMeasures
from trioetcd.node.member_view import MemberView
from trioetcd.node.parts import Parts
from trioetcd.node.peer_gateway import PeerGateway
from trioetcd.node.services import make_services
from trioetcd.node.ticking import hasten_first_election, tick_loop
from trioetcd.node.upkeep.auto_compaction import AutoCompactor
from trioetcd.node.upkeep.file_descriptors import DescriptorMonitor, client_connections_max, descriptor_limit
from trioetcd.node.upkeep.lease_expiry import LeaseExpiry
from trioetcd.node.upkeep.publish import publish
from trioetcd.node.upkeep.purge import Purge
from trioetcd.node.upkeep.removed_files import RemovedFiles
from trioetcd.node.upkeep.versions import VersionMonitor
from trioetcd.node.upkeep.watches import ProgressNotifier, WatchResync
from trioetcd.peer.bootstrapping import ask_for_members, look_at_cluster
from trioetcd.peer.hashes import HashFetcher
from trioetcd.peer.headers import PeerIdentity
from trioetcd.peer.leases import LeaseForwarder
from trioetcd.peer.listener import PeerListener
from trioetcd.peer.measures import peer_metrics
from trioetcd.peer.promotion import PromotionForwarder
from trioetcd.peer.transport import Transport

GRACE_SECONDS: Final = 5.0
"""What requests in flight are given at a stop, before they are cancelled."""

REMOVED_SECONDS: Final = 1.0
"""How long a leader that was removed goes on (etcd's): it has to tell the others that its removal is committed."""

METRICS_CONNECTIONS_MAX: Final = 64

Listener = trio.abc.Listener[trio.abc.Stream]


async def run_member(
    config: MemberConfig,
    *,
    environment: Environment,
    stop: trio.Event,
    task_status: trio.TaskStatus[MemberView] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run one member until `stop` is set or it is removed from its cluster; `started(view)` when it serves clients.

    Raises `StartRefused` and `OSError` for a start that an operator must put right, and whatever a task raises.
    Cancelling it ends everything at once, without a handover; the files are closed all the same.
    """
    joining = await look_at_cluster(config, environment)
    with recover(config, environment, joining) as recovered:
        if recovered.knows_nobody:
            recovered = await ask_for_members(config, environment, recovered)
        if config.initial_corrupt_check:
            await refuse_corrupt_start(
                machine=recovered.machine,
                member_id=recovered.member_id,
                source=HashFetcher(dialer=environment.dialer),
                log=environment.log,
            )
        await _Tree(config, environment, recovered).run(stop, task_status)


class _Tree:
    """The parts of a member, and the order in which their tasks start and end."""

    def __init__(self, config: MemberConfig, environment: Environment, recovered: Recovered) -> None:
        self._config = config
        self._environment = environment
        self._recovered = recovered
        self._log = environment.log
        self._gateway = PeerGateway(machine=recovered.machine, log=environment.log)
        self._transport = self._make_transport()
        self._lease_forwarder = LeaseForwarder(transport=self._transport)
        durations = Durations()
        self._parts = Parts(
            config=config,
            environment=environment,
            recovered=recovered,
            transport=self._transport,
            durations=durations,
        )
        self._services = make_services(
            config=config,
            recovered=recovered,
            parts=self._parts,
            random=environment.random,
            wall_clock=environment.wall_seconds,
            lease_forwarder=self._lease_forwarder,
            log=environment.log,
            promotion_forwarder=PromotionForwarder(transport=self._transport),
        )
        self._gateway.attach(
            driver=self._parts.driver,
            gone_leader=self._parts.gone_leader,
            snapshotter=self._parts.snapshotter,
            membership=self._parts.membership,
            downgrades=self._parts.downgrades,
            lease_primary=self._parts.lease_primary,
            promotion=self._parts.promotion,
        )
        self._descriptors = DescriptorMonitor(log=environment.log)
        self._measures = self._make_measures()
        metrics = Metrics(source=self._measures, durations=durations)
        self._view = MemberView(parts=self._parts, services=self._services, metrics=metrics, measures=self._measures)

    def _make_transport(self) -> Transport:
        return Transport(
            local=PeerIdentity(
                member_id=self._recovered.member_id,
                cluster_id=self._recovered.cluster_id,
                version=SERVER_VERSION,
                min_cluster_version=MIN_CLUSTER_VERSION,
                peer_urls=tuple(str(url) for url in self._config.initial_advertise_peer_urls),
            ),
            handler=self._gateway,
            dialer=self._environment.dialer,
            wall_clock=self._environment.wall_seconds,
            log=self._log,
        )

    def _make_measures(self) -> MemberMeasures:
        return MemberMeasures(
            recovered=self._recovered,
            parts=self._parts,
            peers=partial(peer_metrics, self._transport),
            descriptors=self._descriptors,
        )

    async def run(self, stop: trio.Event, task_status: trio.TaskStatus[MemberView]) -> None:
        """Start level by level, each when the one around it is up; end them in the opposite order."""
        parts = self._parts
        peer_listeners = await self._environment.network.listen(self._config.listen_peer_urls)
        try:
            client_listeners = await self._environment.network.listen(self._config.listen_client_urls)
        except OSError:
            for listener in peer_listeners:
                await listener.aclose()
            raise
        async with trio.open_nursery() as core:
            await core.start(parts.driver.run)
            await core.start(parts.applier.run)
            await core.start(self._tick)
            async with trio.open_nursery() as peers:
                await self._start_peers(peers, peer_listeners)
                peers.start_soon(self._hasten_first_election)
                async with trio.open_nursery() as upkeep:
                    await self._start_upkeep(upkeep)
                    if self._config.listen_metrics_urls:
                        await self._serve_metrics(upkeep)
                    await self._serve_clients(client_listeners, stop, task_status)
                    upkeep.cancel_scope.cancel()
                await self._hand_over()
                peers.cancel_scope.cancel()
            core.cancel_scope.cancel()

    async def _tick(self, *, task_status: trio.TaskStatus[None]) -> None:
        await tick_loop(
            tick=self._parts.driver.tick,
            tick_seconds=self._config.tick_seconds,
            note_late=self._measures.count_late_tick,
            log=self._log,
            task_status=task_status,
        )

    async def _hasten_first_election(self) -> None:
        await self._parts.applier.wait_applied(self._recovered.hard_state.commit)
        await hasten_first_election(
            tick=self._parts.driver.tick,
            election_ticks=self._config.election_ticks,
            is_lone=lambda: not self._transport.status().peers,
            active_peers=lambda: sum(peer.active for peer in self._transport.status().peers),
            enabled=self._config.initial_election_tick_advance,
        )

    async def _start_peers(self, nursery: trio.Nursery, listeners: Sequence[Listener]) -> None:
        """The listener first: a peer that is dialled may answer at once."""
        listener = PeerListener(
            listeners=listeners,
            transport=self._transport,
            handler=self._gateway,
            wall_clock=self._environment.wall_seconds,
            log=self._log,
        )
        await nursery.start(listener.run)
        self._parts.membership.changed()
        await nursery.start(self._transport.run)
        self._log.info("serving peers", urls=join_urls(self._config.listen_peer_urls))

    async def _start_upkeep(self, nursery: trio.Nursery) -> None:
        config, parts, machine = self._config, self._parts, self._parts.machine
        random = self._environment.random
        await nursery.start(parts.gone_leader.run)
        await nursery.start(parts.reads.run)
        await nursery.start(parts.compactor.run)
        await nursery.start(parts.leaderless.run)
        await nursery.start(parts.quota.run)
        await nursery.start(WatchResync(machine=machine).run)
        interval_seconds = config.watch_progress_notify_interval_seconds
        notifier = ProgressNotifier(machine=machine, interval_seconds=interval_seconds, random=random)
        await nursery.start(notifier.run)
        versions = VersionMonitor(
            machine=machine,
            transport=self._transport,
            leadership=parts.leadership,
            proposals=parts.proposals,
            log=self._log,
        )
        await nursery.start(versions.run)
        expiry = LeaseExpiry(lessor=parts.lessor, leadership=parts.leadership, proposals=parts.proposals, log=self._log)
        await nursery.start(expiry.run)
        if config.auto_compaction is not None:
            auto_compactor = AutoCompactor(
                what=config.auto_compaction,
                machine=machine,
                leadership=parts.leadership,
                proposals=parts.proposals,
                log=self._log,
            )
            await nursery.start(auto_compactor.run)
        await nursery.start(self._lease_forwarder.run)
        await nursery.start(self._publish)
        purge = Purge(
            wal=self._recovered.wal,
            snapshots=self._recovered.snapshot_files,
            max_wals=config.max_wals,
            max_snapshots=config.max_snapshots,
            run_blocking=self._environment.run_blocking,
            log=self._log,
        )
        await nursery.start(purge.run)
        await nursery.start(RemovedFiles(machine=machine, run_blocking=self._environment.run_blocking).run)
        await nursery.start(self._descriptors.run)
        if config.corrupt_check_interval_seconds is not None:
            check = CorruptionCheck(
                machine=machine,
                leadership=parts.leadership,
                reads=parts.reads,
                proposals=parts.proposals,
                source=HashFetcher(dialer=self._environment.dialer),
                interval_seconds=config.corrupt_check_interval_seconds,
                log=self._log,
            )
            await nursery.start(check.run)

    async def _publish(self, *, task_status: trio.TaskStatus[None]) -> None:
        await publish(
            proposals=self._parts.proposals,
            member_id=self._recovered.member_id,
            name=self._config.name,
            client_urls=[str(url) for url in self._config.advertise_client_urls],
            log=self._log,
            task_status=task_status,
        )

    async def _serve_clients(
        self, listeners: Sequence[Listener], stop: trio.Event, task_status: trio.TaskStatus[MemberView]
    ) -> None:
        """Serve until the stop, or until this member is removed; then give requests in flight a moment."""
        config = self._config
        routes = build_routes(
            member=self._view,
            max_request_bytes=config.max_request_bytes,
            cors=Cors(config.cors_origins),
            concurrent_streams=config.concurrent_streams,
        )
        listener = ClientListener(
            listeners=listeners,
            routes=guard_hosts(routes, config.host_whitelist),
            log=self._log,
            engine=self._http_engine,
            connections_max=client_connections_max(descriptor_limit()),
            hasten=self._parts.driver.run_alone,
            stopwatch=self._environment.stopwatch,
        )
        async with trio.open_nursery() as clients:
            await clients.start(listener.run)
            self._log.info("ready to serve client requests", urls=join_urls(config.listen_client_urls))
            task_status.started(self._view)
            await self._wait_for_end(stop)
            listener.stop(grace_seconds=GRACE_SECONDS)

    async def _serve_metrics(self, nursery: trio.Nursery) -> None:
        """Serve metrics and health besides, to the end of the upkeep: a probe is answered while clients are let go."""
        urls = self._config.listen_metrics_urls
        listener = ClientListener(
            listeners=await self._environment.network.listen(urls),
            routes=build_metrics_routes(member=self._view),
            log=self._log,
            engine=self._http_engine,
            connections_max=METRICS_CONNECTIONS_MAX,
        )
        await nursery.start(listener.run)
        self._log.info("serving metrics", urls=join_urls(urls))

    @property
    def _http_engine(self) -> Engine:
        return "h11" if self._config.http_engine == "h11" else "httptools"

    async def _wait_for_end(self, stop: trio.Event) -> None:
        async with trio.open_nursery() as either:
            for event in (stop, self._parts.membership.removed):
                either.start_soon(self._cancel_at, event, either.cancel_scope)
        if self._parts.membership.removed.is_set():
            self._log.warning("the member has been permanently removed from the cluster; it stops")
            self._log.warning("data-dir used by this member must be removed")
            if self._parts.leadership.is_leader:
                with trio.move_on_after(REMOVED_SECONDS):
                    await stop.wait()

    @staticmethod
    async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
        await event.wait()
        scope.cancel()

    async def _hand_over(self) -> None:
        await hand_over_leadership(
            raw_node=self._parts.raw_node,
            driver=self._parts.driver,
            leadership=self._parts.leadership,
            transport=self._transport,
            timeout_seconds=self._config.election_timeout_ms / 1000,
            log=self._log,
        )
