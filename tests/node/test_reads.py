from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.leadership import Leadership
from trioetcd.node.parking import Signal
from trioetcd.node.reads import RETRY_SECONDS, ReadLoop
from trioetcd.raft.types import NO_NODE, ReadState, StateType

TIMEOUT_SECONDS = 7.0
SELF, OTHER = 1, 2


class Core:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def read_index(self, context: bytes) -> None:
        self.asked.append(context)


class Applied:
    """A state machine that is where a test says."""

    def __init__(self) -> None:
        self.applied_index = 0
        self.applied_term = 0
        self._moved = trio.Event()

    def move(self, index: int) -> None:
        self.applied_index = index
        self._moved.set()
        self._moved = trio.Event()

    async def wait_applied(self, index: int) -> None:
        while self.applied_index < index:
            await self._moved.wait()


class Rig:
    """A read loop between a core and a state machine that do as they are told."""

    def __init__(self, nursery: trio.Nursery, *, lone: bool = False) -> None:
        ids = count(1)
        self._nursery = nursery
        self.core = Core()
        self.applied = Applied()
        self.leadership = Leadership(member_id=SELF, clock=trio.current_time)
        self.outcomes: list[str] = []
        self.loop = ReadLoop(
            core=self.core,
            work=Signal(),
            leadership=self.leadership,
            applied=self.applied,
            next_id=lambda: next(ids),
            membership=SimpleNamespace(is_lone_voter=lone),
            timeout_seconds=TIMEOUT_SECONDS,
        )

    async def start(self) -> None:
        await self._nursery.start(self.loop.run)

    async def read(self, readers: int = 1) -> None:
        for _ in range(readers):
            self._nursery.start_soon(self._read)
        await wait_all_tasks_blocked()

    async def _read(self) -> None:
        try:
            await self.loop.wait_linearizable()
        except ApiError as error:
            self.outcomes.append(error.message)
        else:
            self.outcomes.append("may read")

    async def answer(self, index: int, context: bytes | None = None) -> None:
        self.loop.take([ReadState(index, self.core.asked[-1] if context is None else context)])
        await wait_all_tasks_blocked()


async def test_one_round_serves_all_who_asked_before_it_and_the_next_those_who_came_during_it(
    nursery: trio.Nursery,
) -> None:
    rig = Rig(nursery)
    await rig.start()
    await rig.read()
    await rig.read(3)
    assert len(rig.core.asked) == 1
    await rig.answer(0)
    assert rig.outcomes == ["may read"]
    assert len(rig.core.asked) == 2
    await rig.answer(0)
    assert rig.outcomes == ["may read"] * 4
    assert rig.loop.status().rounds == 2


async def test_a_burst_of_reads_that_is_coming_in_shares_one_round(nursery: trio.Nursery) -> None:
    rig = Rig(nursery)
    await rig.start()
    for _ in range(5):
        for _ in range(4):
            nursery.start_soon(rig._read)
        await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked()
    await rig.answer(0)
    assert rig.outcomes == ["may read"] * 20
    assert rig.loop.status().rounds == 1, "and none follows for nobody"


async def test_a_read_waits_until_its_index_is_applied(nursery: trio.Nursery) -> None:
    rig = Rig(nursery)
    await rig.start()
    await rig.read()
    await rig.answer(5)
    rig.applied.move(4)
    await wait_all_tasks_blocked()
    assert rig.outcomes == []
    rig.applied.move(5)
    await wait_all_tasks_blocked()
    assert rig.outcomes == ["may read"]


async def test_a_retry_has_a_new_id_and_an_answer_to_the_old_one_counts_for_nothing(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    await rig.start()
    nursery.start_soon(rig._read)
    await trio.sleep(RETRY_SECONDS + 0.1)
    first, second = rig.core.asked
    assert first != second
    rig.loop.take([ReadState(0, first)])
    await trio.sleep(0.1)
    assert rig.outcomes == []
    assert rig.loop.status().late_answers == 1
    rig.loop.take([ReadState(0, second)])
    await trio.sleep(0.1)
    assert rig.outcomes == ["may read"]


async def test_a_round_without_an_answer_times_out_and_the_next_is_served(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    await rig.start()
    nursery.start_soon(rig._read)
    await trio.sleep(TIMEOUT_SECONDS + 0.1)
    assert rig.outcomes == [ErrorKind.TIMEOUT.value[1]]
    nursery.start_soon(rig._read)
    await trio.sleep(0.1)
    rig.loop.take([ReadState(0, rig.core.asked[-1])])
    await trio.sleep(0.1)
    assert rig.outcomes == [ErrorKind.TIMEOUT.value[1], "may read"]


def elect(rig: Rig, lead: int, term: int) -> None:
    if rig.leadership.update(lead=lead, state=StateType.FOLLOWER, term=term):
        rig.loop.note_leader()


async def test_a_round_that_a_new_leader_interrupts_fails_with_leader_changed_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    elect(rig, OTHER, 2)
    await rig.start()
    nursery.start_soon(rig._read)
    await trio.sleep(0.1)
    elect(rig, NO_NODE, 2)
    await trio.sleep(0.1)
    assert rig.outcomes == []
    elect(rig, SELF, 3)
    rig.loop.take([ReadState(0, rig.core.asked[-1])])  # of the old leader, in the same round of the driver
    await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()
    assert rig.outcomes == [ErrorKind.LEADER_CHANGED.value[1]]
    assert trio.current_time() < 0.3


async def test_a_round_without_a_leader_asks_the_one_that_comes_at_once(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    rig = Rig(nursery)
    await rig.start()
    nursery.start_soon(rig._read)
    await trio.sleep(0.1)
    elect(rig, OTHER, 2)
    await trio.testing.wait_all_tasks_blocked()
    first, second = rig.core.asked
    await rig.answer(0, first)
    assert rig.outcomes == []
    await rig.answer(0, second)
    assert rig.outcomes == ["may read"]
    assert trio.current_time() < 0.2


@pytest.mark.parametrize(
    ("lone", "leads", "applied_term", "may_read"),
    [(True, True, 2, True), (True, False, 2, False), (False, True, 2, False), (True, True, 1, False)],
)
async def test_only_a_leader_that_is_the_only_voter_and_has_applied_of_its_term_reads_without_a_round(
    nursery: trio.Nursery, lone: bool, leads: bool, applied_term: int, may_read: bool
) -> None:
    rig = Rig(nursery, lone=lone)
    rig.applied.applied_term = applied_term
    if leads:
        rig.leadership.update(lead=SELF, state=StateType.LEADER, term=2)
    assert rig.loop.may_read_now is may_read
