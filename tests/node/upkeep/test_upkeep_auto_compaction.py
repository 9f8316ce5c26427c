"""The schedule of automatic compaction, on a clock that a test moves, and over members of which one leads."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.config.auto_compaction import AutoCompaction, PeriodicCompaction, RevisionCompaction
from trioetcd.log import null_logger
from trioetcd.node.leadership import Leadership
from trioetcd.node.upkeep.auto_compaction import AutoCompactor
from trioetcd.raft.types import NO_NODE, StateType
from trioetcd.storage.internal_ops import HistoryExpired
from trioetcd.storage.requests import RaftRequest
from trioetcd.testing.cluster import MemoryCluster

MINUTE, HOUR = 60.0, 3600.0


class Rig:
    """A compactor over a store that gets one revision a second, and a log that notes what is asked and when."""

    def __init__(self, what: AutoCompaction, *, leads: bool = True) -> None:
        self.asked: list[tuple[float, int]] = []
        self.error: ApiError | None = None
        self.frozen: int | None = None
        self.leadership = Leadership(member_id=1, clock=trio.current_time)
        if leads:
            self.lead(1)
        rig = self

        class Store:
            @property
            def revision(self) -> int:
                return int(trio.current_time()) + 1 if rig.frozen is None else rig.frozen

        self.compactor = AutoCompactor(
            what=what,
            machine=SimpleNamespace(store=Store()),  # type: ignore[arg-type] # what the compactor asks of it
            leadership=self.leadership,
            proposals=self,  # type: ignore[arg-type] # as above
            log=null_logger(),
        )

    def lead(self, member: int) -> None:
        self.leadership.update(lead=member, state=StateType.FOLLOWER, term=1)

    async def submit(self, request: RaftRequest, *, bounded: bool) -> object:
        await trio.lowlevel.checkpoint()
        assert isinstance(request.op, HistoryExpired)
        assert not bounded
        self.asked.append((round(trio.current_time(), 3), request.op.revision))
        if self.error is not None:
            raise self.error
        return m.CompactionResponse()

    async def run_for(self, seconds: float) -> list[tuple[float, int]]:
        self.asked.clear()
        with trio.move_on_at(trio.current_time() + seconds):
            await trio.sleep_forever()
        return list(self.asked)


async def started(nursery: trio.Nursery, what: AutoCompaction, *, leads: bool = True) -> Rig:
    rig = Rig(what, leads=leads)
    await nursery.start(rig.compactor.run)
    return rig


async def test_a_short_period_is_compacted_each_period(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    rig = await started(nursery, PeriodicCompaction(5 * MINUTE))
    # A look is 30 s. The first time all of the period is kept, later on what was noted up to a look before it.
    assert await rig.run_for(15.5 * MINUTE) == [(300, 1), (600, 271), (900, 571)]


async def test_a_long_period_is_compacted_each_hour(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    rig = await started(nursery, PeriodicCompaction(10 * HOUR))
    asked = await rig.run_for(12.05 * HOUR)
    assert asked == [(10 * HOUR, 1), (11 * HOUR, 3241), (12 * HOUR, 6841)]


async def test_what_was_compacted_is_not_compacted_again(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    rig = await started(nursery, PeriodicCompaction(5 * MINUTE))
    rig.frozen = 1
    assert await rig.run_for(5.2 * MINUTE) == [(300, 1)]
    assert await rig.run_for(60 * MINUTE) == []
    rig.frozen = 9
    (asked,) = await rig.run_for(30 * MINUTE)
    assert asked[1] == 9


async def test_one_that_fails_is_tried_again_with_the_next_look(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    rig = await started(nursery, PeriodicCompaction(5 * MINUTE))
    rig.error = ApiError.of(ErrorKind.TIMEOUT)
    assert await rig.run_for(5.6 * MINUTE) == [(300, 1), (330, 1)]
    rig.error = ApiError.of(ErrorKind.COMPACTED)  # a client was faster: that is as good
    assert await rig.run_for(5 * MINUTE) == [(360, 31)]


async def test_a_follower_keeps_notes_and_compacts_once_it_leads(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    rig = await started(nursery, PeriodicCompaction(5 * MINUTE), leads=False)
    assert await rig.run_for(20.1 * MINUTE) == []
    rig.lead(1)
    assert await rig.run_for(MINUTE) == [(1230, 901)]
    rig.lead(NO_NODE)
    assert await rig.run_for(HOUR) == []


async def test_by_revision_it_looks_each_five_minutes(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    rig = await started(nursery, RevisionCompaction(400))
    assert await rig.run_for(15.1 * MINUTE) == [(600, 201), (900, 501)]
    rig.frozen = 901
    assert await rig.run_for(HOUR) == []


@pytest.mark.parametrize("what", [PeriodicCompaction(100.0), RevisionCompaction(4)])
async def test_a_cluster_is_compacted_by_its_leader_alone(autojump_clock: MockClock, what: AutoCompaction) -> None:
    async with MemoryCluster(3, auto_compaction=what) as cluster:
        for number in range(10):
            await cluster.client.put("key", f"{number}")
        await trio.sleep(301)
        await cluster.wait_converged()
        compacted = {member.parts.machine.store.compact_revision for member in cluster.members}
        assert compacted == {11 if isinstance(what, PeriodicCompaction) else 7}


async def test_it_goes_on_while_auth_is_on(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, auto_compaction=RevisionCompaction(4)) as cluster:
        for number in range(10):
            await cluster.client.put("key", f"{number}")
        machine = cluster.members[0].parts.machine
        for change in (
            m.AuthUserAddRequest(name="root", options=m.UserAddOptions(no_password=True)),
            m.AuthUserGrantRoleRequest(user="root", role="root"),
            m.AuthEnableRequest(),
        ):
            await cluster.members[0].parts.proposals.submit(RaftRequest(change))
        assert machine.auth.enabled
        await trio.sleep(301)
        assert machine.store.compact_revision == 7
