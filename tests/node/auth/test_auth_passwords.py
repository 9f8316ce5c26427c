"""Passwords: hashed and checked off the loop, and not too many at a time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import bcrypt
import pytest
import trio
from trio.testing import MockClock

from trioetcd.node.auth.passwords import AT_ONCE_MAX, Passwords


async def _inline(work: Callable[[], None]) -> None:
    await trio.lowlevel.checkpoint()
    work()


def passwords(run_blocking: Callable[[Callable[[], None]], object] = _inline, seed: int = 1) -> Passwords:
    return Passwords(cost=4, secrets=Random(seed), run_blocking=run_blocking)  # type: ignore[arg-type] # a test's own


@pytest.mark.parametrize("password", ["", "apw", "päß€", "a\0b", "x" * 72, "x" * 1000, "\ud800"])
async def test_a_password_is_known_again(password: str) -> None:
    made = passwords()
    hashed = await made.hash(password)
    assert await made.matches(password, hashed)
    assert not await made.matches(f"!{password}", hashed)


async def test_what_follows_72_bytes_does_not_count_as_with_etcd() -> None:
    made = passwords()
    assert await made.matches("x" * 72, await made.hash("x" * 73))
    assert not await made.matches("x" * 71, await made.hash("x" * 73))


async def test_every_hash_has_its_own_salt_and_the_cost_that_is_asked_for() -> None:
    made = passwords()
    hashes = {await made.hash("apw") for _ in range(20)}
    assert len(hashes) == 20
    assert all(one.startswith(b"$2b$04$") and bcrypt.checkpw(b"apw", one) for one in hashes)


async def test_equal_chance_makes_equal_hashes() -> None:
    assert await passwords(seed=5).hash("apw") == await passwords(seed=5).hash("apw")


@pytest.mark.parametrize("hashed", [b"", b"abc", b"$2b$04$short", b"\xff"])
async def test_what_is_no_hash_is_nobodys(hashed: bytes) -> None:
    assert not await passwords().matches("", hashed)


async def test_only_so_many_at_once(autojump_clock: MockClock) -> None:
    running = peak = 0

    async def slow(work: Callable[[], None]) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await trio.sleep(1)
        work()
        running -= 1

    made = passwords(slow)
    async with trio.open_nursery() as nursery:
        for _ in range(7):
            nursery.start_soon(made.hash, "apw")
    assert peak == AT_ONCE_MAX
