"""A leader whose process is gone is not waited for.

An election timeout stands for "nobody has heard of the leader". Where the leader's own machine answers that nobody
listens at its address any more, and none of its streams is left, there is nothing to wait for. The follower then
forgets it, so that the pre-votes of others find no lease here (etcd-raft's ForgetLeader is for such a detector of
failures), and campaigns itself, after a moment drawn by chance so that two followers seldom do it together.

A view that is wrong disturbs nobody: the campaign begins with a pre-vote, which members that hear from the leader
refuse, and the next heartbeat makes this member follow again. A leader that is heard after it was found gone, in the
same term, only has an address that leads nowhere from here (it posts its messages instead): for the rest of that term
it is waited for. Safety does not rest on time in Raft; and without pre-votes, where such a campaign would end a term,
the election timeout is waited for as ever.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random
from typing import Final, Protocol

import trio

from trioetcd.log import Logger
from trioetcd.node.leadership import Leadership
from trioetcd.node.parking import Signal
from trioetcd.raft.types import NO_NODE

CHANCE_HEARTBEATS: Final = (3, 6)
"""How long a campaign is left alone, at least and at most: it takes two round trips and two syncs, and a heartbeat
interval is to be a round trip at least. A next one would take back what was asked for. Drawn by chance, as two
followers that campaigned together are to do so once only."""


class Campaigner(Protocol):
    """The core, as far as this needs it."""

    def forget_leader(self) -> None:
        """Follow nobody, until somebody is heard who leads."""

    def campaign(self) -> None:
        """Campaign now, if this member may."""


class GoneLeader:
    """Hears that peers are gone, and acts when it is the leader.

    Attempts follow each other as the peer is found gone again, for one election timeout; then the core's own follow.
    """

    def __init__(
        self,
        *,
        driver: Campaigner,
        leadership: Leadership,
        random: Random,
        clock: Callable[[], float],
        pre_vote: bool,
        heartbeat_seconds: float,
        election_seconds: float,
        log: Logger,
    ) -> None:
        self._driver = driver
        self._leadership = leadership
        self._random = random
        self._clock = clock
        self._pre_vote = pre_vote
        self._heartbeat_seconds = heartbeat_seconds
        self._election_seconds = election_seconds
        self._log = log
        self._gone = (NO_NODE, 0)  # a leader, and its term
        self._until = -math.inf
        self._due = Signal()

    def note(self, member_id: int) -> None:
        """A peer is gone: its address refuses connections, and no stream from it stands."""
        lead = self._leadership.lead
        if self._pre_vote and lead == member_id:
            leader_of_term = (lead, self._leadership.term)
            if self._gone == leader_of_term:
                return  # it was heard since
            self._log.info("the leader is gone, its address refuses connections", leader=f"{member_id:x}")
            self._gone = leader_of_term
            self._until = self._clock() + self._election_seconds
            self._driver.forget_leader()
        elif lead != NO_NODE or self._gone[0] != member_id:
            return
        self._due.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Campaign for a leader that is gone, until cancelled."""
        task_status.started()
        while True:
            await self._due.wait()
            await trio.sleep(self._random.uniform(0, self._heartbeat_seconds))
            if not self._leadership.has_leader and self._clock() < self._until:
                self._driver.campaign()
                await trio.sleep(self._random.uniform(*CHANCE_HEARTBEATS) * self._heartbeat_seconds)
