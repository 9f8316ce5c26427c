"""A whole cluster in one process, on a clock, disks and a network that a test controls.

    async def test_a_leader_is_replaced(autojump_clock):
        async with MemoryCluster(3) as cluster:
            await cluster.client.put("key", "value")
            await (await cluster.wait_leader()).kill()
            assert (await cluster.client.get("key")).kvs[0].value == b"value"

Every member is the production tree (`nursery_server.run_member`), down to its listeners and up from its log. What is
simulated is what lies outside: machines (`testing.member`), disks (`testing.disk`, `testing.engines`), the network
(`testing.network`), the clock (Trio's, so `trio.testing.MockClock(autojump_threshold=0)` makes hours pass in seconds).
`simulation.simulate` runs a function on such a clock and with a seeded scheduler, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar

import trio

from trioetcd.api import messages as m
from trioetcd.api.errors import ErrorKind
from trioetcd.client import Client, EtcdError
from trioetcd.config import InitialMember, MemberConfig, Url, parse_url
from trioetcd.log import Logger
from trioetcd.testing.member import MemoryMember, open_client
from trioetcd.testing.network import MemoryNetwork

T = TypeVar("T")

_PEER_PORT, _CLIENT_PORT = 2380, 2379
_LOOK_SECONDS = 0.05

# What a change of the members is refused with for the time being.
_NOT_YET = {
    kind.value[1] for kind in (ErrorKind.UNHEALTHY, ErrorKind.LEARNER_NOT_READY, ErrorKind.MEMBER_NOT_ENOUGH_STARTED)
}


class MemoryCluster:
    """`async with MemoryCluster(3, seed=7, snapshot_count=10) as cluster:` starts all members and waits for a leader.

    Keyword arguments that are not named here are those of `MemberConfig`, for every member. `disk_seconds` is how long
    a sync takes: from 0.02 on the log is synced as on a slow disk, in a "thread". Members are named m0, m1, ...; so
    are their hosts on `network`, and clients dial from a host called `client`. All members end with the block, at once.

    Members are added and removed, as clients do it, by `add_member` and its neighbours.

    Attributes:
        members: a `MemoryMember` each, running or not.
        client: a `trioetcd.client.Client` that knows the first of them.
        network: cut it with `partition`, mend it with `heal`.
    """

    members: Sequence[MemoryMember]
    client: Client

    def __init__(
        self,
        size: int = 3,
        *,
        seed: int = 0,
        disk_seconds: float = 0.0,
        wal_segment_bytes: int = 4_000_000,
        log: Logger | None = None,
        start: bool = True,
        **overrides: Any,
    ) -> None:
        self.network = MemoryNetwork()
        self.members = ()
        self._random = Random(f"{seed} cluster")  # noqa: S311 # a test's chance, that a seed repeats
        self._seed = seed
        self._size = size
        self._disk_seconds = disk_seconds
        self._wal_segment_bytes = wal_segment_bytes
        self._log = log
        self._start = start
        self._overrides = overrides
        self._running: AbstractAsyncContextManager[None] = self._run()

    async def __aenter__(self) -> Self:
        await self._running.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._running.__aexit__(kind, error, traceback)

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self.members = tuple(self._make_member(self._config(number)) for number in range(self._size))
            async with open_client(self.network, [one.client_url for one in self.members], self._random) as self.client:
                if self._start:
                    await self.start_all()
                    await self.wait_leader()
                yield
            nursery.cancel_scope.cancel()

    def _make_member(self, config: MemberConfig) -> MemoryMember:
        name = config.name
        return MemoryMember(
            config=config,
            network=self.network,
            nursery=self._nursery,
            random=Random(f"{self._seed} {name}"),  # noqa: S311 # as above
            disk_seconds=self._disk_seconds,
            wal_segment_bytes=self._wal_segment_bytes,
            log=None if self._log is None else self._log.bind(logger=name),
        )

    def _config(self, number: int, **joining: Any) -> MemberConfig:
        peer_urls = (_peer_url(number),)
        client_urls = (Url("http", _host(number), _CLIENT_PORT),)
        settings: dict[str, Any] = {
            "name": f"m{number}",
            "data_dir": Path("/data"),
            "listen_peer_urls": peer_urls,
            "initial_advertise_peer_urls": peer_urls,
            "listen_client_urls": client_urls,
            "advertise_client_urls": client_urls,
            "initial_cluster": tuple(InitialMember(f"m{one}", (_peer_url(one),)) for one in range(self._size)),
        }
        return MemberConfig(**settings | self._overrides | joining)

    # -- who is in it

    async def add_member(self, *, is_learner: bool = False, through: Client | None = None) -> MemoryMember:
        """Add a member and start it; it runs when this returns, and may have nothing of the log yet.

        Waits until the cluster is healthy enough to take one. `through` is whom to ask, by default any member.
        """
        member = self.new_member(await self.call_member_add(is_learner=is_learner, through=through))
        await member.start()
        return member

    async def call_member_add(self, *, is_learner: bool = False, through: Client | None = None) -> m.MemberAddResponse:
        """Have the next member, m<number>, added to the cluster, as a client would; then `new_member` makes it."""
        request = m.MemberAddRequest(peerURLs=[str(_peer_url(self._size))], isLearner=is_learner)
        return await self._when_healthy(lambda: (through or self.client).call(request))

    def new_member(self, added: m.MemberAddResponse) -> MemoryMember:
        """The member that was added, on a new machine, configured to join and not started."""
        initial = tuple(
            InitialMember(one.name or f"unnamed-{one.ID:x}", tuple(map(parse_url, one.peerURLs)))
            for one in added.members
            if added.member is not None and one.ID != added.member.ID
        )
        name = f"m{self._size}"
        initial += (InitialMember(name, (_peer_url(self._size),)),)
        config = self._config(self._size, initial_cluster=initial, initial_cluster_state="existing")
        self._size += 1
        member = self._make_member(config)
        self.members = (*self.members, member)
        return member

    async def promote_member(self, member: MemoryMember, *, through: Client | None = None) -> None:
        """Make a learner a voter, as soon as it has enough of the log."""
        request = m.MemberPromoteRequest(ID=member.id)
        await self._when_healthy(lambda: (through or self.client).call(request))

    async def remove_member(self, member: MemoryMember, *, through: Client | None = None) -> None:
        """Remove a member for ever and wait until it has ended; it is none of `members` any more."""
        request = m.MemberRemoveRequest(ID=member.id)
        await self._when_healthy(lambda: (through or self.client).call(request))
        self.members = tuple(one for one in self.members if one is not member)
        await member.wait_ended()

    @staticmethod
    async def _when_healthy(call: Callable[[], Awaitable[T]]) -> T:
        """Call until the cluster is healthy, and learners ready, for it; AssertionError when that takes 30 seconds."""
        with trio.move_on_after(30.0):
            while True:
                try:
                    return await call()
                except EtcdError as error:
                    if error.message not in _NOT_YET:
                        raise
                await trio.sleep(_LOOK_SECONDS)
        raise AssertionError("the cluster was not healthy enough for the change within 30 s")

    # -- all of them

    @property
    def running(self) -> list[MemoryMember]:
        """The members that run."""
        return [member for member in self.members if member.is_running]

    def leader(self) -> MemoryMember | None:
        """The running member that leads in the newest term, if one does."""
        leaders = [member for member in self.running if member.is_leader]
        return max(leaders, key=lambda member: member.parts.leadership.term, default=None)

    async def start_all(self) -> None:
        """Start every member that does not run."""
        async with trio.open_nursery() as nursery:
            for member in self.members:
                if member.is_down:
                    nursery.start_soon(member.start)

    async def wait_leader(self, *, timeout_seconds: float = 30.0) -> MemoryMember:
        """Wait until most voters follow one leader, and return it; AssertionError when that takes too long."""

        def followed() -> MemoryMember | None:
            leader = self.leader()
            if leader is None:
                return None
            voters = leader.parts.machine.applied.conf_state.voters
            following = {one.id for one in self.running if one.parts.leadership.lead == leader.id}
            return leader if len(following.intersection(voters)) > len(voters) // 2 else None

        return await self.wait_for(followed, "a leader that most members follow", timeout_seconds=timeout_seconds)

    async def wait_converged(self, *, timeout_seconds: float = 60.0) -> str:
        """Wait until all running members have applied all that the leader has; return the digest, the same on all.

        AssertionError when it takes too long, and when members that have applied the same differ.
        """
        await self.wait_for(self._is_level, "members that have applied the same", timeout_seconds=timeout_seconds)
        digests = {member.name: member.digest() for member in self.running}
        assert len(set(digests.values())) == 1, f"members that have applied the same log differ: {digests}"
        return digests.popitem()[1]

    async def wait_for(self, look: Callable[[], T | None], what: str, *, timeout_seconds: float = 30.0) -> T:
        """Look every 50 virtual milliseconds until what comes is true, and return it; AssertionError if nothing is."""
        with trio.move_on_after(timeout_seconds):
            while not (seen := look()):  # noqa: ASYNC110 # no event tells of all that may be looked at
                await trio.sleep(_LOOK_SECONDS)
            return seen
        raise AssertionError(f"waited {timeout_seconds} s for {what} in vain: {self.describe()}")

    def describe(self) -> str:
        """Where every member is, in one line."""
        return "; ".join(_describe(member) for member in self.members)

    def partition(self, one_side: Sequence[int], other_side: Sequence[int], *, one_way: bool = False) -> None:
        """Let nothing through between two groups of members, by number; `one_way`: nothing from first to second."""
        for here in one_side:
            for there in other_side:
                self.network.partition(f"m{here}", f"m{there}", one_way=one_way)

    def isolate(self, member: MemoryMember) -> None:
        """Cut a member off from all others; clients still reach it."""
        for other in self.members:
            if other is not member:
                self.network.partition(member.name, other.name)

    def heal(self) -> None:
        """Undo all partitions."""
        self.network.heal()

    def _is_level(self) -> bool:
        leader = self.leader()
        if leader is None:
            return False
        last_index = leader.parts.driver.status().last_index
        return all(member.parts.applier.applied_index == last_index for member in self.running)


def _host(number: int) -> str:
    return f"10.0.0.{number + 1}"


def _peer_url(number: int) -> Url:
    return Url("http", _host(number), _PEER_PORT)


def _describe(member: MemoryMember) -> str:
    if not member.is_running:
        return f"{member.name} is down"
    driver, applied = member.parts.driver.status(), member.parts.applier.applied_index
    role = "leads" if member.is_leader else f"follows {member.parts.leadership.lead:x}"
    return (
        f"{member.name} ({member.id:x}) {role} in term {driver.term}, "
        f"log {driver.last_index}, commit {driver.commit}, applied {applied}"
    )
