from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trioetcd.node.parking import Parked, Signal


async def test_a_signal_that_was_set_before_lets_the_wait_return_at_once() -> None:
    signal = Signal()
    signal.set()
    signal.set()
    await signal.wait()
    with trio.move_on_after(0) as scope:
        await signal.wait()
    assert scope.cancelled_caught


async def test_a_signal_wakes_the_waiting_task(nursery: trio.Nursery) -> None:
    signal = Signal()
    woken: list[int] = []

    async def wait() -> None:
        await signal.wait()
        woken.append(1)

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert woken == []
    signal.set()
    await wait_all_tasks_blocked()
    assert woken == [1]


async def test_a_cancelled_wait_loses_no_signal() -> None:
    signal = Signal()
    with trio.move_on_after(0):
        await signal.wait()
    signal.set()
    await signal.wait()


async def test_a_parked_task_gets_the_value(nursery: trio.Nursery) -> None:
    parked = Parked()
    got: list[object] = []

    async def wait() -> None:
        got.append(await parked.wait())

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    assert parked.is_waiting
    parked.wake("value")
    parked.wake("too late")
    await wait_all_tasks_blocked()
    assert got == ["value"]
    assert not parked.is_waiting


async def test_a_parked_task_is_told_of_a_failure(nursery: trio.Nursery) -> None:
    parked = Parked()

    async def wait() -> None:
        with pytest.raises(ValueError, match="refused"):
            await parked.wait()

    nursery.start_soon(wait)
    await wait_all_tasks_blocked()
    parked.fail(ValueError("refused"))
    parked.fail(ValueError("too late"))


async def test_what_comes_after_cancellation_is_nobodys() -> None:
    parked = Parked()
    with trio.move_on_after(0):
        await parked.wait()
    assert not parked.is_waiting
    parked.wake("value")
