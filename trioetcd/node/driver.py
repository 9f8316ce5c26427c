"""The loop around the consensus core: what comes in is stepped, what comes out is saved, sent and applied, in order.

    waiting proposals --> core --> Ready --> messages that may leave at once
                                         --> write-ahead log, one sync
                                         --> messages that depend on the save
                                         --> committed entries, to the applier

Everything that feeds the core is a sync method that ends with a signal; one task runs the rounds, but for those of a
member that is alone, which whoever brings a request may run (`run_alone`). While a slow sync runs in a thread, messages
and ticks still step the core, and what they bring waits for the next round.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import trio

from trioetcd.log import Logger
from trioetcd.node.applier import Applier
from trioetcd.node.disk import Disk
from trioetcd.node.leadership import Leadership
from trioetcd.node.look_out import look_out
from trioetcd.node.membership import MembershipView
from trioetcd.node.parking import Signal
from trioetcd.node.proposals import Proposals
from trioetcd.node.protocols import Transport
from trioetcd.node.reads import ReadLoop
from trioetcd.node.reconfiguration import Reconfiguration
from trioetcd.node.snapshotting import Snapshotter
from trioetcd.raft import ProposalDropped, RawNode, Ready, StepPeerNotFound
from trioetcd.raft.types import EntryType, HardState, Message
from trioetcd.storage.raft_log import RaftLog
from trioetcd.storage.wal import WriteAheadLog


class DriverStatus(NamedTuple):
    """Where the log of this member stands."""

    term: int
    commit: int
    last_index: int
    rounds: int


class RaftDriver:
    """Owns the core, its log and its write-ahead log. Nothing else writes to them."""

    def __init__(
        self,
        *,
        raw_node: RawNode,
        raft_log: RaftLog,
        wal: WriteAheadLog,
        disk: Disk,
        work: Signal,
        transport: Transport,
        proposals: Proposals,
        reconfiguration: Reconfiguration,
        reads: ReadLoop,
        applier: Applier,
        snapshotter: Snapshotter,
        leadership: Leadership,
        membership: MembershipView,
        hard_state: HardState,
        log: Logger,
    ) -> None:
        self._raw_node = raw_node
        self._raft_log = raft_log
        self._wal = wal
        self._disk = disk
        self._work = work
        self._transport = transport
        self._proposals = proposals
        self._reconfiguration = reconfiguration
        self._reads = reads
        self._applier = applier
        self._snapshotter = snapshotter
        self._leadership = leadership
        self._membership = membership
        self._hard_state = hard_state  # the newest the core gave out; its commit may be ahead of the one on disk
        self._log = log
        self._rounds = 0
        self._is_busy = False  # with a round: no other may begin within it, nor after one that failed
        self._failure: Exception | None = None  # of a round that another task ran

    def step(self, messages: Sequence[Message]) -> None:
        """Give messages of other members to the core."""
        for message in messages:
            try:
                self._raw_node.step(message)
            except StepPeerNotFound:
                self._log.debug(
                    "ignored a response from a member that is not in the configuration", sender=message.from_
                )
            except ProposalDropped:
                self._log.debug("dropped a forwarded proposal", sender=message.from_)
        self._work.set()

    def tick(self) -> None:
        """Let one tick of the core's clock pass, and fail the proposals that are overdue."""
        self._raw_node.tick()
        self._proposals.expire()
        self._reconfiguration.tick()
        self._work.set()

    def report_unreachable(self, member_id: int) -> None:
        """A message to this member was lost."""
        self._raw_node.report_unreachable(member_id)
        self._work.set()

    def report_snapshot(self, member_id: int, ok: bool) -> None:  # noqa: FBT001 # the name of the argument is the core's
        """A snapshot reached this member, or did not."""
        self._raw_node.report_snapshot(member_id, ok)
        self._work.set()

    def transfer_leadership(self, member_id: int) -> None:
        """Ask the core to hand leadership over; `Leadership.changed` tells when it happened."""
        self._raw_node.transfer_leader(member_id)
        self._work.set()

    def forget_leader(self) -> None:
        """Follow nobody, as the leader is known to be gone."""
        self._raw_node.forget_leader()
        self._work.set()

    def campaign(self) -> None:
        """Campaign now, if this member may."""
        self._raw_node.campaign()
        self._work.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run rounds until cancelled. A disk that fails ends it with `DiskFailure`, and with it the member."""
        self._work.set()  # a log that was found may have something to apply
        task_status.started()
        while True:
            await self._work.wait()
            await self._proposals.gather()
            self.run_alone()
            if self._failure is not None:
                raise self._failure
            self._is_busy = True
            self._propose_waiting()
            while self._raw_node.has_ready():
                await self._round(self._raw_node.ready())
                self._propose_waiting()
            self._snapshotter.take_if_due()
            self._is_busy = False
            if self._leadership.is_leader and self._proposals.few_in_flight and self._proposals.are_answered_soon:
                await look_out(self._is_over, clock=trio.current_time)

    def _is_over(self) -> bool:
        """Whether what was proposed is applied, or something came that needs a round."""
        return self._work.is_set or not self._proposals.any_in_flight

    def run_alone(self) -> None:
        """Do at once what waits to be proposed, if this member is the whole cluster and nothing else is under way.

        Such a round waits for nothing but the disk, so whoever brings a request can run it, without a turn of the
        scheduler. What is not done here is left to `run`. What fails is raised here, and ends `run` as well.
        """
        if self._is_busy or not (
            self._membership.is_alone
            and self._leadership.is_leader
            and self._disk.inline
            and self._applier.is_idle
            and not self._reconfiguration.is_due
            and not self._raw_node.has_ready()
        ):
            return
        self._is_busy = True
        try:
            if self._propose_waiting():
                self._round_alone()
        except Exception as failure:
            self._failure = failure
            self._work.set()
            raise
        self._is_busy = False

    def _round_alone(self) -> None:
        """One round of a member that is the whole cluster: the core and apply go ahead while the disk writes.

        The entries count as saved, are committed and applied in memory before they are durable. There is nobody else to
        learn of that, and no other task runs here meanwhile; before anybody is told, and before the engine has any of
        it, the sync is waited for. If it fails, the member ends as after any other that fails, and its state is sealed.
        """
        self._rounds += 1
        written = self._raw_node.ready()
        self._wal.append(self._hard_state, written.entries)
        self._disk.begin()
        self._raft_log.append(written.entries)
        self._raw_node.advance(written)
        committed = self._raw_node.ready()
        messages = written.messages_now or written.messages_after_save or committed.messages_now
        assert not messages, "a member that is alone has nobody to write to"
        self._hard_state = committed.hard_state or self._hard_state
        self._applier.submit(committed.committed_entries, before_telling=self._disk.settle)
        self._raft_log.set_hard_state(self._hard_state)
        self._raw_node.advance(committed)

    def _propose_waiting(self) -> bool:
        """Propose everything that waits, if there is a leader to take it; without one it goes on waiting.

        Tells whether the core took anything of clients.
        """
        if not self._leadership.has_leader:
            return False
        is_taken = False
        while (batch := self._proposals.take_batch()) is not None:
            try:
                self._raw_node.propose(batch.data)
                is_taken = True
            except ProposalDropped:
                self._proposals.refuse(batch)
        if self._reconfiguration.is_due and (change := self._reconfiguration.take()) is not None:
            with suppress(ProposalDropped):  # it is proposed again
                self._raw_node.propose_conf_change(change)
        return is_taken

    async def _round(self, ready: Ready) -> None:
        self._rounds += 1
        if ready.hard_state is not None:
            self._hard_state = ready.hard_state
            self._leadership.term = ready.hard_state.term  # it may move while the leader stays the same
        self._note_leader(ready)
        if ready.read_states:
            self._reads.take(ready.read_states)
        if ready.messages_now:
            self._transport.send(ready.messages_now)  # followers sync the same entries meanwhile (thesis 10.2.1)
        await self._save(ready)
        if ready.messages_after_save:
            self._transport.send(ready.messages_after_save)
        await self._hand_to_applier(ready)
        self._raw_node.advance(ready)

    async def _hand_to_applier(self, ready: Ready) -> None:
        """Give the applier what is committed, and wait for what the core must know to be applied.

        The core lets the next configuration change be proposed, and members campaign, by its own applied index, which
        `advance` moves. So a change of the configuration, or a snapshot that brings one, is really applied by then;
        normal entries may be applied later.
        """
        wait_for = 0
        if ready.snapshot is not None:
            self._applier.install(ready.snapshot.metadata)
            wait_for = ready.snapshot.metadata.index
        if ready.committed_entries:
            self._applier.submit(ready.committed_entries)
            changes = [entry.index for entry in ready.committed_entries if entry.type != EntryType.NORMAL]
            wait_for = max([wait_for, *changes])
        if wait_for:
            await self._applier.wait_applied(wait_for)

    async def _save(self, ready: Ready) -> None:
        """Make durable what the rest of the round depends on.

        A commit index that moved alone is not written: it is written with the next entries. After a crash it is at
        worst lower, which Raft allows (thesis figure 3.1 has it volatile), and never below the applied index, because
        a start takes the higher of the two.
        """
        if ready.snapshot is not None:
            self._snapshotter.save_received(ready.snapshot.metadata, self._hard_state)
            self._raft_log.apply_snapshot(ready.snapshot)
        if ready.entries or ready.must_sync:
            self._wal.append(self._hard_state, ready.entries)
            self._raft_log.append(ready.entries)
        if ready.must_sync:
            if self._disk.inline:
                self._disk.sync_inline()
            else:
                await self._disk.sync_in_thread()
        self._raft_log.set_hard_state(self._hard_state)

    def _note_leader(self, ready: Ready) -> None:
        if ready.soft_state is None:
            return
        lead, state = ready.soft_state
        before = self._leadership.lead
        if not self._leadership.update(lead=lead, state=state, term=self._hard_state.term):
            return
        if lead:
            self._reads.note_leader()
        member, leader, term = f"{self._leadership.member_id:x}", f"{lead:x}", self._hard_state.term
        if not lead:
            self._log.info("lost leader", member_id=member, previous_leader=f"{before:x}", term=term)
        else:
            self._log.info("elected leader", member_id=member, leader=leader, term=term)

    def status(self) -> DriverStatus:
        """Where the log stands."""
        return DriverStatus(self._hard_state.term, self._hard_state.commit, self._raft_log.last_index(), self._rounds)
