"""The window of append messages that a follower has been sent and has not acknowledged (thesis 10.2.1)."""

from __future__ import annotations

from collections import deque

from trioetcd.raft.errors import RaftInvariantError


class Inflights:
    """A window bounded by a number of messages and, if `bytes_max` is not 0, by the bytes in them.

    Each message is known by its last index; indexes are added in rising order. The limit of bytes is soft by one
    message: the window is full once it is reached, not before it would be passed.
    """

    __slots__ = ("_bytes", "_bytes_max", "_messages", "_messages_max")

    def __init__(self, *, messages_max: int, bytes_max: int) -> None:
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._messages: deque[tuple[int, int]] = deque()
        self._bytes = 0

    def add(self, index: int, size_bytes: int) -> None:
        """Note a message that ends with `index`. Not when full: whoever sends must have looked."""
        if self.full:
            raise RaftInvariantError(
                f"a message up to index {index} is sent into a full window "
                f"({len(self._messages)} of {self._messages_max} messages, {self._bytes} of {self._bytes_max} bytes)"
            )
        self._messages.append((index, size_bytes))
        self._bytes += size_bytes

    def free_through(self, index: int) -> None:
        """Forget every message that ends at `index` or before: it is acknowledged."""
        messages = self._messages
        while messages and messages[0][0] <= index:
            self._bytes -= messages.popleft()[1]

    def clear(self) -> None:
        """Forget all: the state of the follower changed, and these will not be waited for."""
        self._messages.clear()
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether no further message may be sent."""
        return len(self._messages) >= self._messages_max or 0 < self._bytes_max <= self._bytes

    @property
    def count(self) -> int:
        """How many messages are in flight."""
        return len(self._messages)

    @property
    def size_bytes(self) -> int:
        """How many bytes of entries are in flight."""
        return self._bytes
