"""The quota's own decisions: when to look, what to refuse, when to raise the alarm."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.log import null_logger
from trioetcd.node.maintenance.quota import Quota
from trioetcd.storage.growth import growth_bytes
from trioetcd.storage.internal_ops import AlarmRaised
from trioetcd.storage.machine import Committed
from trioetcd.storage.requests import Proposal, RaftRequest

MEMBER = 7
ALARM = AlarmRaised(member_id=MEMBER, alarm=int(m.AlarmType.NOSPACE))
MEGABYTE = 1 << 20


class Machine:
    """A size, and alarms that stand as soon as they are proposed."""

    def __init__(self) -> None:
        self.size = 0
        self.looks = 0
        self.alarms = self
        self.raised: list[object] = []
        self.fails = False

    def size_bytes(self) -> int:
        self.looks += 1
        return self.size

    def is_raised(self, member_id: int, _alarm: int) -> bool:
        return member_id == MEMBER and bool(self.raised)

    async def submit(self, request: RaftRequest, *, bounded: bool) -> None:
        assert not bounded
        await trio.lowlevel.checkpoint()
        if self.fails:
            self.fails = False
            raise ApiError.of(ErrorKind.TIMEOUT)
        self.raised.append(request.op)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def make(machine: Any, limit_bytes: int | None, growth_max: int = 1000) -> Quota:
    return Quota(
        machine=machine,
        member_id=MEMBER,
        proposals=machine,
        limit_bytes=limit_bytes,
        request_growth_bytes_max=growth_max,
        log=null_logger(),
    )


def put(size: int = 100) -> m.PutRequest:
    return m.PutRequest(key=b"k", value=bytes(size))


def applied(*ops: object) -> list[Committed]:
    return [Committed(1, 1, Proposal(1, tuple(RaftRequest(op) for op in ops))), Committed(2, 1, None)]


def test_growth_is_what_etcd_says() -> None:
    one, two = m.RequestOp(request_put=put(1)), m.RequestOp(request_put=put(2))
    deletion = m.RequestOp(request_delete_range=m.DeleteRangeRequest(key=b"k"))
    assert growth_bytes(put(10)) == 256 + 1 + 10
    assert growth_bytes(m.LeaseGrantRequest(TTL=9)) == 64
    assert growth_bytes(m.TxnRequest(success=[one, two, deletion], failure=[two])) == 258 + 259
    assert growth_bytes(m.TxnRequest(success=[deletion], failure=[one])) == 258
    assert growth_bytes(m.TxnRequest(success=[deletion])) == 0
    assert growth_bytes(m.DeleteRangeRequest(key=b"k")) == 0


async def test_without_a_quota_nothing_is_asked(machine: Machine) -> None:
    quota = make(machine, None)
    quota.note_applied(applied(put()), 1 << 40)
    assert not quota.is_tight
    await quota.admit(put())
    assert machine.looks == 0


async def test_the_size_is_looked_at_when_enough_was_written(machine: Machine) -> None:
    quota = make(machine, 16 * MEGABYTE)
    assert machine.looks == 1
    quota.note_applied(applied(put()), MEGABYTE // 2)
    assert machine.looks == 1
    machine.size = 12 * MEGABYTE
    quota.note_applied(applied(put()), MEGABYTE // 2)
    assert machine.looks == 2
    assert not quota.is_tight
    machine.size = 16 * MEGABYTE - 70_000
    quota.note_applied(applied(put()), 4 * MEGABYTE)
    assert not quota.is_tight
    quota.note_applied(applied(put()), 65_000)
    assert not quota.is_tight, "no look was taken since"
    machine.size += 65_000
    quota.note_applied(applied(put()), 70_000)
    assert quota.is_tight


async def test_what_does_not_fit_is_refused_once_the_alarm_stands(machine: Machine) -> None:
    machine.size = 500
    quota = make(machine, 1000)
    assert quota.is_tight
    await quota.admit(put(100))  # 357 of 500
    for _ in range(2):
        with pytest.raises(ApiError) as refused:
            await quota.admit(put(243))  # 500 of 500
        assert refused.value == ApiError.of(ErrorKind.NO_SPACE)
    assert machine.raised == [ALARM]
    await quota.admit(m.DeleteRangeRequest(key=b"k"))
    machine.size = 0  # defragmented
    await quota.admit(put(243))


async def test_what_was_applied_raises_the_alarm_too(machine: Machine, nursery: trio.Nursery) -> None:
    quota = make(machine, 1000)
    nursery.start_soon(quota.run)
    machine.size = 1000
    quota.note_applied(applied(m.DeleteRangeRequest(key=b"k")), 70_000)
    await wait_all_tasks_blocked()
    assert machine.raised == [], "a deletion is not why there is no room"
    quota.note_applied(applied(m.DeleteRangeRequest(key=b"k"), put()), 70_000)
    quota.note_applied(applied(put()), 70_000)
    await wait_all_tasks_blocked()
    assert machine.raised == [ALARM]


async def test_an_alarm_that_was_not_raised_is_tried_again(
    machine: Machine, nursery: trio.Nursery, autojump_clock: object
) -> None:
    quota = make(machine, 1000)
    nursery.start_soon(quota.run)
    machine.size, machine.fails = 1000, True
    quota.note_applied(applied(put()), 70_000)
    await trio.sleep(1.5)
    assert machine.raised == [ALARM]


async def test_an_alarm_is_not_tried_again_when_there_is_room_by_then(
    machine: Machine, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """Without a quorum the attempts fail for long; an operator may have defragmented meanwhile."""
    quota = make(machine, 1000)
    nursery.start_soon(quota.run)
    machine.size, machine.fails = 1000, True
    quota.note_applied(applied(put()), 70_000)
    await wait_all_tasks_blocked()
    machine.size = 100
    await trio.sleep(1.5)
    assert machine.raised == []
