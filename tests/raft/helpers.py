"""Members in memory for tests of single rules: no network but a list, saved at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from trioetcd.raft import (
    Config,
    ConfState,
    Entry,
    MemoryStorage,
    Message,
    MessageType,
    RaftError,
    RawNode,
    ReadState,
    Ready,
    Snapshot,
    SnapshotMetadata,
    decode_conf_change_entry,
)
from trioetcd.raft.core import Core


class Zero:
    """Chance that always gives the lowest: every election timeout is `election_tick`."""

    def randrange(self, stop: int, /) -> int:
        assert stop > 0
        return 0


class TestMember:
    """A member with its storage; `ready` and `work` do what a driver does."""

    __test__ = False

    def __init__(self, member: int, state: ConfState, *, storage: MemoryStorage | None = None, **settings: Any) -> None:
        self.id = member
        self.storage = storage or MemoryStorage()
        if storage is None:
            self.storage.apply_snapshot(Snapshot(SnapshotMetadata(state, 1, 1)))
        defaults = {"election_tick": 10, "heartbeat_tick": 1, "random": Zero(), "applied": 1}
        self.node = RawNode(Config(id=member, storage=self.storage, **{**defaults, **settings}))
        self.applied: list[Entry] = []
        self.reads: list[ReadState] = []

    @property
    def core(self) -> Core:
        return self.node._core  # what a rule did is told by the core's state; nothing else shows all of it

    def save(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            self.storage.set_hard_state(ready.hard_state)
        if ready.snapshot is not None:
            self.storage.apply_snapshot(ready.snapshot)
        self.storage.append(ready.entries)

    def ready(self) -> Ready:
        """One round of work, done."""
        ready = self.node.ready()
        self.save(ready)
        self.reads += ready.read_states
        for entry in ready.committed_entries:
            if entry.type:
                self.node.apply_conf_change(decode_conf_change_entry(entry))
        self.applied += ready.committed_entries
        self.node.advance(ready)
        return ready

    def work(self) -> list[Message]:
        """All rounds of work; the messages to be sent."""
        messages: list[Message] = []
        while self.node.has_ready():
            messages += self.ready().messages
        return messages

    def step(self, *messages: Message) -> list[Message]:
        for message in messages:
            self.node.step(message)
        return self.work()

    def data(self) -> list[bytes]:
        return [entry.data for entry in self.applied if entry.data and not entry.type]


class TestGroup:
    """Several members; messages between them are delivered in order, unless `lost` says otherwise."""

    __test__ = False

    def __init__(self, voters: Sequence[int], learners: Sequence[int] = (), **settings: Any) -> None:
        state = ConfState(voters=tuple(voters), learners=tuple(learners))
        self.members = {member: TestMember(member, state, **settings) for member in (*voters, *learners)}
        self.lost: Callable[[Message], bool] = lambda _: False

    def __getitem__(self, member: int) -> TestMember:
        return self.members[member]

    def settle(self) -> list[Message]:
        """Deliver until nobody has anything to say; all that was sent."""
        sent: list[Message] = []
        while True:
            messages = [message for member in self.members.values() for message in member.work()]
            if not messages:
                return sent
            sent += messages
            for message in messages:
                if message.to in self.members and not self.lost(message):
                    with suppress(RaftError):  # what a member does not take is dropped, as by a driver
                        self.members[message.to].node.step(message)

    def elect(self, member: int) -> TestMember:
        self.members[member].node.campaign()
        self.settle()
        assert self.members[member].node.basic_status().soft_state.lead == member
        return self.members[member]

    def cut_off(self, *members: int) -> None:
        self.lost = lambda message: message.to in members or message.from_ in members

    def heal(self) -> None:
        self.lost = lambda _: False


def kinds(messages: Sequence[Message]) -> list[MessageType]:
    return [message.type for message in messages]
