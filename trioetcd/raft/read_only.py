"""Read requests that wait until a quorum confirms that their leader still leads (thesis 6.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from trioetcd.raft.types import Message


@dataclass(slots=True)
class PendingRead:
    """One request: the commit index when it came, and who has answered the heartbeat that carries its context."""

    request: Message
    index: int
    acks: dict[int, bool] = field(default_factory=dict)


class ReadQueue:
    """Requests in the order they came, by their context, which must be unique among those that wait."""

    def __init__(self) -> None:
        self._pending: dict[bytes, PendingRead] = {}

    def add(self, index: int, request: Message) -> None:
        """Queue a request that came at commit index `index`; a context that waits already is not queued again."""
        self._pending.setdefault(request.entries[0].data, PendingRead(request, index))

    def acknowledge(self, member: int, context: bytes) -> dict[int, bool]:
        """Note that a member confirmed this context; who has so far. Nobody, if no such request waits."""
        read = self._pending.get(context)
        if read is None:
            return {}
        read.acks[member] = True
        return read.acks

    def release(self, context: bytes) -> list[PendingRead]:
        """Take out the request and all that came before it: its confirmation is theirs too."""
        if context not in self._pending:
            return []
        released = []
        while context in self._pending:
            released.append(self._pending.pop(next(iter(self._pending))))
        return released

    def last_context(self) -> bytes:
        """The context that the next heartbeat carries, so that lost ones are asked again; empty if none waits."""
        return next(reversed(self._pending), b"")
