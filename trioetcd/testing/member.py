"""One member on a simulated machine: the production tree over a disk, a network and a clock that a test controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import trio

from trioetcd.client import Client, connect
from trioetcd.client.endpoints import Endpoint
from trioetcd.config import MemberConfig, StartRefused, Url
from trioetcd.log import Logger, null_logger
from trioetcd.node.environment import Environment
from trioetcd.node.member_view import MemberView
from trioetcd.node.parts import Parts
from trioetcd.node.services import Services
from trioetcd.nursery_server import run_member
from trioetcd.storage.engine import EngineDamage
from trioetcd.storage.filesystem import DiskFailure
from trioetcd.testing.disk import CrashMode, MemoryFileSystem
from trioetcd.testing.engines import MemoryEngineFolder
from trioetcd.testing.network import MemoryHost, MemoryListener, MemoryNetwork

START_OF_TIME: Final = 1_700_000_000.0
"""The time of day, in seconds since 1970, at which Trio's clock is at 0."""

STALL_SECONDS_MIN: Final = 0.02


class PowerLost(Exception):
    """Raised in whatever a machine was about to do to its disk when it went off."""


_DEATH: Final = (PowerLost, OSError, DiskFailure, EngineDamage, StartRefused)
"""What the tasks of a member that is killed may run into before they notice that they are cancelled."""


class MemoryMember:
    """A member and its machine, which outlives it: `start`, `stop` and `kill` it as often as you like.

    Attributes:
        config: how it was configured; assign another one between two starts.
        filesystem: its disk, with all that can be done to one (`fail_sync`, `flip_bit`, `capacity_bytes`, ...).
        engines: its engine's place on that disk.
        before_operation: called with a word on each operation that changes the disk, before it is done. It may call
            `power_off`: the operation is then not done.
        may_fail: whether an error that ends the member is kept in `failure` instead of ending the whole cluster.
        failure: that error.
        disk_seconds: how long a sync of the log takes.
        wall_offset_seconds: how far its time of day is off; nothing else of its clock is.
    """

    def __init__(
        self,
        *,
        config: MemberConfig,
        network: MemoryNetwork,
        nursery: trio.Nursery,
        random: Random,
        disk_seconds: float,
        wal_segment_bytes: int,
        log: Logger | None = None,
    ) -> None:
        self.config = config
        self.name = config.name
        self.before_operation: Callable[[str], None] | None = None
        self.may_fail = False
        self.failure: Exception | None = None
        self.wall_offset_seconds = 0.0
        self._network = network
        self._nursery = nursery
        self._random = random
        self.disk_seconds = disk_seconds
        self._wal_segment_bytes = wal_segment_bytes
        self._log = log or null_logger()
        self._run: _Run | None = None
        self._off = False
        self._syncs = 0
        self._disk_free = trio.Event()
        self._disk_free.set()
        self._id: int | None = None
        self._new_disk()

    def _new_disk(self) -> None:
        self.filesystem = MemoryFileSystem(before_operation=self._operation)
        self.engines = MemoryEngineFolder(
            filesystem=self.filesystem, directory=self.config.data_dir / "member", random=self._random
        )

    # -- its life

    async def start(self) -> None:
        """Start it; return when it serves clients. Raises `StartRefused`, as the command would print it."""
        assert self._run is None, f"{self.name} runs already"
        self._off = False
        self._run = run = _Run()
        try:
            await self._nursery.start(self._live, run, name=f"member {self.name}")
        except BaseException:
            self._run = None
            raise
        self._remember_id()

    def _remember_id(self) -> None:
        if self._run is not None and self._run.view is not None:
            self._id = self._run.view.parts.leadership.member_id

    def wipe(self) -> None:
        """Give it an empty disk, as when a machine is replaced by a new one. It must be down."""
        assert self._run is None, f"{self.name} runs: kill it before its disk is taken away"
        self._new_disk()

    async def stop(self) -> None:
        """Stop it in order, as SIGTERM does; return when it has ended."""
        run = self._running
        run.stop.set()
        await run.ended.wait()

    async def cancel(self) -> None:
        """End it by a cancellation, as when the program around it fails: at once, but its files are closed."""
        run = self._running
        run.scope.cancel()
        await run.ended.wait()

    async def kill(self, mode: CrashMode = CrashMode.DROP) -> None:
        """End it as `kill -9` and a power failure at once do; return when nothing of it is left.

        What was not synced is lost as `mode` says, open connections break, and no task does anything in order.
        """
        run = self._running
        self.power_off(mode)
        await run.ended.wait()

    def power_off(self, mode: CrashMode = CrashMode.DROP) -> None:
        """As `kill`, at once, without waiting for its tasks to notice. May be called in `before_operation`."""
        run = self._running
        run.killed = self._off = True
        self.filesystem.crash(self._random, mode)
        self.engines.crash(mode)
        self._network.power_off(self.name)
        run.scope.cancel()
        self._disk_free.set()

    async def wait_ended(self) -> None:
        """Return when it does not run (any more)."""
        if self._run is not None:
            await self._run.ended.wait()

    def stall_disk(self) -> None:
        """Let no sync of the log come to its end until `release_disk`.

        Only a disk that is slow is synced in a thread, where it can stall without holding up all members: give
        `MemoryCluster` 0.02 `disk_seconds` or more.
        """
        assert self.disk_seconds >= STALL_SECONDS_MIN, f"disk_seconds is {self.disk_seconds}, below 0.02"
        if self._disk_free.is_set():
            self._disk_free = trio.Event()

    def release_disk(self) -> None:
        """Let what waits for the disk go on."""
        self._disk_free.set()

    # -- what it shows

    @property
    def is_running(self) -> bool:
        """Whether it serves: it has started, and has neither ended nor been killed."""
        return self._run is not None and self._run.view is not None and not self._run.killed

    @property
    def is_down(self) -> bool:
        """Whether nothing of it is left, so that it may be started."""
        return self._run is None

    @property
    def is_leader(self) -> bool:
        """Whether it runs, and leads as far as it knows."""
        return self.is_running and self.parts.leadership.is_leader

    @property
    def id(self) -> int:
        """Its member ID, also while it is down, once it has run."""
        self._remember_id()
        assert self._id is not None, f"{self.name} has not run yet"
        return self._id

    @property
    def view(self) -> MemberView:
        """What its front ends see of it."""
        view = self._running.view
        assert view is not None, f"{self.name} is only starting"
        return view

    @property
    def parts(self) -> Parts:
        """What it is made of."""
        return self.view.parts

    @property
    def services(self) -> Services:
        """The services of the API, without a front end. A call that waits in one when it is killed waits for ever."""
        return self.view.services

    @property
    def client(self) -> Client:
        """A client of this member alone, over the network, from a host called `client`. A new one at each start."""
        client = self._running.client
        assert client is not None, f"{self.name} is only starting"
        return client

    @property
    def client_url(self) -> str:
        """Where clients reach it."""
        return str(self.config.listen_client_urls[0])

    def digest(self) -> str:
        """A hash of all that is replicated, as of what it has applied."""
        return self.parts.machine.digest()

    # -- within

    @property
    def _running(self) -> _Run:
        assert self._run is not None, f"{self.name} does not run"
        return self._run

    async def _live(self, run: _Run, *, task_status: trio.TaskStatus[None]) -> None:
        started = _Started(run=run, task_status=task_status)
        try:
            async with AsyncExitStack() as stack:
                run.client = await stack.enter_async_context(
                    open_client(self._network, [self.client_url], self._random)
                )
                with run.scope:
                    await run_member(self.config, environment=self._environment(), stop=run.stop, task_status=started)
        except (*_DEATH, ExceptionGroup) as error:
            if not (run.killed and _is_death(error)):
                if not self.may_fail or not started.called:
                    raise
                self.failure = error
        finally:
            self._run = None
            run.ended.set()
        if not started.called:
            task_status.started()  # killed before it served: that is what was asked for

    def _environment(self) -> Environment:
        return Environment(
            filesystem=self.filesystem,
            engine_folder=self.engines,
            network=_Listening(self._network.host(self.name)),
            dialer=self._network.host(self.name),
            random=self._random,
            secrets=self._random,
            wall_seconds=self._wall_seconds,
            stopwatch=self._stopwatch,
            run_blocking=self._run_blocking,
            read_file=Path.read_bytes,
            log=self._log,
            wal_segment_bytes=self._wal_segment_bytes,
        )

    def _operation(self, what: str) -> None:
        if not self._off and self.before_operation is not None:
            self.before_operation(what)
        if self._off:
            raise PowerLost(f"{self.name} went off before: {what}")
        self._syncs += what.startswith("sync ")

    def _wall_seconds(self) -> float:
        return START_OF_TIME + trio.current_time() + self.wall_offset_seconds

    def _stopwatch(self) -> float:
        """Virtual time, and what the syncs that ran inline would have taken."""
        return trio.current_time() + self._syncs * self.disk_seconds

    async def _run_blocking(self, work: Callable[[], None]) -> None:
        """As a thread would: it takes its time, and a cancellation waits for it."""
        with trio.CancelScope(shield=True):
            await trio.sleep(self.disk_seconds)
            await self._disk_free.wait()
        work()


class _Run:
    """What lasts from one start to its end."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.stop = trio.Event()
        self.ended = trio.Event()
        self.killed = False
        self.view: MemberView | None = None
        self.client: Client | None = None


class _Started(trio.TaskStatus[MemberView]):
    """Takes the view of a member that has started, and passes the news on."""

    def __init__(self, *, run: _Run, task_status: trio.TaskStatus[None]) -> None:
        self._run = run
        self._task_status = task_status
        self.called = False

    def started(self, value: MemberView | None = None) -> None:
        self.called = True
        self._run.view = value
        self._task_status.started()


class _Listening:
    """A `Network` on one host."""

    def __init__(self, host: MemoryHost) -> None:
        self._host = host

    async def listen(self, urls: Sequence[Url]) -> list[MemoryListener]:
        await trio.lowlevel.checkpoint()
        return [self._host.listen(str(url)) for url in urls]


def open_client(
    network: MemoryNetwork, endpoints: Sequence[str], random: Random
) -> AbstractAsyncContextManager[Client]:
    """`trioetcd.client.connect` over a network in memory, from a host called `client`."""
    dial = partial(_dial, network.host("client"))
    return connect(endpoints, open_stream=dial, random=random)


async def _dial(host: MemoryHost, endpoint: Endpoint) -> trio.abc.Stream:
    return await host.dial(endpoint.url)


def _is_death(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):
        return all(_is_death(one) for one in error.exceptions)
    return isinstance(error, _DEATH)
