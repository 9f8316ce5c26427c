"""A member alone: what it does, what it keeps over a restart, and that no crash takes what it acknowledged."""

from __future__ import annotations

from itertools import count

import pytest
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.client import Compacted, LeaseNotFound, Unavailable, get_op, put_op, version_of
from trioetcd.storage.filesystem import DiskFailure
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.disk import CrashMode
from trioetcd.testing.member import MemoryMember


async def contents(member: MemoryMember) -> dict[bytes, bytes]:
    """All keys and values."""
    response = await member.client.get("", prefix=True)
    return {kv.key: kv.value for kv in response.kvs}


async def test_the_services_work_together(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        first = await member.client.put("a", "1")
        assert first.header is not None
        assert first.header.revision == 2
        response = await member.client.txn(
            compare=[version_of("a") == 1], success=[put_op("b", "2"), get_op("a")], failure=[]
        )
        assert response.succeeded
        assert (await member.client.delete("a")).deleted == 1
        assert await contents(member) == {b"b": b"2"}
        assert (await member.client.get("a", revision=2)).kvs[0].value == b"1"
        await member.client.compact(4, physical=True)
        with pytest.raises(Compacted):
            await member.client.get("a", revision=2)
        assert member.parts.machine.store.compaction.finished_revision == 4


async def test_a_lease_takes_its_keys_along(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        lease = await member.client.call(m.LeaseGrantRequest(TTL=60))
        await member.client.put("a", "1", lease=lease.ID)
        await member.client.put("b", "2", lease=lease.ID)
        await member.stop()
        await member.start()
        await cluster.wait_leader()
        await member.client.call(m.LeaseRevokeRequest(ID=lease.ID))
        assert await contents(member) == {}
        with pytest.raises(LeaseNotFound):
            await member.client.put("a", "1", lease=lease.ID)


async def test_a_restart_keeps_everything(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, snapshot_count=7, snapshot_catchup_entries=2) as cluster:
        (member,) = cluster.members
        for number in range(30):
            await member.client.put(f"{number % 5}", f"{number}")
        await member.client.compact(20, physical=True)
        before = await cluster.wait_converged()
        index = member.parts.applier.applied_index
        await member.stop()
        await member.start()
        assert member.parts.applier.applied_index == index
        assert member.digest() == before


async def test_a_full_disk_ends_the_member_and_takes_nothing_that_was_acknowledged(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, wal_segment_bytes=20_000) as cluster:
        (member,) = cluster.members
        member.may_fail = True
        member.filesystem.capacity_bytes = 50_000
        written = 0

        async def write_on() -> None:
            nonlocal written
            while True:
                await member.client.put(f"{written}", "v" * 500)
                written += 1

        with pytest.raises(Unavailable):
            await write_on()
        await member.wait_ended()
        assert isinstance(member.failure, ExceptionGroup)
        assert member.failure.subgroup(DiskFailure) is not None
        member.filesystem.capacity_bytes = None
        await member.start()
        await cluster.wait_leader()
        assert (await member.client.get("", prefix=True, count_only=True)).count in (written, written + 1)


@pytest.mark.parametrize("disk_seconds", [0.0, 0.02])
@pytest.mark.parametrize("mode", CrashMode)
async def test_a_crash_loses_no_acknowledged_write(
    autojump_clock: MockClock, mode: CrashMode, disk_seconds: float
) -> None:
    async with MemoryCluster(
        1, disk_seconds=disk_seconds, snapshot_count=8, snapshot_catchup_entries=2, wal_segment_bytes=4096
    ) as cluster:
        (member,) = cluster.members
        written: dict[bytes, bytes] = {}
        for round_ in range(4):
            for number in range(8):
                key, value = b"%d" % number, b"%d/%d" % (round_, number)
                await member.client.put(key, value)
                written[key] = value
            await member.kill(mode)
            await member.start()
            await cluster.wait_leader()
            assert await contents(member) == written


@pytest.mark.parametrize("mode", [CrashMode.DROP, CrashMode.TORN, CrashMode.ZEROED])
async def test_a_crash_before_any_operation_on_the_disk(autojump_clock: MockClock, mode: CrashMode) -> None:
    """Go off before the n-th operation for n = 1, 2, 3...: those of a start included, of which none may be a trap."""
    async with MemoryCluster(
        1, start=False, snapshot_count=4, snapshot_catchup_entries=1, wal_segment_bytes=4096
    ) as cluster:
        (member,) = cluster.members
        log = Acknowledged(member, mode)
        for distance in range(1, 60):
            await log.write_until_crash(distance)


class Acknowledged:
    """Writes one key until its member goes off, and knows what the key must be after that."""

    def __init__(self, member: MemoryMember, mode: CrashMode) -> None:
        self._member = member
        self._mode = mode
        self._operations_left = 0
        self._possible: set[bytes | None] = {None}
        member.before_operation = self._operation

    async def write_until_crash(self, distance: int) -> None:
        """Start, see that what was acknowledged is there, and write until `distance` operations are done."""
        self._operations_left = distance
        await self._member.start()
        if not self._member.is_running:
            return
        try:
            await self._read()
            for number in count():
                await self._write(b"%d/%d" % (distance, number))
        except Unavailable:
            assert not self._member.is_running
        await self._member.wait_ended()

    async def _read(self) -> None:
        """What was not acknowledged may be there or not, but what is seen once stays."""
        kvs = (await self._member.client.get("key")).kvs
        found = kvs[0].value if kvs else None
        assert found in self._possible
        self._possible = {found}

    async def _write(self, value: bytes) -> None:
        self._possible.add(value)
        await self._member.client.put("key", value)
        self._possible = {value}

    def _operation(self, _: str) -> None:
        self._operations_left -= 1
        if self._operations_left == 0:
            self._member.power_off(self._mode)
