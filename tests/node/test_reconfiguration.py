"""Changes of the members on their way: one at a time, proposed until there is an outcome, on the ground as it is."""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import SimpleNamespace
from weakref import ref

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.parking import Signal
from trioetcd.node.reconfiguration import Reconfiguration
from trioetcd.raft.types import ConfChange, ConfChangeType
from trioetcd.storage.machine import Outcome
from trioetcd.storage.members import SUPERSEDED, Member, decode_member_context

REPEAT_TICKS = 3
A, B = Member(1, peer_urls=("http://a:1",)), Member(2, peer_urls=("http://b:1",))


class World:
    """The queue, a machine whose membership is a number, and what tasks were told."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.members = SimpleNamespace(changed_at=5)
        self.told: list[object] = []
        numbers = iter(range(100, 200))
        self.queue = Reconfiguration(
            machine=SimpleNamespace(members=self.members),  # type: ignore[arg-type] # what the queue asks of it
            next_id=lambda: next(numbers),
            work=Signal(),
            repeat_ticks=REPEAT_TICKS,
        )
        self._nursery = nursery

    async def ask(self, member: Member, admit: Callable[[], None] = lambda: None) -> trio.CancelScope:
        scope = trio.CancelScope()
        self._nursery.start_soon(self._ask, member, admit, scope)
        await wait_all_tasks_blocked()
        return scope

    async def _ask(self, member: Member, admit: Callable[[], None], scope: trio.CancelScope) -> None:
        with scope:
            try:
                self.told.append(await self.queue.change(ConfChangeType.ADD_NODE, member, admit=admit))
            except ApiError as refusal:
                self.told.append(refusal)

    def take(self) -> tuple[int, int | None] | None:
        """Whom the change is about that is to be proposed, and what it builds on."""
        assert self.queue.is_due
        change = self.queue.take()
        assert not self.queue.is_due
        return None if change is None else (change.node_id, based_on(change))

    async def apply(self, number: int, result: object, *, changed: bool = True) -> None:
        self.members.changed_at += changed
        self.queue.applied(Outcome(number, (result,)))
        await wait_all_tasks_blocked()


def based_on(change: ConfChange) -> int | None:
    return decode_member_context(change.context).based_on


async def test_changes_go_one_after_the_other(nursery: trio.Nursery) -> None:
    world = World(nursery)
    await world.ask(A)
    await world.ask(B)
    assert world.take() == (1, 5)
    await world.apply(100, (A,))
    assert world.told == [(A,)]
    assert world.take() == (2, 6)
    await world.apply(101, ApiError.of(ErrorKind.MEMBER_EXIST), changed=False)
    assert world.told == [(A,), ApiError.of(ErrorKind.MEMBER_EXIST)]
    assert not world.queue.is_due


async def test_a_change_that_is_lost_is_proposed_again_and_the_same(nursery: trio.Nursery) -> None:
    world = World(nursery)
    await world.ask(A)
    assert world.take() == (1, 5)
    for _ in range(REPEAT_TICKS - 1):
        world.queue.tick()
        assert world.take() is None
    world.queue.tick()
    assert world.take() == (1, 5)


async def test_a_change_of_another_is_new_ground(nursery: trio.Nursery) -> None:
    world = World(nursery)
    await world.ask(A)
    assert world.take() == (1, 5)
    await world.apply(7, (B,))
    assert world.take() == (1, 6)
    await world.apply(100, SUPERSEDED, changed=False)  # the copy that built on 5
    assert world.take() is None
    assert world.told == []
    await world.apply(100, (A, B))
    assert world.told == [(A, B)]


async def test_what_was_admitted_is_asked_again_on_new_ground(nursery: trio.Nursery) -> None:
    world = World(nursery)
    refusals = iter([None, ErrorKind.UNHEALTHY])

    def admit() -> None:
        if (kind := next(refusals)) is not None:
            raise ApiError.of(kind)

    await world.ask(A, admit)
    await world.ask(B)
    assert world.take() == (1, 5)
    await world.apply(7, ())
    assert world.take() == (2, 6)
    await wait_all_tasks_blocked()
    assert world.told == [ApiError.of(ErrorKind.UNHEALTHY)]


async def test_a_refusal_at_once_proposes_nothing(nursery: trio.Nursery) -> None:
    world = World(nursery)

    def admit() -> None:
        raise ApiError.of(ErrorKind.UNHEALTHY)

    await world.ask(A, admit)
    assert world.told == [ApiError.of(ErrorKind.UNHEALTHY)]
    assert not world.queue.is_due


async def test_who_does_not_wait_any_more_holds_up_nobody(nursery: trio.Nursery) -> None:
    world = World(nursery)
    first = await world.ask(A)
    await world.ask(B)
    assert world.take() == (1, 5)
    first.cancel()
    await wait_all_tasks_blocked()
    world.queue.tick()
    assert world.take() == (2, 5)
    await world.apply(100, (A,))  # it was made all the same
    assert world.told == []
    assert world.take() == (2, 6)


async def test_who_does_not_wait_any_more_is_forgotten(nursery: trio.Nursery) -> None:
    """Without a leader nothing is taken, and clients come and give up for as long as that lasts."""
    world = World(nursery)
    await world.ask(A)

    def admit() -> None:
        pass

    kept = ref(admit)
    scope = await world.ask(B, admit)
    del admit
    scope.cancel()
    await wait_all_tasks_blocked()
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("is_proposed", [True, False])
async def test_a_snapshot_hides_what_became_of_a_change(nursery: trio.Nursery, *, is_proposed: bool) -> None:
    world = World(nursery)
    await world.ask(A)
    if is_proposed:
        world.take()
    world.members.changed_at = 50
    world.queue.installed()
    await wait_all_tasks_blocked()
    if is_proposed:
        assert world.told == [ApiError.of(ErrorKind.TIMEOUT)]
    else:
        assert world.take() == (1, 50)
