"""The tree of tasks of a running member: what is in it, how it starts, and in which order it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.client import EtcdError
from trioetcd.config import Url
from trioetcd.frontend.listener import ClientListener
from trioetcd.http11 import ClientConnection
from trioetcd.node.service.context import ANYONE
from trioetcd.nursery_server import GRACE_SECONDS
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

LEVELS = (
    ("clients", ("ClientListener.run",)),
    ("upkeep", ("ReadLoop.run", "WatchResync.run", "Compactor.run", "Purge.run", "VersionMonitor.run")),
    ("peers", ("PeerListener.run", "Transport.run")),
    ("core", ("RaftDriver.run", "Applier.run", "_Tree._tick")),
)


class Endings(trio.abc.Instrument):
    """The names of the tasks that ended, in order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self.names.append(task.name)

    def of_level(self, names: tuple[str, ...]) -> list[int]:
        """When the tasks of a level ended."""
        return [when for when, name in enumerate(self.names) if name.endswith(names)]


@contextmanager
def endings() -> Iterator[Endings]:
    instrument = Endings()
    trio.lowlevel.add_instrument(instrument)
    try:
        yield instrument
    finally:
        trio.lowlevel.remove_instrument(instrument)


async def debug_tasks(cluster: MemoryCluster, member: MemoryMember, query: str = "") -> bytes:
    """What `/debug/tasks` of the member answers."""
    stream = await cluster.network.host("client").dial(member.client_url)
    connection = ClientConnection(stream, host=member.name)
    response = await connection.request("GET", f"/debug/tasks{query}", [], b"")
    await connection.aclose()
    assert response.status == 200
    return response.body


async def test_a_stop_ends_the_levels_from_the_inside_outwards(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        with endings() as ended:
            await cluster.members[0].stop()
        last_before = -1
        for level, names in LEVELS:
            when = ended.of_level(names)
            assert len(when) == len(names), f"all tasks of {level} have ended"
            assert min(when) > last_before, f"{level} ended when all that is inside it had"
            last_before = max(when)


async def test_a_stop_ends_streams_at_once_and_lets_requests_in_flight_have_a_moment(
    autojump_clock: MockClock,
) -> None:
    async with MemoryCluster(3) as cluster, trio.open_nursery() as nursery:
        leader = await cluster.wait_leader()
        outcomes: list[str] = []

        async def put() -> None:
            try:
                await leader.client.put("key", "value")
            except EtcdError as error:
                outcomes.append(type(error).__name__)
            else:
                outcomes.append("written")

        async def watch(*, task_status: trio.TaskStatus[None]) -> None:
            with suppress(EtcdError):
                async with leader.client.watch("other") as events:
                    task_status.started()
                    await anext(events)

        await nursery.start(watch)
        cluster.isolate(leader)
        nursery.start_soon(put)
        await trio.sleep(0.2)
        began = trio.current_time()
        await leader.stop()
        assert trio.current_time() - began == pytest.approx(GRACE_SECONDS, abs=1.2)
        await trio.sleep(0.1)
        assert outcomes == ["Unavailable"]
        nursery.cancel_scope.cancel()


async def test_a_stop_without_requests_takes_no_time(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        await member.client.put("key", "value")
        began = trio.current_time()
        await member.stop()
        assert trio.current_time() - began < 0.2


async def test_a_task_that_raises_takes_the_member_down_with_its_error(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        member.may_fail = True

        def broken(_: object, **__: object) -> None:
            raise RuntimeError("a bug in apply")

        member.parts.machine.apply = broken  # type: ignore[method-assign,assignment] # a bug, for once on purpose
        with pytest.raises(EtcdError):
            await member.client.put("key", "value")
        await member.wait_ended()
        assert isinstance(member.failure, ExceptionGroup)
        matched, rest = member.failure.split(RuntimeError)
        assert matched is not None
        assert rest is None
        await member.start()
        await cluster.wait_leader()
        assert (await member.client.get("key")).kvs[0].value == b"value", "it was in the log"


async def test_a_member_starts_again_after_a_cancellation(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        for number in range(3):
            await member.client.put(f"{number}", "value")
            await member.cancel()
            await member.start()
            await cluster.wait_leader()
        assert (await member.client.get("", prefix=True)).kvs[2].key == b"2"


async def test_no_task_of_a_member_is_left_behind(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        for member in cluster.members:
            await member.stop()
        remaining = {task.name for task in tasks_below(trio.lowlevel.current_root_task())}
        assert not [name for name in remaining if name.startswith(("trioetcd.node", "trioetcd.peer", "peer "))]


def tasks_below(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    if task is not None:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from tasks_below(child)


async def test_the_live_tree_names_every_task(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        member = cluster.members[0]
        text = (await debug_tasks(cluster, member)).decode()
        for _, names in LEVELS:
            for name in names:
                assert name in text
        for peer in cluster.members[1:]:
            assert f"peer {peer.id:x}" in text
        lines = orjson.loads(await debug_tasks(cluster, member, "?format=json"))
        assert {"depth", "name", "waits_at"} <= lines[0].keys()


async def test_every_client_listener_has_the_engine_of_the_flag(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[str] = []

    class Noted(ClientListener):
        def __init__(self, **given: Any) -> None:
            engines.append(given["engine"])
            super().__init__(**given)

    monkeypatch.setattr("trioetcd.nursery_server.ClientListener", Noted)
    metrics = (Url("http", "10.0.0.1", 2381),)
    async with MemoryCluster(1, http_engine="h11", listen_metrics_urls=metrics):
        assert engines == ["h11", "h11"]


async def test_an_address_that_is_taken_is_an_error_and_leaves_nothing_open(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, start=False) as cluster:
        (member,) = cluster.members
        other = cluster.network.host("other").listen(member.client_url)
        with pytest.raises(OSError, match="already in use"):
            await member.start()
        await other.aclose()
        await member.start()
        await cluster.wait_leader()


async def test_a_stop_during_a_start_of_a_cluster_without_a_leader(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, start=False) as cluster:
        (first, *_) = cluster.members
        await first.start()
        await first.services.maintenance.status(m.StatusRequest(), ANYONE)
        await first.stop()
        await cluster.start_all()
        await cluster.wait_leader()
