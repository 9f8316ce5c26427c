"""What the driver tells the rest of the member of the core's state."""

from __future__ import annotations

from trio.testing import MockClock, wait_all_tasks_blocked

from trioetcd.raft.types import Message, MessageType
from trioetcd.testing.cluster import MemoryCluster


async def test_a_term_that_moves_under_the_same_leader_is_noticed(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        leader = await cluster.wait_leader()
        follower = next(one for one in cluster.members if one is not leader)
        await cluster.wait_converged()
        term = follower.parts.leadership.term + 1
        cluster.network.partition(follower.name, leader.name)
        message = Message(MessageType.HEARTBEAT, to=follower.id, from_=leader.id, term=term)
        follower.parts.driver.step([message])
        await wait_all_tasks_blocked()
        status = follower.parts.leadership.status()
        assert (status.lead, status.term) == (leader.id, term)
