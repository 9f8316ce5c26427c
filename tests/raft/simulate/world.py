"""One run: a queue of events in simulated time, faults for a while, then healing, and the rules throughout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from tests.raft.simulate.actors import Actors
from tests.raft.simulate.bugs import NO_BUG, Bug
from tests.raft.simulate.checks import Checks, Violation
from tests.raft.simulate.disk import Record
from tests.raft.simulate.faults import TICK, Chance, draw_plan
from tests.raft.simulate.network import Network
from tests.raft.simulate.node import Node
from trioetcd.raft import (
    ConfState,
    HardState,
    Message,
    RaftInvariantError,
    Snapshot,
    SnapshotMetadata,
)

CONVERGENCE_TICKS_MAX = 400
"""Within this, a healed group has a leader and all its members have applied the same."""

STUCK_REMOVAL = "removal that not all voters know of"
"""Counted instead of a failure: see `Actors.is_beyond_repair`."""

STEPS_MAX = 200_000
"""No run is near this: it would be a loop without end."""

_FIRST_INDEX = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to; `violation` is None if every rule held."""

    seed: int
    steps: int
    fingerprint: int
    violation: Violation | None
    convergence_ticks: int
    counts: Counter[str] = field(repr=False)


class World:
    """The group, its network, and time."""

    def __init__(self, seed: int, *, bug: Bug = NO_BUG, trace: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.chance = Chance(seed)
        self.plan = draw_plan(self.chance.of("plan"))
        self.checks = Checks(ignored=bug.ignored)
        self.now = 0
        self.nodes: dict[int, Node] = {}
        self.counts: Counter[str] = Counter()
        self.healed = False
        self._bug = bug
        self._trace = trace
        self._queue: list[tuple[int, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = 0
        self._steps = 0
        self._fingerprint = seed
        self._network = Network(world=self, plan=self.plan, chance=self.chance.of("network"))
        self._downtime = self.chance.of("downtime")
        self._actors = Actors(world=self, network=self._network, plan=self.plan)

    # -- what members and actors use --------------------------------------------------------------------------

    def schedule(self, delay: int, action: Callable[..., object], *arguments: Any) -> None:
        """Call an action later, in units of `TICK`; of those at one time, in the order they were scheduled."""
        self._order += 1
        heappush(self._queue, (self.now + delay, self._order, action, arguments))

    def send(self, message: Message) -> None:
        """Give a message to the network."""
        m = message
        self._fingerprint = hash((self._fingerprint, self.now, m.type, m.from_, m.to, m.term, m.index, m.commit))
        if self._trace is not None:
            self._trace(f"{self.now / TICK:8.3f}  {m.from_} -> {m.to}  {_describe(m)}")
        self._network.send(message)

    def count(self, what: str) -> None:
        """Note a fault."""
        self.counts[what] += 1

    def say(self, what: str) -> None:
        """Note a fault, and show it in a verbose run."""
        self.counts[what.partition(":")[0]] += 1
        if self._trace is not None:
            self._trace(f"{self.now / TICK:8.3f}  ** {what}")

    def note_delivery(self, message: Message) -> None:
        """A message arrives."""
        if self._trace is not None:
            self._trace(f"{self.now / TICK:8.3f}  {message.from_} => {message.to}  {_describe(message)}")

    def ensure_started(self, members: Iterable[int]) -> None:
        """Whoever is a member by now, and was not yet, starts with an empty disk."""
        for member in members:
            if member not in self.nodes:
                self._make(member).start()

    def crash(self, node: Node) -> None:
        """A member crashes, and starts again after a while."""
        self.say(f"crash: {node.id}")
        node.crash()
        self.schedule(1 + round(self._downtime.expovariate(0.2 / TICK)), self.restart, node)

    def restart(self, node: Node) -> None:
        """A member starts again, if it does not run."""
        if node.raw is None:
            self.say(f"restart: {node.id}")
            node.start()

    def leader(self) -> Node | None:
        """Who leads the latest term, as far as one who sees everything can tell."""
        leading = [node for node in self.nodes.values() if node.is_leading]
        return max(leading, key=lambda node: node.core.term, default=None)

    # -- the run ------------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Live through the faults, then heal. A broken rule ends it."""
        violation = None
        ticks = 0
        with self._bug.planted():
            try:
                self._found()
                self._actors.begin()
                self._run_until(self.plan.chaos_ticks * TICK)
                ticks = self._converge()
            except Violation as broken:
                violation = broken
            except RaftInvariantError as broken:
                violation = Violation("the core's own invariants", str(broken))
        self.counts["term with a leader"] = self.checks.leaders
        self.counts["read answered"] = self.checks.reads_answered
        self.counts["entry chosen"] = len(self.checks.chosen)
        return Outcome(
            seed=self.seed,
            steps=self._steps,
            fingerprint=hash((self._fingerprint, self._steps, self.now)),
            violation=violation,
            convergence_ticks=ticks,
            counts=self.counts,
        )

    def _make(self, member: int) -> Node:
        node = self._bug.node(
            member, world=self, plan=self.plan, disk=self._bug.disk(), chance=self.chance.of(f"election {member}")
        )
        self.nodes[member] = node
        return node

    def _found(self) -> None:
        """The first members begin with a snapshot that holds nothing but the configuration."""
        voters = self.plan.voters
        state = ConfState(
            voters=tuple(range(1, voters + 1)),
            learners=tuple(range(voters + 1, voters + 1 + self.plan.learners)),
        )
        self.checks.begin(_FIRST_INDEX, 1, state)
        snapshot = Snapshot(SnapshotMetadata(state, _FIRST_INDEX, 1), bytes(4))
        for member in (*state.voters, *state.learners):
            node = self._make(member)
            for image in (node.disk.live, node.disk.durable):
                Record(HardState(1, 0, _FIRST_INDEX), (), snapshot).write(image)
        for node in list(self.nodes.values()):
            node.start()

    def _run_until(self, end: int) -> None:
        queue = self._queue
        while queue and queue[0][0] <= end:
            self.now, order, action, arguments = heappop(queue)
            self._steps += 1
            self._fingerprint = hash((self._fingerprint, self.now, order))
            action(*arguments)
            if self._steps > STEPS_MAX:
                raise Violation("a run ends", f"{self._steps} steps at {self.now}")
        self.now = end

    def _converge(self) -> int:
        """Heal, and require agreement within the bound; how many ticks it took."""
        self.healed = True
        self._network.heal()
        self._actors.heal()
        for tick in range(CONVERGENCE_TICKS_MAX):
            self._run_until(self.now + TICK)
            if self._actors.is_settled(tick):
                return tick
            if tick >= CONVERGENCE_TICKS_MAX // 4 and self._actors.is_beyond_repair:
                self.count(STUCK_REMOVAL)
                return 0
        raise Violation("a healed group converges", self._actors.what_is_missing())


def _describe(m: Message) -> str:
    text = f"{m.type.name} term {m.term} log {m.log_term}/{m.index} commit {m.commit}"
    if m.entries:
        text += f" entries {m.entries[0].index}-{m.entries[-1].index} of {m.entries[-1].term}"
    if m.snapshot is not None:
        text += f" snapshot {m.snapshot.metadata.index}"
    if m.reject:
        text += f" rejected, hint {m.reject_hint}"
    return text + (f" {m.context!r}" if m.context else "")
