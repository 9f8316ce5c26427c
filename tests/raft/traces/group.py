"""A group of members in memory, moved by hand: what the commands of an interaction transcript act upon."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypedDict

from tests.raft.traces import describe
from trioetcd.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    NO_LIMIT,
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    MemoryStorage,
    Message,
    MessageType,
    RaftError,
    RawNode,
    ReadOnlyOption,
    Snapshot,
    SnapshotMetadata,
    decode_conf_change_entry,
)

ELECTION_TICK = 3
HEARTBEAT_TICK = 1
_THREADS = (LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD)


class Refused(Exception):
    """A command that the group cannot carry out; the text is printed."""


class Options(TypedDict, total=False):
    """What `add-nodes` can set."""

    async_storage_writes: bool
    max_inflight_msgs: int
    pre_vote: bool
    check_quorum: bool
    max_committed_size_per_ready: int
    disable_conf_change_validation: bool
    read_only_option: ReadOnlyOption
    step_down_on_removal: bool


class Storage(MemoryStorage):
    """Asked for a snapshot, it gives the state as of the last applied entry."""

    def __init__(self, first: Snapshot) -> None:
        super().__init__()
        self.history = [first]

    def snapshot(self) -> Snapshot:
        return self.history[-1]

    def apply_entries(self, node: RawNode, entries: Iterable[Entry]) -> None:
        """A state machine that appends all it is given."""
        for entry in entries:
            before = self.history[-1]
            conf_state, update = before.metadata.conf_state, entry.data
            if entry.type != EntryType.NORMAL:
                change = decode_conf_change_entry(entry)
                conf_state, update = node.apply_conf_change(change), change.context
            metadata = SnapshotMetadata(conf_state, entry.index, entry.term)
            self.history.append(Snapshot(metadata, before.data + update))


class Member:
    def __init__(self, member: int, first: Snapshot, options: Options) -> None:
        self.id = member
        self.storage = Storage(first)
        if not first.is_empty:
            self.storage.apply_snapshot(first)
        self.is_async = options.get("async_storage_writes", False)
        settings: Options = {"max_inflight_msgs": 2**31 - 1, **options}
        self.node = RawNode(
            Config(
                id=member,
                election_tick=ELECTION_TICK,
                heartbeat_tick=HEARTBEAT_TICK,
                storage=self.storage,
                random=random.Random(member),
                applied=first.metadata.index,
                max_size_per_msg=NO_LIMIT,
                **settings,
            )
        )
        self.append_work: deque[Message] = deque()
        self.apply_work: deque[Message] = deque()

    def save(self, hard_state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None) -> None:
        if hard_state is not None:
            self.storage.set_hard_state(hard_state)
        if snapshot is None:
            self.storage.append(entries)
        elif entries:
            raise Refused("can't apply snapshot and entries at the same time")
        else:
            self.storage.apply_snapshot(snapshot)


class Group:
    def __init__(self) -> None:
        self.members: list[Member] = []
        self.messages: list[Message] = []  # under way
        self.lines: list[str] = []
        self.quiet = False  # log level none: nothing is printed but errors

    def print(self, text: str) -> None:
        if not self.quiet:
            self.lines += text.splitlines()

    @contextmanager
    def headed(self, head: str | None) -> Iterator[None]:
        """Under a heading what is printed is indented."""
        if head is None:
            yield
            return
        self.print(f"> {head}")
        outer, self.lines = self.lines, []
        try:
            yield
        finally:
            self.lines = outer + ["  " + line for line in self.lines]

    def member(self, member: int) -> Member:
        if not 0 < member <= len(self.members):
            raise Refused(f"node index {member - 1} out of range [0, {len(self.members)})")
        return self.members[member - 1]

    def add(self, count: int, state: ConfState, index: int, content: bytes, options: Options) -> None:
        first = Snapshot(SnapshotMetadata(state, index), content)
        if first != Snapshot():
            if index <= 1:
                raise Refused("index must be specified as > 1 due to bootstrap")
            first = Snapshot(SnapshotMetadata(state, index, term=1), content)
        for _ in range(count):
            self.members.append(Member(len(self.members) + 1, first, options))

    # -- work -----------------------------------------------------------------------------------------------------

    def process_ready(self, member: Member) -> None:
        ready = member.node.ready()
        self.print(describe.ready(ready))
        if not member.is_async:
            member.save(ready.hard_state, ready.entries, ready.snapshot)
            member.storage.apply_entries(member.node, ready.committed_entries)
        for message in ready.messages:
            if message.type == MessageType.STORAGE_APPEND:
                member.append_work.append(message)
            elif message.type == MessageType.STORAGE_APPLY:
                member.apply_work.append(message)
            else:
                self.messages.append(message)
        if not member.is_async:
            member.node.advance(ready)

    def process_append(self, member: Member) -> None:
        if not member.append_work:
            self.print("no append work to perform")
            return
        work = member.append_work.popleft()
        self._print_work(work)
        state = HardState(work.term, work.vote, work.commit)
        member.save(None if state == HardState() else state, work.entries, work.snapshot)
        self._respond(work)

    def process_apply(self, member: Member) -> None:
        if not member.apply_work:
            self.print("no apply work to perform")
            return
        work = member.apply_work.popleft()
        self._print_work(work)
        member.storage.apply_entries(member.node, work.entries)
        self._respond(work)

    def _print_work(self, work: Message) -> None:
        self.print("Processing:\n" + describe.message(replace(work, responses=[])))

    def _respond(self, work: Message) -> None:
        self.print("\n".join(["Responses:", *map(describe.message, work.responses)]))
        self.messages += work.responses

    # -- messages -------------------------------------------------------------------------------------------------

    def take(self, to: int, message_type: str | None, *, to_drop: bool = False) -> list[Message]:
        """Take the messages to a member out of those under way; those to itself are never dropped."""
        taken = [m for m in self.messages if self._is_meant(m, to, message_type, to_drop=to_drop)]
        self.messages = [m for m in self.messages if not self._is_meant(m, to, message_type, to_drop=to_drop)]
        return taken

    def _is_meant(self, message: Message, to: int, message_type: str | None, *, to_drop: bool) -> bool:
        is_local = message.from_ == message.to or message.from_ in _THREADS or message.to in _THREADS
        return (
            message.to == to
            and not (to_drop and is_local)
            and message_type in (None, describe.message_type_name(message))
        )

    def has_messages(self, to: int) -> bool:
        return any(message.to == to for message in self.messages)

    def deliver(self, to: int, message_type: str | None = None) -> int:
        messages = self.take(to, message_type)
        for message in messages:
            self.print(describe.message(message))
            try:
                self.member(to).node.step(message)
            except RaftError as error:
                self.print(describe.refusal(error))
        return len(messages)

    def drop(self, to: int, message_type: str | None = None) -> int:
        messages = self.take(to, message_type, to_drop=True)
        for message in messages:
            self.print("dropped: " + describe.message(message))
        return len(messages)

    def stabilize(self, members: Sequence[Member]) -> None:
        """Let these members work and talk until nothing is left to do."""
        while any([self._work_ready(members), self._receive(members), self._append(members), self._apply(members)]):
            continue

    def _work_ready(self, members: Sequence[Member]) -> bool:
        busy = [member for member in members if member.node.has_ready()]
        for member in busy:
            with self.headed(f"{member.id} handling Ready"):
                self.process_ready(member)
        return bool(busy)

    def _receive(self, members: Sequence[Member]) -> bool:
        # Looked at one by one: what one receives can be for a later one only after it has worked.
        busy = False
        for member in members:
            if self.has_messages(member.id):
                busy = True
                with self.headed(f"{member.id} receiving messages"):
                    self.deliver(member.id)
        return busy

    def _append(self, members: Sequence[Member]) -> bool:
        busy = [member for member in members if member.append_work]
        for member in busy:
            with self.headed(f"{member.id} processing append thread"):
                while member.append_work:
                    self.process_append(member)
        return bool(busy)

    def _apply(self, members: Sequence[Member]) -> bool:
        busy = [member for member in members if member.apply_work]
        for member in busy:
            with self.headed(f"{member.id} processing apply thread"):
                while member.apply_work:
                    self.process_apply(member)
        return bool(busy)
