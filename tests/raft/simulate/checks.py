"""The rules of Raft, checked by one who sees everything: all logs, all disks, all messages.

Every check looks only at what changed in the step that was just made, and relies on what was checked before: two
logs match because every entry is registered with the one before it; a committed entry stays because no save may
remove it. What is checked, and where:

    observe        one leader a term; terms, votes and commit indexes never go back; only what is chosen is committed
    _elected       a leader has a quorum's votes, learners not counted; its log has all that was chosen in earlier terms
    _committed     the leader's commit is of its own term and durable on a quorum of its configuration, learners aside
    handed_out     log matching; a save never removes what is chosen
    sent           nothing leaves before what it depends on is durable; one vote a term
    saved          one durable vote a term
    started        after a restart, term, vote and commit are what was durable, and no less than what was said
    applied        the same entries in the same order, each durable here before; the same configuration after it
    installed      a snapshot is the state, and the configuration, that others had at its index
    read_*         a read index is no older than what was committed when it was asked for
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from trioetcd.raft import (
    NO_LIMIT,
    NO_NODE,
    ConfState,
    Entry,
    EntryType,
    Message,
    MessageType,
    Ready,
    Snapshot,
    StateType,
)
from trioetcd.raft.core import Core

if TYPE_CHECKING:
    from tests.raft.simulate.node import Node

_LEADS = StateType.LEADER
_PROMISES_NOTHING = frozenset({MessageType.PRE_VOTE, MessageType.PRE_VOTE_RESP})
_RELIED_ON = frozenset(  # with asynchronous storage, only these wait for the save of their term
    {
        MessageType.VOTE,
        MessageType.VOTE_RESP,
        MessageType.APP_RESP,
        MessageType.APP,
        MessageType.HEARTBEAT,
        MessageType.SNAP,
        MessageType.TIMEOUT_NOW,
    }
)


SAVED_FIRST = "nothing is sent before what it depends on is saved"


class Violation(Exception):
    """A rule was broken. `rule` is its name; `str()` has the numbers."""

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule

    def __reduce__(self) -> tuple[type[Violation], tuple[str, str]]:
        return Violation, (self.rule, str(self).removeprefix(f"{self.rule}: "))


class Seen(NamedTuple):
    """What a member was last seen to be."""

    term: int
    vote: int
    state: StateType
    committed: int


class Checks:
    """Everything that was ever said, saved or chosen, as far as a rule needs it."""

    def __init__(self, *, ignored: Collection[str] = ()) -> None:
        self._ignored = ignored  # rules that are not checked, to see that others catch what they would
        self.chosen: list[Entry] = []  # the committed log: chosen[i] has index first_index + i
        self.first_index = 0
        self.digests: dict[int, int] = {}  # the state machine's digest after each applied index
        self.configurations: list[ConfState] = []  # each active one, and from which index on
        self.configured_at: list[int] = []
        self._nodes: dict[int, Node] = {}
        self._seen: dict[int, Seen] = {}
        self._leaders: dict[int, int] = {}  # by term
        self._votes: dict[tuple[int, int], int] = {}  # (member, term): for whom
        self._granted: defaultdict[tuple[int, int], set[int]] = defaultdict(set)  # (candidate, term): by whom
        self._said_term: defaultdict[int, int] = defaultdict(int)  # by member: the highest that others rely on
        self._entries: dict[tuple[int, int], tuple[int, EntryType, bytes]] = {}  # (index, term): the one before, ...
        self._chosen_by_term: dict[int, int] = {}  # by the term of the leader that chose: up to which index
        self.reads_answered = 0
        self._reads: dict[tuple[int, bytes], int] = {}  # (member, context): the lowest index that may be answered

    def begin(self, index: int, term: int, conf_state: ConfState) -> None:
        """The group begins with this as its committed, applied state."""
        self.first_index = index
        self.chosen = [Entry(term, index)]
        self.digests[index] = 0
        self.configurations = [conf_state]
        self.configured_at = [index]

    def _fail(self, rule: str, what: str) -> None:
        if rule not in self._ignored:
            raise Violation(rule, what)

    @property
    def last_chosen(self) -> int:
        return self.first_index + len(self.chosen) - 1

    @property
    def leaders(self) -> int:
        """In how many terms there was a leader."""
        return len(self._leaders)

    def configuration_at(self, index: int) -> ConfState:
        """The configuration as of an applied index."""
        return self.configurations[bisect_right(self.configured_at, index) - 1]

    # -- after every step ---------------------------------------------------------------------------------------

    def observe(self, node: Node) -> None:
        """Something happened to this member."""
        core = node.core
        seen = self._seen[node.id]
        term, vote, state, committed = core.term, core.vote, core.state, core.log.committed
        if committed == seen.committed and state is seen.state and term == seen.term and vote == seen.vote:
            return
        self._seen[node.id] = Seen(term, vote, state, committed)
        if term < seen.term:
            self._fail("a term never goes back", f"{node.id} went from {seen.term} to {term}")
        if term == seen.term and seen.vote not in (vote, NO_NODE):
            self._fail("one vote a term", f"{node.id} changed its vote in {term} from {seen.vote} to {vote}")
        if state is _LEADS and (seen.state is not _LEADS or term != seen.term):
            self._elected(node, core)
        if committed < seen.committed:
            self._fail("a commit index never goes back", f"{node.id} went from {seen.committed} to {committed}")
        if committed > seen.committed:
            self._committed(node, core)
        log = core.log
        if not log.applied <= log.applying <= committed <= log.last_index():
            self._fail("applied <= committed <= last", f"{node.id}: {log.applied} {committed} {log.last_index()}")
        stored = node.disk.live.last_index()
        if log.unstable.last_entry is None and log.unstable.snapshot is None and log.last_index() != stored:
            self._fail("what is saved ends where the log ends", f"{node.id}: {stored} {log.last_index()}")

    def _elected(self, node: Node, core: Core) -> None:
        term = core.term
        leader = self._leaders.setdefault(term, node.id)
        if leader != node.id:
            self._fail("one leader a term", f"{leader} and {node.id} both lead term {term}")
        granted = set(self._granted[node.id, term])
        hard_state = node.disk.durable.hard_state
        if hard_state.term == term and hard_state.vote == node.id:
            granted.add(node.id)
        configuration = core.tracker.configuration
        for half in (configuration.incoming, configuration.outgoing):
            if half and not is_majority(granted, half):
                self._fail(
                    "a leader has a quorum's votes", f"{node.id} leads term {term} with {granted} of {configuration}"
                )
        before = max((index for t, index in self._chosen_by_term.items() if t < term), default=self.first_index)
        self._require_chosen(node, core, before, "leader completeness")

    def _require_chosen(self, node: Node, core: Core, index: int, rule: str) -> None:
        """The log has the chosen entry, and by log matching all before it, unless it is compacted."""
        if index < core.log.first_index() - 1:
            return
        term, expected = core.log.term_or_zero(index), self.chosen[index - self.first_index].term
        if term != expected:
            self._fail(rule, f"{node.id} in term {core.term}: entry {index} has term {term}, chosen is {expected}")

    def _committed(self, node: Node, core: Core) -> None:
        index = core.log.committed
        if core.state is _LEADS:
            self._require_durable(node, core, index)
            self._chosen_by_term[core.term] = index
        last = self.last_chosen
        if index > last:
            if core.state is not _LEADS:
                self._fail("a leader commits first", f"{node.id} committed {index}, chosen is {last}")
            self._require_chosen(node, core, last, "committed entries never change")
            self.chosen += core.log.slice(last + 1, index + 1, NO_LIMIT)
        else:
            self._require_chosen(node, core, index, "committed entries never change")

    def _require_durable(self, node: Node, core: Core, index: int) -> None:
        term = core.log.term(index)
        if term != core.term:
            self._fail(
                "a leader commits by an entry of its own term",
                f"{node.id} in term {core.term} committed {index} of term {term}",
            )
        configuration = core.tracker.configuration
        for half in (configuration.incoming, configuration.outgoing):
            durable = {member for member in half if self._nodes[member].disk.durable.holds(index, term)}
            if half and not is_majority(durable, half):
                self._fail(
                    "what is committed is durable on a quorum",
                    f"{node.id} in term {term} committed {index}, durable on {durable} of {configuration}",
                )

    # -- logs and disks -----------------------------------------------------------------------------------------

    def handed_out(self, node: Node, ready: Ready) -> None:
        """A Ready was made: its entries are new to storage, its reads are answered."""
        for read in ready.read_states:
            self._read_answered(node, read.index, read.request_context)
        if not ready.entries:
            return
        entries = ready.entries
        before = node.core.log.term_or_zero(entries[0].index - 1)
        known = self._entries
        for term, index, kind, data in entries:
            entry = (before, kind, data)
            if known.setdefault((index, term), entry) != entry:
                self._fail(
                    "log matching", f"{node.id} has {entry} at {index} of {term}, others have {known[index, term]}"
                )
            before = term
        if entries[0].index <= self.last_chosen:
            self._require_kept(node, entries)

    def _require_kept(self, node: Node, entries: Collection[Entry]) -> None:
        new = {entry.index: entry.term for entry in entries}
        live = node.disk.live
        for index in range(min(new), min(self.last_chosen, live.last_index()) + 1):
            chosen = self.chosen[index - self.first_index].term
            if live.stored_term(index) == chosen != new.get(index):
                self._fail("a save keeps what is chosen", f"{node.id} replaces {index} of {chosen}: {new}")

    def saved(self, node: Node) -> None:
        """This member's disk was synced."""
        term, vote, _ = node.disk.durable.hard_state
        if vote != NO_NODE:
            self._vote(node.id, term, vote)

    def _vote(self, member: int, term: int, candidate: int) -> None:
        given = self._votes.setdefault((member, term), candidate)
        if given != candidate:
            self._fail("one vote a term", f"{member} voted for {given} and {candidate} in {term}")

    def started(self, node: Node) -> None:
        """This member started, maybe for the first time."""
        core = node.core
        self._nodes[node.id] = node
        hard_state = node.disk.durable.hard_state
        if (core.term, core.vote) != hard_state[:2] or core.log.committed < hard_state.commit:
            self._fail("a restart begins with what was durable", f"{node.id}: {hard_state}")
        if core.term < self._said_term[node.id]:
            self._fail(
                "a term never goes back over a restart",
                f"{node.id} starts in {core.term}, it spoke in {self._said_term[node.id]}",
            )
        if self._votes.get((node.id, core.term), core.vote) != core.vote:
            self._fail("a vote is never forgotten", f"{node.id} starts in {core.term} with the vote {core.vote}")
        self._require_configuration(core.tracker.configuration.conf_state(), node)
        self._seen[node.id] = Seen(core.term, core.vote, core.state, core.log.committed)

    def _require_configuration(self, conf_state: ConfState, node: Node) -> None:
        if node.machine.index and conf_state != self.configuration_at(node.machine.index):
            self._fail(
                "one configuration an index",
                f"{node.id} has {conf_state} at {node.machine.index}, "
                f"others had {self.configuration_at(node.machine.index)}",
            )

    # -- messages -----------------------------------------------------------------------------------------------

    def sent(self, node: Node, message: Message) -> None:
        """A message leaves this member."""
        kind, term = message.type, message.term
        if not term or kind in _PROMISES_NOTHING:
            return
        durable = node.disk.durable
        state = durable.hard_state
        relied_on = not node.asynchronous or kind in _RELIED_ON
        if relied_on:
            self._said_term[node.id] = max(self._said_term[node.id], term)
            if state.term < term:
                self._fail(SAVED_FIRST, f"{node.id} sends {kind.name} of {term}, durable is {state}")
        if kind is MessageType.VOTE_RESP and not message.reject:
            self._vote(node.id, term, message.to)
            self._granted[message.to, term].add(node.id)
            if state.term == term and state.vote != message.to:
                self._fail(SAVED_FIRST, f"{node.id} votes for {message.to} in {term}, durable is {state}")
        # In a later term what is acknowledged may be replaced by the same save, as if the answer had been on its way
        # for long: this member's vote in that term, if it gave one, went to a log that held it.
        elif kind is MessageType.APP_RESP and not message.reject and state.term == term:
            self._require_saved(node, message.index)

    def _require_saved(self, node: Node, index: int) -> None:
        last = node.disk.durable.last_index()
        if last < index:
            self._fail(SAVED_FIRST, f"{node.id} acknowledges {index}, durable is {last}")

    # -- state machines -----------------------------------------------------------------------------------------

    def applied(self, node: Node, entry: Entry) -> None:
        """This member applied an entry."""
        index = entry.index
        if index > self.last_chosen or self.chosen[index - self.first_index] != entry:
            self._fail("only what is chosen is applied", f"{node.id} applied {entry}, chosen to {self.last_chosen}")
        if not node.disk.durable.holds(index, entry.term):
            self._fail("what is applied is durable here", f"{node.id} applied {index} of {entry.term}")
        digest = node.machine.digest
        if self.digests.get(index - 1) is None or self.digests.setdefault(index, digest) != digest:
            self._fail("the same entries in the same order", f"{node.id} at {index} of {entry.term}")
        if entry.type is not EntryType.NORMAL and not node.machine.is_overtaken:
            if index > self.configured_at[-1]:
                self.configured_at.append(index)
                self.configurations.append(node.machine.conf_state)
            self._require_configuration(node.machine.conf_state, node)

    def installed(self, node: Node, snapshot: Snapshot) -> None:
        """This member's state was replaced by a snapshot."""
        metadata = snapshot.metadata
        if self.digests.get(metadata.index) != node.machine.digest:
            self._fail("a snapshot is the state at its index", f"{node.id} installed {metadata}")
        self._require_configuration(metadata.conf_state, node)
        pending = node.core.log.unstable.snapshot
        if pending is None or pending.metadata.index == metadata.index:
            self._require_configuration(node.core.tracker.configuration.conf_state(), node)
        if not node.disk.durable.holds(metadata.index, metadata.term):
            self._fail("what is applied is durable here", f"{node.id} installed {metadata}")

    def compacted(self, node: Node) -> None:
        """This member made a snapshot."""
        self._require_configuration(node.disk.durable.snapshot().metadata.conf_state, node)

    # -- reads --------------------------------------------------------------------------------------------------

    def read_asked(self, node: Node, context: bytes) -> None:
        """A client asks this member for a read index: whatever is acknowledged by now was committed before."""
        self._reads[node.id, context] = self.last_chosen

    def _read_answered(self, node: Node, index: int, context: bytes) -> None:
        self.reads_answered += 1
        floor = self._reads.get((node.id, context), -1)
        if floor < 0:
            self._fail("a read that nobody asked for", f"{node.id} was answered {context!r}")
        if index < floor:
            self._fail(
                "a read is no older than what was acknowledged before",
                f"{node.id} was answered {index}, {floor} was committed when it asked ({context!r})",
            )


def is_majority(members: Collection[int], of: Collection[int]) -> bool:
    """Whether these are more than half, counted without the core's help."""
    return 2 * sum(1 for member in of if member in members) > len(of)
