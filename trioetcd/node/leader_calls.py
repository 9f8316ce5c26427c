"""What only the leader can answer, asked by whichever member a client came to: here if it leads, else over there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

import trio
from outcome import Error, Outcome, Value

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.leadership import Leadership
from trioetcd.node.protocols import ForwardFailed

T = TypeVar("T")

RETRY_SECONDS: Final = 0.05
"""Between two attempts to reach a leader (etcd's)."""


class NotPrimary(Exception):
    """This member does not lead, or is not sure that it does."""


class LeaderCalls:
    """Asks whoever leads until one answers."""

    def __init__(self, *, leadership: Leadership, timeout_seconds: float) -> None:
        self._leadership = leadership
        self._timeout_seconds = timeout_seconds

    async def ask(self, here: Callable[[], Awaitable[T]], there: Callable[[int], Awaitable[T]]) -> T:
        """The leader's answer: `here` raises `NotPrimary`, `there`, given the leader's ID, `ForwardFailed` to go on.

        Raises `ApiError` when nobody has answered within the request timeout, and what the two raise otherwise.
        """
        with trio.move_on_after(self._timeout_seconds):
            while True:
                changed = self._leadership.changed
                with suppress(NotPrimary, ForwardFailed):
                    if self._leadership.is_leader:
                        return await here()
                    if self._leadership.has_leader:
                        return await _while_it_leads(changed, there(self._leadership.lead))
                with trio.move_on_after(RETRY_SECONDS if self._leadership.has_leader else self._timeout_seconds):
                    await changed.wait()
        raise ApiError.of(ErrorKind.TIMEOUT if self._leadership.has_leader else ErrorKind.NO_LEADER)


async def _while_it_leads(changed: trio.Event, answer: Awaitable[T]) -> T:
    """The answer of a leader, which may be an `ApiError`; raises `ForwardFailed` when it failed, or leads no more."""
    outcomes: list[Outcome[T]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_at, changed, nursery.cancel_scope)
        with suppress(ForwardFailed):
            try:
                outcomes.append(Value(await answer))
            except ApiError as refusal:  # kept, so that it leaves the nursery as it is, in no group
                outcomes.append(Error(refusal))
        nursery.cancel_scope.cancel()
    if not outcomes:
        raise ForwardFailed("it did not answer while it led")
    return outcomes[0].unwrap()


async def _cancel_at(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
