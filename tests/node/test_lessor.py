"""The leader's clock of leases, moved by hand: expiry, keeping alive, promotion, checkpoints, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from trioetcd.api import messages as m
from trioetcd.node.leadership import Leadership
from trioetcd.node.lessor import RETRY_SECONDS, Lessor
from trioetcd.raft.types import NO_NODE, StateType
from trioetcd.storage.internal_ops import LeaseExpired, LeasesRemaining
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.storage.requests import Proposal, RaftRequest

SELF, OTHER = 1, 2
EXTENSION = 1.0
INTERVAL = 300.0


class World:
    """A state machine, who leads, and a lessor on a clock."""

    def __init__(self, *, checkpoints: bool = False) -> None:
        self.now = 100.0
        self.term = 1
        self.machine = StateMachine.open(engine=MemoryEngine())
        self.leadership = Leadership(member_id=SELF, clock=lambda: self.now)
        self.lessor = Lessor(
            machine=self.machine,
            leadership=self.leadership,
            clock=lambda: self.now,
            extension_seconds=EXTENSION,
            checkpoint_interval_seconds=INTERVAL if checkpoints else None,
        )

    def lead(self, member_id: int = SELF) -> None:
        self.term += 1
        state = StateType.LEADER if member_id == SELF else StateType.FOLLOWER
        self.leadership.update(lead=member_id, state=state, term=self.term)
        assert self.lessor.term == (self.term if member_id == SELF else None)  # noticed when it is asked, as by upkeep

    def do(self, *ops: object) -> Sequence[object]:
        index = self.machine.applied.index + 1
        proposal = Proposal(index, tuple(RaftRequest(op) for op in ops))
        results: list[object] = []
        self.machine.apply([Committed(index, self.term, proposal)], tell=lambda _, found: results.extend(found))
        return results

    def grant(self, lease_id: int, ttl: int) -> None:
        self.do(m.LeaseGrantRequest(ID=lease_id, TTL=ttl))

    def revoke(self, lease_id: int) -> None:
        self.do(LeaseExpired(term=self.term, lease_id=lease_id))

    def expired(self, limit: int = 500) -> list[int]:
        return [lease.id for lease in self.lessor.take_expired(limit)]

    def remaining(self, lease_id: int) -> float:
        timer = self.lessor.find(lease_id)
        assert timer is not None
        return self.lessor.remaining_seconds(timer)

    def renew(self, lease_id: int) -> int:
        timer = self.lessor.find(lease_id)
        assert timer is not None
        return self.lessor.renew(timer)

    def record(self) -> list[tuple[int, int]]:
        """Take what is to be recorded, and apply it."""
        taken = self.lessor.take_checkpoints(500)
        self.do(LeasesRemaining(term=self.term, checkpoints=taken))
        return [(one.ID, one.remaining_TTL) for one in taken]


@pytest.fixture
def world() -> World:
    world = World()
    world.lead()
    return world


def test_a_lease_is_due_when_its_time_is_over_and_again_while_it_is_there(world: World) -> None:
    world.grant(1, 10)
    world.now += 9.9
    assert world.expired() == []
    world.now += 0.1
    assert world.expired() == [1]
    assert world.expired() == []
    world.now += RETRY_SECONDS
    assert world.expired() == [1]
    world.revoke(1)
    world.now += RETRY_SECONDS
    assert world.expired() == []


def test_keeping_alive_moves_the_end(world: World) -> None:
    world.grant(1, 10)
    for _ in range(5):
        world.now += 9
        assert world.renew(1) == 10
        assert world.expired() == []
    world.now += 9.9
    assert world.expired() == []
    world.now += 0.1
    assert world.expired() == [1]


def test_one_look_takes_no_more_than_it_may(world: World) -> None:
    for number in range(1, 6):
        world.grant(number, 10)
    world.now += 10
    assert [world.expired(2), world.expired(2), world.expired(2)] == [[1, 2], [3, 4], [5]]


def test_only_the_leader_has_times(world: World) -> None:
    world.grant(1, 10)
    world.lead(OTHER)
    world.now += 100
    assert world.expired() == []
    assert world.lessor.find(1) is None
    world.lead(NO_NODE)
    assert world.expired() == []


def test_a_new_leader_gives_every_lease_its_time_again_and_an_election_more(world: World) -> None:
    world.lead(OTHER)
    world.grant(1, 10)
    world.now += 1000
    world.lead()
    assert world.remaining(1) == 10  # the extension is not told
    world.now += 10.5
    assert world.remaining(1) == 0.5
    assert world.expired() == []
    world.now += 0.5
    assert world.expired() == [1]


def test_leading_again_in_another_term_is_a_new_beginning(world: World) -> None:
    world.grant(1, 10)
    world.now += 9
    world.lead()  # nobody heard of another leader in between
    world.now += 9
    assert world.expired() == []
    assert world.remaining(1) == 2


def test_of_a_state_that_is_sealed_nothing_is_told_however_often_it_is_asked(world: World) -> None:
    """That a lease is gone would be a lie: it is there after a restart."""
    world.grant(1, 10)

    def lose() -> None:
        raise OSError("the disk broke")

    with pytest.raises(OSError, match="the disk broke"):
        world.machine.apply([Committed(world.machine.applied.index + 1, world.term, None)], before_telling=lose)
    for _ in range(2):
        with pytest.raises(OSError, match="the disk broke"):
            world.lessor.find(1)
        with pytest.raises(OSError, match="the disk broke"):
            world.lessor.lease_ids()


def test_a_thousand_leases_and_more_do_not_end_at_once_after_a_promotion(world: World) -> None:
    world.lead(OTHER)
    for number in range(1, 3001):
        world.grant(number, 10)
    world.lead()
    world.now += 10 + EXTENSION
    due = 0
    for _ in range(8):
        taken = world.expired()
        assert len(taken) <= 376
        due += len(taken)
        world.do(*(LeaseExpired(term=world.term, lease_id=one) for one in taken))
        world.now += 0.5
    assert 2600 < due < 2650


def test_leases_are_listed_by_their_end_where_that_is_known(world: World) -> None:
    for lease_id, ttl in ((1, 60), (2, 5), (-7, 50), (4, 5)):
        world.grant(lease_id, ttl)
    assert world.lessor.lease_ids() == [2, 4, -7, 1]
    world.renew(2)
    world.now += 1
    world.renew(2)
    assert world.lessor.lease_ids() == [4, 2, -7, 1]
    world.lead(OTHER)
    assert world.lessor.lease_ids() == [1, 2, -7, 4]


async def test_who_waits_for_the_end_is_told_of_it_and_of_the_end_of_leadership(
    world: World, autojump_clock: MockClock
) -> None:
    world.grant(1, 10)
    world.grant(2, 10)
    told: list[int] = []

    async def wait(lease_id: int) -> None:
        timer = world.lessor.find(lease_id)
        assert timer is not None
        await world.lessor.wait_gone(timer)
        told.append(lease_id)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, 1)
        nursery.start_soon(wait, 2)
        await wait_all_tasks_blocked()
        world.revoke(1)
        await wait_all_tasks_blocked()
        assert told == [1]
        world.lead(OTHER)
    assert told == [1, 2]


def test_what_is_left_is_recorded_and_the_next_leader_goes_on_from_there() -> None:
    world = World(checkpoints=True)
    world.lead()
    world.grant(1, 1000)
    world.grant(2, 299)  # ends before a checkpoint would be due
    world.now += 299
    assert world.record() == []
    world.now += 1.5
    assert world.record() == [(1, 700)]  # 699.5, rounded up
    world.lead(OTHER)
    world.now += 5
    world.lead()
    assert world.remaining(1) == 701
    world.now += 700
    assert world.expired() == [2]
    world.now += 1
    assert world.expired() == [1]


def test_a_lease_that_is_kept_alive_goes_on_being_recorded() -> None:
    world = World(checkpoints=True)
    world.lead()
    world.grant(1, 1000)
    for _ in range(3):
        world.now += 100
        world.renew(1)
    assert world.record() == []  # it has its whole time
    world.now += INTERVAL
    assert world.record() == [(1, 700)]
    world.now += INTERVAL
    assert world.record() == [(1, 400)]
    timer = world.lessor.find(1)
    assert timer is not None
    assert timer.checkpointed
    timer.clearing += 1  # a keep-alive is about to take it back
    world.now += INTERVAL
    assert world.record() == []


def test_without_checkpoints_nothing_is_recorded(world: World) -> None:
    world.grant(1, 1000)
    world.now += 900
    assert world.record() == []


def test_many_leases_that_come_and_go_leave_nothing_behind(world: World) -> None:
    for number in range(1, 20_001):
        world.grant(number, 9_000_000_000)
        world.do(m.LeaseRevokeRequest(ID=number))
    assert len(world.lessor._expiries) < 2000  # the heap has no other face
    status = world.lessor.status()
    assert (status.granted, status.revoked, status.leases, status.expired) == (20_000, 20_000, 0, 0)
