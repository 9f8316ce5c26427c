"""The network between members: it loses, doubles, delays and reorders messages, and cuts links in either direction."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TYPE_CHECKING

from tests.raft.simulate.faults import TICK, Plan
from trioetcd.raft import Message, MessageType

if TYPE_CHECKING:
    from tests.raft.simulate.world import World

_SNAP = MessageType.SNAP


class Network:
    """Every message is put into the world's queue once, twice or not at all."""

    def __init__(self, *, world: World, plan: Plan, chance: Random) -> None:
        self._world = world
        self._plan = plan
        self._chance = chance
        self._cut: set[tuple[int, int]] = set()  # (from, to): nothing passes
        self._last: dict[tuple[int, int], int] = {}  # when the last message of a link arrives
        self._healed = False

    def cut(self, links: Iterable[tuple[int, int]]) -> None:
        """Let nothing pass on these links from now on."""
        self._cut.update(links)

    def restore(self, links: Iterable[tuple[int, int]]) -> None:
        """Let messages pass on these links again."""
        self._cut.difference_update(links)

    def heal(self) -> None:
        """No more faults; messages on their way arrive."""
        self._cut.clear()
        self._healed = True

    def send(self, message: Message) -> None:
        """Take a message from its sender."""
        if self._healed:
            self._deliver_after(TICK // 20, message)
            return
        chance, plan = self._chance, self._plan
        link = (message.from_, message.to)
        if link in self._cut:
            self._lose("cut off", message)
        elif plan.loss and chance.random() < plan.loss:
            self._lose("lost", message)
        else:
            self._deliver_after(self._delay(link), message)
            if plan.duplicates and chance.random() < plan.duplicates:
                self._world.count("doubled")
                self._deliver_after(chance.randrange(plan.delay_max * 4), message)

    def _delay(self, link: tuple[int, int]) -> int:
        """Links keep the order of messages, unless one of them is to arrive late or early."""
        chance, plan = self._chance, self._plan
        delay = 1 + chance.randrange(plan.delay_max)
        if plan.reorders and chance.random() < plan.reorders:
            self._world.count("reordered")
            return delay * chance.choice((1, 3, 10))
        arrival = max(self._world.now + delay, self._last.get(link, 0))
        self._last[link] = arrival
        return arrival - self._world.now

    def _deliver_after(self, delay: int, message: Message) -> None:
        self._world.schedule(delay, self._deliver, message)

    def _deliver(self, message: Message) -> None:
        node = self._world.nodes.get(message.to)
        if (message.from_, message.to) in self._cut or node is None or node.raw is None:
            self._lose("not delivered", message)
            return
        self._world.note_delivery(message)
        taken = node.receive(message)
        if message.type is _SNAP:
            self._report(message, ok=taken)

    def _lose(self, how: str, message: Message) -> None:
        self._world.count(how)
        if message.type is _SNAP:
            self._report(message, ok=False)
        elif self._chance.random() < self._plan.reports:
            sender = self._world.nodes[message.from_]
            self._world.schedule(TICK // 2, sender.report_unreachable, sender.incarnation, message.to)

    def _report(self, message: Message, *, ok: bool) -> None:
        """Whoever sends a snapshot is told how that went, sooner or later: the core waits for it."""
        sender = self._world.nodes[message.from_]
        delay = self._chance.randrange(1, 3 * TICK)
        self._world.schedule(delay, sender.report_snapshot, sender.incarnation, message.to, ok)
