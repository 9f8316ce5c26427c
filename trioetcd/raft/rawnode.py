"""The one door to the core: messages, ticks and wishes go in, a `Ready` comes out.

    while True:
        feed it: tick, step, propose, read_index, ...
        if node.has_ready():
            ready = node.ready()
            ...do what it says, in the order it says...
            node.advance(ready)            # synchronous storage
            node.step(response)            # asynchronous: each response when its work is done

It is synchronous and belongs to one task. Whatever it raises as a `RaftError` changed nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from trioetcd.raft import applying, membership, proposals, step
from trioetcd.raft.confchange_codec import as_v2, conf_change_entry
from trioetcd.raft.config import Config
from trioetcd.raft.core import Core
from trioetcd.raft.errors import ProposalDropped, RaftInvariantError, StepLocalMessage, StepPeerNotFound
from trioetcd.raft.ready import Ready
from trioetcd.raft.status import BasicStatus, Status, basic_status, full_status
from trioetcd.raft.storage_messages import append_request, apply_request
from trioetcd.raft.types import (
    LOCAL_APPEND_THREAD,
    LOCAL_APPLY_THREAD,
    NO_NODE,
    ConfChange,
    ConfChangeV2,
    ConfState,
    Entry,
    EntryType,
    HardState,
    Message,
    MessageType,
    Snapshot,
    SoftState,
    StateType,
)

_LOCAL = frozenset(
    {
        MessageType.HUP,
        MessageType.BEAT,
        MessageType.UNREACHABLE,
        MessageType.SNAP_STATUS,
        MessageType.CHECK_QUORUM,
        MessageType.STORAGE_APPEND,
        MessageType.STORAGE_APPEND_RESP,
        MessageType.STORAGE_APPLY,
        MessageType.STORAGE_APPLY_RESP,
    }
)
_RESPONSES = frozenset(
    {
        MessageType.APP_RESP,
        MessageType.VOTE_RESP,
        MessageType.HEARTBEAT_RESP,
        MessageType.READ_INDEX_RESP,
        MessageType.PRE_VOTE_RESP,
    }
)
_NO_ENTRY = Entry(0, 0)
_THREADS = frozenset({LOCAL_APPEND_THREAD, LOCAL_APPLY_THREAD})


class RawNode:
    """One member of a Raft group."""

    def __init__(self, config: Config) -> None:
        core = Core(config)
        hard_state, conf_state = config.storage.initial_state()
        membership.restore_configuration(core, conf_state)
        if hard_state != HardState():
            core.load(hard_state)
        if config.applied > 0:
            core.log.applied_to(config.applied)
        core.become_follower(core.term, NO_NODE)
        self._core = core
        self._async = config.async_storage_writes
        self._last_soft_state = core.soft_state()
        self._last_hard_state = core.hard_state()
        self._accepted: Ready | None = None  # handed out, not advanced; synchronous storage only
        self._accepted_term = 0  # in which it was handed out,
        self._accepted_last = _NO_ENTRY  # and what was last in the log then and not saved
        self._on_advance: list[Message] = []  # what this member tells itself when `_accepted` is done

    # -- what goes in -------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Time passed: one tick, of which `Config` counts its timeouts."""
        step.tick(self._core)

    def step(self, message: Message) -> None:
        """Take a message from another member, or a response from a local thread.

        Raises `StepLocalMessage`, `StepPeerNotFound`, and `ProposalDropped` for a forwarded proposal: drop it then.
        """
        kind = message.type
        if message.from_ not in _THREADS:
            if kind in _LOCAL:
                raise StepLocalMessage(f"{kind.name} came from member {message.from_}; only a member itself sends it")
            if kind in _RESPONSES and message.from_ not in self._core.tracker.progress:
                raise StepPeerNotFound(f"{kind.name} came from {message.from_}, which is not in the configuration")
        step.step(self._core, message)

    def campaign(self) -> None:
        """Campaign now, if this member may; else nothing happens."""
        step.step(self._core, Message(MessageType.HUP))

    def propose(self, data: bytes) -> None:
        """Append these data to the log, here or at the leader. Raises `ProposalDropped`."""
        self._propose(Entry(0, 0, EntryType.NORMAL, data))

    def propose_conf_change(self, change: ConfChange | ConfChangeV2) -> None:
        """Propose another configuration. Raises `ProposalDropped`.

        A change that cannot follow from the active configuration becomes an empty entry, unless validation is off.
        """
        self._propose(conf_change_entry(change))

    def _propose(self, entry: Entry) -> None:
        core = self._core
        if core.state is StateType.LEADER:
            reason = proposals.try_append(core, (entry,))
            if reason is not None:
                raise ProposalDropped(reason)
        else:
            step.step(core, Message(MessageType.PROP, from_=core.id, entries=(entry,)))

    def apply_conf_change(self, change: ConfChange | ConfChangeV2) -> ConfState:
        """Make a committed change the active configuration, and return that as snapshots store it.

        Call it for every change when it is applied, before `advance`; one that the state machine refuses is applied
        with no member in it. Raises `RaftInvariantError` if it does not follow from the active configuration. If a
        snapshot came meanwhile, what is returned is the configuration of that one, which is active already.
        """
        return membership.apply_conf_change(self._core, as_v2(change))

    def read_index(self, context: bytes) -> None:
        """Ask how far a read that comes now must have applied; a `ReadState` with this context will tell.

        The context is unique among requests that are open. There may be no answer: ask again after a timeout.
        """
        entry = Entry(0, 0, EntryType.NORMAL, context)
        step.step(self._core, Message(MessageType.READ_INDEX, entries=(entry,)))

    def transfer_leader(self, member: int) -> None:
        """Hand leadership to this voter, which has one election timeout for it; `status().lead_transferee` tells."""
        step.step(self._core, Message(MessageType.TRANSFER_LEADER, from_=member))

    def forget_leader(self) -> None:
        """Forget a leader that is known to be gone, so that others' campaigns find no lease here."""
        step.step(self._core, Message(MessageType.FORGET_LEADER))

    def report_unreachable(self, member: int) -> None:
        """A message to this member was lost."""
        step.step(self._core, Message(MessageType.UNREACHABLE, from_=member))

    def report_snapshot(self, member: int, ok: bool) -> None:  # noqa: FBT001 (the outcome is the value)
        """The snapshot for this member was delivered, or not; without a report it is sent nothing more."""
        step.step(self._core, Message(MessageType.SNAP_STATUS, from_=member, reject=not ok))

    def set_election_timeout(self, ticks: int) -> None:
        """Fix the timeout that is drawn by chance, until the next change of role; for transcripts and tests."""
        self._core.election_timeout = ticks

    # -- what comes out -----------------------------------------------------------------------------------------

    def has_ready(self) -> bool:
        """Whether `ready` would have anything to do in it."""
        core, log = self._core, self._core.log
        return bool(
            core.messages
            or core.messages_after_save
            or core.read_states
            or log.unstable.has_next
            or log.has_next_committed(allow_unstable=not self._async)
            or self._hard_state() is not self._last_hard_state
            or self._soft_state() is not self._last_soft_state
        )

    def ready(self) -> Ready:
        """All there is to do. With synchronous storage, the next one comes after `advance` only."""
        if self._accepted is not None:
            raise RaftInvariantError("ready() was called again before advance() of the Ready that came before")
        core = self._core
        log = core.log
        hard_state = self._hard_state()
        soft_state = self._soft_state()
        last = self._last_hard_state
        entries = log.unstable.next_entries()
        ballot_changed = hard_state.term != last.term or hard_state.vote != last.vote
        changed_state = None if hard_state is last else hard_state
        snapshot = log.unstable.next_snapshot()
        committed = log.next_committed(allow_unstable=not self._async)
        if self._async:
            now, after = self._async_messages(entries, changed_state, snapshot, committed)
        else:
            now, after = self._sync_messages(ballot_changed=ballot_changed)
        ready = Ready(
            soft_state=None if soft_state is self._last_soft_state else soft_state,
            hard_state=changed_state,
            read_states=core.read_states,
            entries=entries,
            snapshot=snapshot,
            committed_entries=committed,
            messages_now=now,
            messages_after_save=after,
            must_sync=bool(entries) or ballot_changed,
        )
        self._accept(ready, hard_state, soft_state)
        return ready

    def _hard_state(self) -> HardState:
        """What has to be saved; the one handed out last, if it is still that: this is asked several times a round."""
        core, last = self._core, self._last_hard_state
        if core.log.committed == last.commit and core.term == last.term and core.vote == last.vote:
            return last
        return core.hard_state()

    def _soft_state(self) -> SoftState:
        """Who leads, and what this member is; the one handed out last, as for the hard state."""
        core, last = self._core, self._last_soft_state
        return last if core.lead == last.lead and core.state is last.state else core.soft_state()

    def _accept(self, ready: Ready, hard_state: HardState, soft_state: SoftState) -> None:
        core = self._core
        self._last_hard_state = hard_state
        self._last_soft_state = soft_state
        core.messages = []
        core.messages_after_save = []
        core.read_states = []
        core.log.unstable.accept_in_progress()
        if ready.committed_entries:
            core.log.accept_applying(ready.committed_entries, allow_unstable=not self._async)
        if not self._async:
            self._accepted = ready
            self._accepted_term = core.term
            self._accepted_last = core.log.unstable.last_entry or _NO_ENTRY

    def _async_messages(
        self,
        entries: Sequence[Entry],
        hard_state: HardState | None,
        snapshot: Snapshot | None,
        committed: Sequence[Entry],
    ) -> tuple[Sequence[Message], Sequence[Message]]:
        core = self._core
        messages = core.messages
        append = append_request(core, entries, hard_state, snapshot)
        if append is not None:
            messages.append(append)
        if committed:
            messages.append(apply_request(core, committed))
        return messages, ()

    def _sync_messages(self, *, ballot_changed: bool) -> tuple[Sequence[Message], Sequence[Message]]:
        """Split the messages by what they wait for, and keep those to this member until `advance`.

        A leader may send its entries while it saves them itself (thesis 10.2.1), as it counts its own save only when
        it is done; but its term must be saved. All that a follower or candidate says waits for its save.
        """
        core = self._core
        own = core.id
        after: list[Message] = []
        for message in core.messages_after_save:
            (self._on_advance if message.to == own else after).append(message)
        if core.state is StateType.LEADER and not ballot_changed:
            return core.messages, after
        return (), core.messages + after

    def advance(self, ready: Ready) -> None:
        """The Ready that came last is done: saved, sent and applied. Synchronous storage only.

        Normal entries may be applied later, in order. Configuration changes may not: the rule that one change is made
        at a time (thesis 4.1), and that nobody campaigns with one unmade, rests on `apply_conf_change` coming first.
        """
        if ready is not self._accepted:
            raise RaftInvariantError(
                "advance() got another Ready than ready() returned last, or storage is asynchronous"
            )
        self._accepted = None
        messages, self._on_advance = self._on_advance, []
        for message in messages:
            step.step(self._core, message)
        last = self._accepted_last
        applying.saved(
            self._core,
            term=self._accepted_term,
            last_index=last.index,
            last_term=last.term,
            snapshot=ready.snapshot,
        )
        if ready.committed_entries:
            applying.entries_applied(self._core, ready.committed_entries)

    # -- what can be asked --------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Everything, with a leader's view of its followers."""
        return full_status(self._core)

    def basic_status(self) -> BasicStatus:
        """The cheap part of `status`, for asking it often."""
        return basic_status(self._core)
