"""A member that is the whole cluster goes ahead while its disk writes, and nobody sees anything before that is done."""

from __future__ import annotations

from random import Random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trioetcd.api import messages as m
from trioetcd.node.service.context import CallContext
from trioetcd.storage.filesystem import DiskFailure
from trioetcd.storage.requests import RaftRequest
from trioetcd.storage.schema import POSITION
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode
from trioetcd.testing.member import MemoryMember


class Asking:
    """Who waits for a write, without a task. A `Waiter`."""

    def __init__(self) -> None:
        self.is_waiting = True
        self.result: object = None

    def wake(self, value: object) -> None:
        self.is_waiting, self.result = False, value

    def fail(self, error: Exception) -> None:
        self.is_waiting, self.result = False, error


def ask(member: MemoryMember, value: bytes) -> Asking:
    """Hand a write over, as a front end does in the turn in which it was received."""
    asking = Asking()
    member.parts.proposals.enqueue(RaftRequest(m.PutRequest(key=b"k", value=value)), asking)
    return asking


def revision_of(asking: Asking) -> int:
    assert isinstance(asking.result, m.PutResponse)
    assert asking.result.header is not None
    return asking.result.header.revision


async def test_a_write_is_done_in_the_turn_in_which_it_came(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        first, second = ask(member, b"1"), ask(member, b"2")
        member.parts.driver.run_alone()
        assert (revision_of(first), revision_of(second)) == (2, 3)
        rounds = member.parts.driver.status().rounds
        member.parts.driver.run_alone()  # nothing waits any more
        await wait_all_tasks_blocked()
        assert member.parts.driver.status().rounds == rounds
        assert (await member.client.get("k")).kvs[0].value == b"2"


async def test_nobody_is_told_before_the_log_has_it(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        asking = ask(member, b"1")
        machine = member.parts.machine
        saved = machine.engine.get(POSITION)
        while_syncing: list[tuple[int, bool, bool]] = []

        def look(operation: str) -> None:
            if operation.startswith("sync "):
                is_saved = machine.engine.get(POSITION) != saved
                while_syncing.append((machine.store.revision, asking.is_waiting, is_saved))

        member.before_operation = look
        member.parts.driver.run_alone()
        member.before_operation = None
        assert while_syncing == [(2, True, False)], "one sync; memory is ahead, the engine is not, and nobody knows"
        assert revision_of(asking) == 2
        assert machine.engine.get(POSITION) != saved


async def test_what_a_sync_failed_to_save_is_seen_by_nobody(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        member.may_fail = True
        await member.client.put("k", "old")
        kv, machine, hub = member.services.kv, member.parts.machine, member.parts.machine.watch_hub
        asking = ask(member, b"new")
        member.filesystem.fail_sync()
        with pytest.raises(DiskFailure):
            member.parts.driver.run_alone()
        assert asking.is_waiting, "the write is not acknowledged, and its failure is not known either"
        for look in (lambda: machine.store.revision, machine.digest, lambda: hub.store.revision):
            with pytest.raises(DiskFailure):
                look()
        with pytest.raises(DiskFailure):
            await kv.range(m.RangeRequest(key=b"k", serializable=True), CallContext())
        with pytest.raises(DiskFailure):
            machine.apply([])
        await member.wait_ended()
        assert isinstance(member.failure, ExceptionGroup)
        assert member.failure.subgroup(DiskFailure) is not None
        member.filesystem.crash(Random(0), CrashMode.DROP)  # else its cache would still have what never arrived
        member.engines.crash(CrashMode.DROP)
        await member.start()
        await cluster.wait_leader()
        assert (await member.client.get("k")).kvs[0].value == b"old"


@pytest.mark.parametrize("is_written", [False, True], ids=["write fails", "sync fails"])
async def test_after_a_round_that_failed_the_disk_is_all_that_is_complained_of(
    autojump_clock: MockClock, *, is_written: bool
) -> None:
    """Whoever ran the round may still be on the way out when somebody proposes something: no other round begins."""
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        member.may_fail = True
        failed = ask(member, b"1")
        if is_written:
            member.filesystem.fail_sync()
        else:
            member.filesystem.capacity_bytes = 1
        with pytest.raises(DiskFailure):
            member.parts.driver.run_alone()
        member.filesystem.capacity_bytes = None
        late = ask(member, b"2")
        member.parts.driver.run_alone()
        await member.wait_ended()
        assert isinstance(member.failure, ExceptionGroup)
        _, others = member.failure.split(DiskFailure)
        assert others is None
        assert failed.is_waiting
        assert late.is_waiting


async def test_who_is_woken_by_a_round_begins_no_other_within_it(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members

        class AskingOn(Asking):
            def wake(self, value: object) -> None:
                super().wake(value)
                self.next = ask(member, b"2")
                member.parts.driver.run_alone()

        asking = AskingOn()
        member.parts.proposals.enqueue(RaftRequest(m.PutRequest(key=b"k", value=b"1")), asking)
        member.parts.driver.run_alone()
        assert revision_of(asking) == 2
        assert asking.next.is_waiting
        await wait_all_tasks_blocked()
        assert revision_of(asking.next) == 3


@pytest.mark.parametrize(("size", "disk_seconds"), [(1, 0.02), (3, 0.0)], ids=["slow disk", "three members"])
async def test_where_something_is_to_be_waited_for_it_is_left_to_the_task(
    autojump_clock: MockClock, size: int, disk_seconds: float
) -> None:
    async with MemoryCluster(size, disk_seconds=disk_seconds) as cluster:
        leader = await cluster.wait_leader()
        asking = ask(leader, b"1")
        leader.parts.driver.run_alone()
        assert asking.is_waiting
        await trio.sleep(1)
        assert revision_of(asking) == 2


async def test_a_member_with_a_learner_is_not_alone(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        assert member.parts.membership.is_alone
        await cluster.add_member(is_learner=True)
        assert member.parts.membership.is_lone_voter
        assert not member.parts.membership.is_alone
        asking = ask(member, b"1")
        member.parts.driver.run_alone()
        assert asking.is_waiting
        await trio.sleep(1)
        assert not asking.is_waiting


async def test_while_the_task_waits_for_a_sync_nobody_else_runs_a_round(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, disk_seconds=0.02) as cluster:
        (member,) = cluster.members
        member.stall_disk()
        first = ask(member, b"1")
        await wait_all_tasks_blocked()
        assert first.is_waiting
        member.disk_seconds = 0.0
        second = ask(member, b"2")
        member.parts.driver.run_alone()
        assert second.is_waiting
        member.release_disk()
        await trio.sleep(1)
        assert (revision_of(first), revision_of(second)) == (2, 3)


async def test_before_an_election_a_write_waits(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, start=False) as cluster:
        (member,) = cluster.members
        await member.start()
        assert not member.is_leader
        asking = ask(member, b"1")
        member.parts.driver.run_alone()
        assert asking.is_waiting
        await cluster.wait_leader()
        await wait_all_tasks_blocked()
        assert revision_of(asking) == 2
