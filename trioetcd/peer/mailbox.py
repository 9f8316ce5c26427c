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

    def put(self, message: Message) -> bool:
        """Take a message; False when the mailbox is full, and the message is dropped.

        One that `can_wait`, and still does, makes room for a newer APP of its term, which says all that it said.
        """
        waiting = self._waiting
        if len(waiting) >= self._capacity:
            return False
        if waiting and message.type is MessageType.APP and can_wait(waiting[-1]) and waiting[-1].term == message.term:
            waiting.pop()
        waiting.append(message)
        if self._senders:
            self._senders.unpark()
        return True

    async def take(self, *, bytes_target: int) -> list[Message]:
        """Wait for messages and take them as `take_nowait` does. A cancellation takes nothing."""
        if self._waiting:
            await trio.lowlevel.checkpoint()
        else:
            await self._senders.park()
        return self.take_nowait(bytes_target=bytes_target)

    def take_nowait(self, *, bytes_target: int) -> list[Message]:
        """Take messages in order, until they are about `bytes_target` large, or a single one is. None if none waits."""
        waiting = self._waiting
        if not waiting:
            return []  # another sender took them
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
