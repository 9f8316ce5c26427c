"""Who makes things happen: clients, operators and misfortune; and in the end whoever repairs it all."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from random import Random
from typing import TYPE_CHECKING

from tests.raft.simulate.faults import MEMBERS_MAX, TICK, Plan
from tests.raft.simulate.network import Network
from tests.raft.simulate.node import Node
from trioetcd.raft import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)

if TYPE_CHECKING:
    from tests.raft.simulate.world import World

_VOTERS_MAX = 5
_PROBE_EVERY_TICKS = 5


class Actors:
    """Each of them acts at random intervals, by its own chance, until the group is healed."""

    def __init__(self, *, world: World, network: Network, plan: Plan) -> None:
        self._world = world
        self._network = network
        self._plan = plan
        self._proposed = 0

    def begin(self) -> None:
        """Start all that this run's plan has."""
        plan = self._plan
        table: tuple[tuple[str, float, Callable[[Random], None]], ...] = (
            ("proposals", plan.proposals, self._propose),
            ("reads", plan.reads, self._read),
            ("crashes", plan.crashes, self._crash),
            ("partitions", plan.partitions, self._partition),
            ("one way", plan.one_way, self._cut_one_way),
            ("pauses", plan.pauses, self._pause),
            ("membership", plan.membership, self._change_members),
            ("transfers", plan.transfers, self._transfer),
            ("forgets", plan.forgets, self._forget_leader),
            ("campaigns", plan.campaigns, self._campaign),
            ("compactions", plan.compactions, self._compact),
        )
        for name, rate, act in table:
            if rate:
                self._again(rate / TICK, act, self._world.chance.of(name))
        clocks = self._world.chance.of("clocks")
        for node in self._world.nodes.values():
            node.tick_length = round(TICK * (1 + self._plan.clock_drift * clocks.uniform(-1, 1)))

    def _again(self, rate: float, act: Callable[[Random], None], chance: Random) -> None:
        self._world.schedule(1 + round(chance.expovariate(rate)), self._act, rate, act, chance)

    def _act(self, rate: float, act: Callable[[Random], None], chance: Random) -> None:
        if not self._world.healed:
            act(chance)
            self._again(rate, act, chance)

    def _anyone(self, chance: Random) -> Node:
        """A member: the leader as often as not, as that is where most happens."""
        leader = self._world.leader()
        if leader is not None and chance.random() < 0.4:
            return leader
        return chance.choice(list(self._world.nodes.values()))

    def _any_leader(self, chance: Random) -> Node:
        """Someone who takes itself for the leader, maybe of a term that is over; without one, anybody."""
        leading = [node for node in self._world.nodes.values() if node.is_leading]
        return chance.choice(leading) if leading else self._anyone(chance)

    # -- clients ------------------------------------------------------------------------------------------------

    def _propose(self, chance: Random) -> None:
        for _ in range(chance.choice((1, 1, 1, 5))):
            self._proposed += 1
            self._world.count("proposal")
            self._anyone(chance).ask("propose", b"%d" % self._proposed + b"." * chance.choice((0, 0, 50)))

    def _read(self, chance: Random) -> None:
        for _ in range(chance.choice((1, 1, 3))):
            (self._any_leader if chance.random() < 0.5 else self._anyone)(chance).read()

    # -- misfortune ---------------------------------------------------------------------------------------------

    def _crash(self, chance: Random) -> None:
        """One member crashes, or sometimes all at once; each starts again after a while."""
        nodes = [node for node in self._world.nodes.values() if node.raw is not None]
        if not nodes:
            return
        for node in nodes if chance.random() < 0.1 else [self._anyone(chance)]:
            if node.raw is not None:
                self._world.crash(node)

    def _partition(self, chance: Random) -> None:
        members = list(self._world.nodes)
        side = set(chance.sample(members, chance.randrange(1, len(members) + 1)))
        if chance.random() < 0.4:
            side = {self._any_leader(chance).id, *chance.sample(members, len(members) // 3)}
        links = [(a, b) for a, b in product(members, members) if (a in side) != (b in side)]
        self._cut(links, f"partition: {sorted(side)}", chance)

    def _cut_one_way(self, chance: Random) -> None:
        members = list(self._world.nodes)
        one = chance.choice(members)
        others = [member for member in members if member != one and chance.random() < 0.7]
        outgoing = chance.random() < 0.5
        links = [(one, other) if outgoing else (other, one) for other in others]
        self._cut(links, f"one-way partition: {links}", chance)

    def _cut(self, links: list[tuple[int, int]], what: str, chance: Random) -> None:
        self._world.say(what)
        self._network.cut(links)
        self._world.schedule(1 + round(chance.expovariate(0.1 / TICK)), self._network.restore, links)

    def _pause(self, chance: Random) -> None:
        node = self._anyone(chance)
        node.paused_until = self._world.now + chance.randrange(TICK, 10 * TICK)
        self._world.say(f"pause: {node.id}")

    # -- operators ----------------------------------------------------------------------------------------------

    def _transfer(self, chance: Random) -> None:
        target = chance.choice(list(self._world.nodes))
        self._world.say(f"leader transfer: {target}")
        self._anyone(chance).ask("transfer_leader", target)

    def _forget_leader(self, chance: Random) -> None:
        node = self._anyone(chance)
        self._world.say(f"forget leader: {node.id}")
        node.ask("forget_leader")

    def _campaign(self, chance: Random) -> None:
        node = self._anyone(chance)
        self._world.say(f"campaign: {node.id}")
        node.ask("campaign")

    def _compact(self, chance: Random) -> None:
        self._anyone(chance).compact(keep=chance.choice((0, 0, 2, 10)))

    def _change_members(self, chance: Random) -> None:
        state = self._world.checks.configurations[-1]
        change = leave_joint() if state.voters_outgoing and chance.random() < 0.7 else draw_change(state, chance)
        if change is not None:
            self._world.say(f"membership change: {change}")
            self._anyone(chance).ask("propose_conf_change", change)

    # -- the repair ---------------------------------------------------------------------------------------------

    def heal(self) -> None:
        """Everybody runs, with a clock that is right."""
        for node in self._world.nodes.values():
            node.paused_until = 0
            node.tick_length = TICK
            self._world.restart(node)

    def is_settled(self, tick: int) -> bool:
        """Whether there is agreement; from time to time an entry is proposed, and a joint configuration is left."""
        self._run_members()
        leader = self._world.leader()
        if leader is None:
            return False
        if tick % _PROBE_EVERY_TICKS == 0:
            if self._state().voters_outgoing:
                leader.ask("propose_conf_change", leave_joint())
            leader.ask("propose", b"probe")
            leader.compact(keep=5)  # a snapshot from before a member was added is of no use to it
            return False
        return self.what_is_missing() == ""

    @property
    def is_beyond_repair(self) -> bool:
        """Whether a voter does not know of the last change, and those whom it took the vote stand in its way.

        Known of this algorithm as the field has it: a leader stops leading as soon as its removal, or its demotion, is
        applied there (if it is told to step down, or crashes), although the news of the commit may be lost on its way.
        Who does not know of it still wants its vote, which it refuses if its log is longer; and it may not campaign
        itself. If all voters know of the change there is no such excuse.
        """
        state, since = self._state(), self._world.checks.configured_at[-1]
        voters = [self._world.nodes[voter] for voter in {*state.voters, *state.voters_outgoing}]
        return self._world.leader() is None and any(node.core.log.committed < since for node in voters)

    def _state(self) -> ConfState:
        return self._world.checks.configurations[-1]

    def _members(self) -> list[Node]:
        state = self._state()
        return [
            self._world.nodes[member] for member in sorted({*state.voters, *state.learners, *state.voters_outgoing})
        ]

    def _run_members(self) -> None:
        """Run who is a member, and switch off who is none any more once all others know it; as an operator would."""
        members = self._members()
        for node in members:
            self._world.restart(node)
        since = self._world.checks.configured_at[-1]
        if all(node.machine.index >= since for node in members):
            for node in self._world.nodes.values():
                if node.raw is not None and node not in members:
                    self._world.say(f"stop of a removed member: {node.id}")
                    node.crash()

    def what_is_missing(self) -> str:
        """Why there is no agreement yet; empty if there is."""
        leader = self._world.leader()
        if leader is None:
            return "there is no leader"
        if self._state().voters_outgoing:
            return f"the configuration is joint: {self._state()}"
        last = leader.core.log.last_index()
        probed = last >= 1 and leader.core.log.term(last) == leader.core.term
        behind = [
            f"{node.id} has applied {node.machine.index} and committed {node.core.log.committed} in {node.core.term}"
            for node in self._members()
            if not node.machine.index == node.core.log.committed == last or node.core.term != leader.core.term
        ]
        if behind or not probed:
            return f"{leader.id} leads {leader.core.term} with {last} entries, " + ", ".join(behind)
        return ""


def leave_joint() -> ConfChangeV2:
    """An empty change."""
    return ConfChangeV2()


def draw_change(state: ConfState, chance: Random) -> ConfChange | ConfChangeV2 | None:
    """A change of one member, or of several at once; None if it would leave too few voters, or too many."""
    singles = [_draw_single(state, chance) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    voters = set(state.voters)
    for kind, member in singles:
        (voters.add if kind is ConfChangeType.ADD_NODE else voters.discard)(member)
    if not 1 <= len(voters) <= _VOTERS_MAX:
        return None
    if len(singles) == 1 and chance.random() < 0.5:
        return ConfChange(*singles[0])
    transition = chance.choice(list(ConfChangeTransition))
    return ConfChangeV2(tuple(singles), transition)


def _draw_single(state: ConfState, chance: Random) -> ConfChangeSingle:
    kind = chance.choice(
        (
            ConfChangeType.ADD_NODE,
            ConfChangeType.ADD_NODE,
            ConfChangeType.REMOVE_NODE,
            ConfChangeType.REMOVE_NODE,
            ConfChangeType.ADD_LEARNER_NODE,
            ConfChangeType.UPDATE_NODE,
        )
    )
    present = (*state.voters, *state.learners)
    if kind is ConfChangeType.REMOVE_NODE or kind is ConfChangeType.UPDATE_NODE:
        return ConfChangeSingle(kind, chance.choice(present))
    return ConfChangeSingle(kind, chance.randrange(1, MEMBERS_MAX + 1))
