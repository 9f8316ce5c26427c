"""A member: the core, and a driver that does what each Ready says in the order it says, and can be cut short."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING
from zlib import crc32

from tests.raft.simulate.disk import Disk
from tests.raft.simulate.faults import TICK, Plan
from trioetcd.raft import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    Config,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    RaftError,
    RawNode,
    ReadOnlyOption,
    Ready,
    Snapshot,
    StateType,
    decode_conf_change_entry,
)
from trioetcd.raft.core import Core

if TYPE_CHECKING:
    from tests.raft.simulate.world import World

_THREADS = frozenset({LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD})


class Machine:
    """A state machine that is its history: a checksum over every entry, and the configuration."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.index = snapshot.metadata.index
        self.conf_state = snapshot.metadata.conf_state
        self.digest = int.from_bytes(snapshot.data, "big")
        self.is_overtaken = False  # a snapshot is on its way: the core tells its configuration, not that of this state

    def apply(self, entry: Entry) -> None:
        self.index = entry.index
        self.digest = crc32(entry.data, crc32(entry.term.to_bytes(8, "big"), self.digest))

    def data(self) -> bytes:
        """The state, as a snapshot carries it."""
        return self.digest.to_bytes(4, "big")


class Node:
    """A member that can be started, crashed and started again; `raw` is None while it is down."""

    def __init__(self, member: int, *, world: World, plan: Plan, disk: Disk, chance: Random) -> None:
        self.id = member
        self.disk = disk
        self.raw: RawNode | None = None
        self.machine = Machine(Snapshot())
        self.incarnation = 0  # what was begun before a crash is not finished after it
        self.asynchronous = member <= plan.asynchronous
        self.tick_length = TICK
        self.paused_until = 0
        self._world = world
        self._plan = plan
        self._checks = world.checks
        self._chance = chance
        self._disk_chance = world.chance.of(f"disk {member}")
        self._ready: Ready | None = None  # synchronous storage: the one that is being worked on
        self._appends: deque[Message] = deque()  # asynchronous storage: what the two threads have to do
        self._applies: deque[Message] = deque()
        self._reads = 0
        self._save_delay_max = self._disk_chance.choice((0, plan.save_delay_max))  # disks differ

    @property
    def core(self) -> Core:
        """The state of the core: nothing public tells all that the rules are about."""
        assert self.raw is not None
        return self.raw._core

    @property
    def is_leading(self) -> bool:
        """Whether it runs and takes itself for the leader."""
        return self.raw is not None and self.core.state is StateType.LEADER

    # -- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start from what is on disk."""
        plan = self._plan
        storage = self.disk.live
        self.machine = Machine(storage.snapshot())
        self.incarnation += 1
        self.raw = RawNode(
            Config(
                id=self.id,
                election_tick=plan.election_tick,
                heartbeat_tick=1,
                storage=storage,
                random=self._chance,
                applied=self.machine.index,
                async_storage_writes=self.asynchronous,
                max_size_per_msg=plan.max_size_per_msg,
                max_committed_size_per_ready=plan.max_committed_size_per_ready,
                max_uncommitted_entries_size=plan.max_uncommitted_entries_size,
                max_inflight_msgs=plan.max_inflight_msgs,
                check_quorum=plan.check_quorum,
                pre_vote=plan.pre_vote,
                read_only_option=ReadOnlyOption.LEASE_BASED if plan.lease_reads else ReadOnlyOption.SAFE,
                disable_proposal_forwarding=plan.disable_proposal_forwarding,
                max_inflight_bytes=plan.max_inflight_bytes,
                step_down_on_removal=plan.step_down_on_removal,
            )
        )
        self._checks.started(self)
        self._world.schedule(self._chance.randrange(TICK), self._tick, self.incarnation)

    def crash(self) -> None:
        """Stop at once, and forget what is not durable."""
        self.raw = None
        self.incarnation += 1
        self._ready = None
        self._appends.clear()
        self._applies.clear()
        if self.disk.crash(self._disk_chance):
            self._world.count("crash lost unsynced writes")

    # -- what goes in -------------------------------------------------------------------------------------------

    def _tick(self, incarnation: int) -> None:
        if incarnation != self.incarnation or self.raw is None:
            return
        self._world.schedule(self.tick_length, self._tick, incarnation)
        if self._world.now >= self.paused_until:
            self.raw.tick()
            self._work()

    def receive(self, message: Message) -> bool:
        """Take a message from the network; false if it was not taken."""
        if self._world.now < self.paused_until:
            self._world.schedule(self.paused_until - self._world.now, self.receive, message)
            return True
        if self.raw is None:
            return False
        if message.type is MessageType.SNAP and not self._plan.snapshots_overtake and self._is_applying():
            return False
        self._attempt(self.raw.step, message)
        return True

    def _is_applying(self) -> bool:
        """Whether entries were handed out and are not applied yet."""
        return bool(self._applies or (self._ready is not None and self._ready.committed_entries))

    def ask(self, wish: str, *arguments: object) -> None:
        """Call a method of the core by its name: a proposal, a transfer, a campaign."""
        if self.raw is not None and self._world.now >= self.paused_until:
            self._attempt(getattr(self.raw, wish), *arguments)

    def read(self) -> None:
        """Ask for a read index."""
        if self.raw is not None and self._world.now >= self.paused_until:
            context = self._read_context()
            self._checks.read_asked(self, context)
            self._world.count("read")
            self._attempt(self.raw.read_index, context)

    def _read_context(self) -> bytes:
        self._reads += 1
        return b"%d-%d-%d" % (self.id, self.incarnation, self._reads)

    def report_unreachable(self, incarnation: int, member: int) -> None:
        """A message was lost."""
        if incarnation == self.incarnation:
            self.ask("report_unreachable", member)

    def report_snapshot(self, incarnation: int, member: int, ok: bool) -> None:
        """A snapshot arrived, or was lost."""
        if incarnation == self.incarnation and self.raw is not None:
            self._attempt(self.raw.report_snapshot, member, ok)

    def _attempt(self, action: Callable[..., object], *arguments: object) -> None:
        try:
            action(*arguments)
        except RaftError:
            self._world.count("refused by the core")
        self._work()

    # -- what comes out -----------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Begin what can be begun."""
        self._checks.observe(self)
        while self.raw is not None and self._ready is None and self.raw.has_ready():
            ready = self.raw.ready()
            self._checks.handed_out(self, ready)
            if self.asynchronous:
                self._dispatch(ready.messages_now)
            else:
                self._begin(ready)

    def _send(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._checks.sent(self, message)
            self._world.send(message)

    # Synchronous storage: one Ready at a time, in steps between which there may be a crash.

    def _begin(self, ready: Ready) -> None:
        self._ready = ready
        self._send(ready.messages_now)
        self._write(ready.hard_state, ready.entries, ready.snapshot)
        if ready.must_sync or ready.snapshot is not None:
            self._later(self._save_delay_max, self._saved)
        else:
            self._saved()

    def _saved(self) -> None:
        ready = self._ready
        assert ready is not None
        if ready.must_sync or ready.snapshot is not None:
            self._sync()
        self._send(ready.messages_after_save)
        if ready.snapshot is not None:
            self._install(ready.snapshot)
        if ready.committed_entries:
            self._later(self._plan.apply_delay_max, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        ready = self._ready
        assert ready is not None
        assert self.raw is not None
        self._apply(ready.committed_entries)
        self.raw.advance(ready)
        self._ready = None
        self._checks.observe(self)

    # Asynchronous storage: two threads with work of their own, in order.

    def _dispatch(self, messages: Sequence[Message]) -> None:
        for message in self._in_order(messages):
            if message.to == LOCAL_APPEND_THREAD:
                self._appends.append(message)
                if len(self._appends) == 1:
                    self._later(self._save_delay_max, self._append_next)
            elif message.to == LOCAL_APPLY_THREAD:
                self._applies.append(message)
                if len(self._applies) == 1:
                    self._later(self._plan.apply_delay_max, self._apply_next)
            else:
                self._send((message,))

    def _in_order(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Hold requests for votes back until the term is saved that they are of; the Ready lists them before it.

        Else a member could win its term, lead in it, crash before it is saved, and win it once more: with other
        entries of the same term at the same index.
        """
        requests = [message for message in messages if message.type is MessageType.VOTE]
        for message in messages if requests else ():
            if message.to == LOCAL_APPEND_THREAD:
                message.responses = (*message.responses, *requests)
                return [message for message in messages if message.type is not MessageType.VOTE]
        return messages

    def _append_next(self) -> None:
        message = self._appends[0]
        state = HardState(message.term, message.vote, message.commit)
        self._write(None if state == HardState() else state, message.entries, message.snapshot)
        if message.responses:
            self._sync()
        if message.snapshot is not None:
            self._install(message.snapshot)
        self._appends.popleft()
        self._respond(message)
        if self._appends:
            self._later(self._save_delay_max, self._append_next)

    def _apply_next(self) -> None:
        message = self._applies[0]
        self._apply(message.entries)
        self._applies.popleft()
        self._respond(message)
        if self._applies:
            self._later(self._plan.apply_delay_max, self._apply_next)

    def _respond(self, message: Message) -> None:
        assert self.raw is not None
        for response in message.responses:
            if response.to == self.id:
                with suppress(RaftError):  # the own acknowledgement of a member that is removed by now
                    self.raw.step(response)
                self._checks.observe(self)
            else:
                self._send((response,))

    # What both do.

    def _later(self, delay_max: int, action: Callable[[], None]) -> None:
        """Do it after a while, unless there is a crash before; or right now."""
        if delay_max:
            delay = 1 + self._disk_chance.randrange(TICK // 20 if self._world.healed else delay_max)
            self._world.schedule(delay, self._resume, self.incarnation, action)
        else:
            action()

    def _resume(self, incarnation: int, action: Callable[[], None]) -> None:
        if incarnation != self.incarnation:
            return
        if self._disk_chance.random() < self._plan.crashes_at_work and not self._world.healed:
            self._world.crash(self)
        else:
            action()
            self._work()

    def _write(self, hard_state: HardState | None, entries: Sequence[Entry], snapshot: Snapshot | None) -> None:
        self.disk.write(hard_state, entries, snapshot)

    def _sync(self) -> None:
        self.disk.sync()
        self._checks.saved(self)

    def _install(self, snapshot: Snapshot) -> None:
        self.machine = Machine(snapshot)
        self._checks.installed(self, snapshot)
        self._world.count("snapshot installed")

    def _apply(self, entries: Sequence[Entry]) -> None:
        assert self.raw is not None
        for entry in entries:
            if entry.index <= self.machine.index:
                continue  # a snapshot that was saved meanwhile has it
            self.machine.apply(entry)
            if entry.type is not EntryType.NORMAL:
                if self.core.log.unstable.snapshot is not None:
                    self.machine.is_overtaken = True
                    self._world.count("snapshot overtook a change")
                self._configure(self.raw.apply_conf_change(decode_conf_change_entry(entry)))
            self._checks.applied(self, entry)
            self._checks.observe(self)

    def _configure(self, conf_state: ConfState) -> None:
        self.machine.conf_state = conf_state
        self._world.ensure_started((*conf_state.voters, *conf_state.learners))

    def compact(self, keep: int) -> None:
        """Make a snapshot of what is applied, in the place of the log."""
        machine = self.machine
        if self.raw is None or machine.is_overtaken:
            return
        if machine.index > self.disk.live.snapshot().metadata.index:
            self.disk.make_snapshot(machine.index, machine.conf_state, machine.data(), keep=keep)
            self._checks.saved(self)
            self._checks.compacted(self)
            self._world.count("compaction")
