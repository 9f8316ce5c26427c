"""A burst that is being read joins what waits; a few requests, and a trickle, are not waited for."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_no_checkpoints, wait_all_tasks_blocked

from trioetcd.node.gathering import gather


async def arrive(waiting: list[int], *, size: int, times: int, turns: int) -> None:
    """`size` more each so many turns of the scheduler."""
    for _ in range(times):
        waiting += [0] * size
        for _ in range(turns):
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("size", [0, 1, 3, 512, 5000])
async def test_few_and_very_many_are_not_held_up(size: int) -> None:
    with assert_no_checkpoints():
        await gather([0] * size)


@pytest.mark.parametrize("size", [2, 8, 40])
async def test_a_burst_is_waited_for_to_its_end(nursery: trio.Nursery, size: int) -> None:
    waiting = [0] * 4
    nursery.start_soon(lambda: arrive(waiting, size=size, times=10, turns=1))
    await trio.lowlevel.checkpoint()
    await gather(waiting)
    assert len(waiting) == 4 + 10 * size


async def test_a_burst_without_end_is_waited_for_up_to_a_batch(nursery: trio.Nursery) -> None:
    waiting = [0] * 4
    nursery.start_soon(lambda: arrive(waiting, size=20, times=1000, turns=1))
    await gather(waiting)
    assert 512 <= len(waiting) < 600
    nursery.cancel_scope.cancel()


async def test_a_trickle_is_not_waited_for(nursery: trio.Nursery) -> None:
    """One more in two turns is no burst."""
    waiting = [0] * 4
    nursery.start_soon(lambda: arrive(waiting, size=1, times=1000, turns=2))
    await trio.lowlevel.checkpoint()
    await gather(waiting)
    assert len(waiting) < 10
    await wait_all_tasks_blocked()
