"""The bounded queue before each sender: filled without waiting, emptied by the burst."""

from __future__ import annotations

from collections import deque

import trio

from trioetcd.peer.framing import message_size
from trioetcd.raft.types import Message, MessageType


def can_wait(message: Message) -> bool:
    """Whether a message may wait a moment: it tells how far entries are committed, as the next will too."""
    return message.type is MessageType.APP and not message.entries


class Mailbox:
    """Messages that wait to be sent, at most `capacity`. One wake-up serves whatever came until the sender runs."""

    def __init__(self, *, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Message] = deque()
        self._senders = trio.lowlevel.ParkingLot()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message, *, in_hurry: bool = True) -> bool:
        """Take a message; False when the mailbox is full, and the message is dropped.

        What is not in a hurry leaves with the next that is, or when `hurry` is called. One that `can_wait` makes room
        for a newer APP of its term, which says all that it said.
        """
        waiting = self._waiting
        if len(waiting) >= self._capacity:
            return False
        if waiting and message.type is MessageType.APP and can_wait(waiting[-1]) and waiting[-1].term == message.term:
            waiting.pop()
        waiting.append(message)
        if in_hurry and self._senders:
            self._senders.unpark()
        return True

    def hurry(self) -> None:
        """Send what waits."""
        if self._waiting:
            self._senders.unpark()

    def nudge(self) -> None:
        """Have one waiting sender return with nothing, so that it can show that it is alive."""
        self._senders.unpark()

    async def take(self, *, bytes_target: int) -> list[Message]:
        """Wait for messages and take them in order, until they are about `bytes_target` large, or a single one is.

        None came if another sender took them, or `nudge` was called. A cancellation takes nothing.
        """
        if self._waiting:
            await trio.lowlevel.checkpoint()
        else:
            await self._senders.park()
        return self._take_now(bytes_target) if self._waiting else []

    def _take_now(self, bytes_target: int) -> list[Message]:
        waiting = self._waiting
        batch = [waiting.popleft()]
        size = message_size(batch[0])
        while waiting and (size := size + message_size(waiting[0])) <= bytes_target:
            batch.append(waiting.popleft())
        return batch

    def clear(self) -> int:
        """Drop all that waits; how many they were."""
        count = len(self._waiting)
        self._waiting.clear()
        return count
