"""The state machine: the one way state changes.

    committed entries --> apply --> results, memory changed --> ONE engine batch with the applied index --> watchers

`apply` is a function of the state and the entries alone: no clock, no connection, no chance. So all members that apply
the same log have the same state and the same results. A request that is refused changes nothing; its refusal is its
result. Anything else that goes wrong is raised, and must stop the member: what is in memory is then ahead of the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgpack

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.raft.types import ConfChange, ConfChangeV2, ConfState
from trioetcd.storage.alarms import Alarms
from trioetcd.storage.auth.changes import CHANGES as AUTH_CHANGES
from trioetcd.storage.auth.store import AuthStore
from trioetcd.storage.downgrade import Downgrade
from trioetcd.storage.engine import Engine, View
from trioetcd.storage.growth import growth_bytes
from trioetcd.storage.internal_ops import (
    AlarmRaised,
    ClusterVersionSet,
    DowngradeSet,
    HistoryExpired,
    LeaseExpired,
    LeasesRemaining,
    MemberAttributes,
    TokenGranted,
)
from trioetcd.storage.leases import Leases
from trioetcd.storage.members import Member, Membership, decode_member_context
from trioetcd.storage.mvcc.counts import OpCounts
from trioetcd.storage.mvcc.store import MvccStore
from trioetcd.storage.mvcc.txn import apply_delete_range, apply_put, apply_txn
from trioetcd.storage.mvcc.watch_hub import WatchHub
from trioetcd.storage.requests import Proposal, RaftRequest
from trioetcd.storage.schema import FORMER_POSITION, POSITION
from trioetcd.storage.sealed import Sealed
from trioetcd.storage.writes import PendingWrites

_PACKER: Final = msgpack.Packer()
"""For the position, once a batch: its buffer is made once, where `packb` makes one a call."""


class AppliedPosition(NamedTuple):
    """The last entry that the state stands for, and the configuration as of that entry."""

    index: int = 0  # type: ignore[assignment]  # hides tuple.index, which has no use here
    term: int = 0
    conf_state: ConfState = ConfState()


class Committed(NamedTuple):
    """A committed entry; `proposal` None is one without data, by which a leader begins its term."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which has no use here
    term: int
    proposal: Proposal | None


class Outcome(NamedTuple):
    """What became of a change of the members: for each request, of which there is one, a response or an `ApiError`."""

    proposal_id: int
    results: tuple[object, ...]


Tell = Callable[[int, Sequence[object]], None]
"""Takes the ID of a proposal, and for each of its requests a response, with its revision, or an `ApiError`."""


def _nothing() -> None:
    """Telling waits for nothing."""


def _nobody_asks(_: int, __: Sequence[object]) -> None:
    """Nobody waits for an outcome."""


class StateMachine:
    """All replicated state over one engine. Between calls engine and memory agree; nobody else writes to the engine."""

    applied: AppliedPosition  # moved only here, in the batch that has the state up to it
    store: MvccStore
    leases: Leases
    alarms: Alarms
    auth: AuthStore
    members: Membership
    downgrade: Downgrade

    def __init__(self, *, engine: Engine) -> None:
        self._handlers: Final[dict[type, Callable[[Any], object]]] = {
            m.PutRequest: self._put,
            m.DeleteRangeRequest: self._delete_range,
            m.TxnRequest: self._txn,
            m.CompactionRequest: self._compact,
            m.LeaseGrantRequest: self._lease_grant,
            m.LeaseRevokeRequest: self._lease_revoke,
            m.AlarmRequest: self._alarm,
            MemberAttributes: self._member_attributes,
            ClusterVersionSet: self._cluster_version,
            LeaseExpired: self._lease_expired,
            LeasesRemaining: self._leases_remaining,
            HistoryExpired: self._compact,
            **dict.fromkeys(AUTH_CHANGES, self._change_auth),
            TokenGranted: self._grant_token,
            DowngradeSet: self._set_downgrade,
            AlarmRaised: self._raise_alarm,
        }
        self.counts: Final = OpCounts()
        self._clock: Callable[[], float] = _no_time
        self._observe_write: Callable[[float], None] = _nobody
        self._load(engine)
        self.watch_hub: Final = WatchHub(store=self.store)

    @classmethod
    def open(cls, *, engine: Engine) -> StateMachine:
        """The state in an engine; index, leases, alarms, auth and members are rebuilt from it."""
        return cls(engine=engine)

    def _load(self, engine: Engine) -> None:
        self._engine = engine
        self._writes = PendingWrites(engine)
        self.applied = _load_position(engine)
        if engine.get(FORMER_POSITION) is not None:
            self._writes.delete(FORMER_POSITION)
        self._conf_state_bytes: bytes = msgpack.packb(self.applied.conf_state)
        self.leases = Leases(engine=engine, writes=self._writes)
        self.store = MvccStore(engine=engine, writes=self._writes, leases=self.leases, counts=self.counts)
        self.alarms = Alarms(engine=engine, writes=self._writes)
        self.auth = AuthStore(engine=engine, writes=self._writes, leases=self.leases)
        self.members = Membership(engine=engine, writes=self._writes)
        self.downgrade = Downgrade(engine=engine, writes=self._writes)

    # -- apply

    def apply(
        self,
        batch: Sequence[Committed],
        *,
        tell: Tell = _nobody_asks,
        before_telling: Callable[[], None] = _nothing,
    ) -> None:
        """Apply entries that follow each other and what is applied.

        Their writes, and the position they lead to, are one engine batch: written, not synced. What becomes of each
        proposal is told before that write: the log has it, so it cannot be undone, and nobody looks at the state before
        this returns. So a lone write is answered 18 of 460 microseconds sooner.

        Whoever applies what the log may still lose gives `before_telling` to wait for it. If that raises, or anything
        before it, the state is sealed: it shows what has perhaps never been.
        """
        run = self._run
        self.store.is_watched = self.watch_hub.has_synced
        outcomes: list[tuple[int, list[object]]] = []
        try:
            for entry in batch:
                self._advance(entry.index, entry.term)
                if entry.proposal is not None:
                    outcomes.append((entry.proposal.id, [run(request) for request in entry.proposal.requests]))
            before_telling()
        except Exception as reason:
            self._seal(reason)
            raise
        for proposal_id, results in outcomes:
            tell(proposal_id, results)
        self._flush()

    def _seal(self, reason: Exception) -> None:
        """Let nobody look at the state any more, nor write on: that raises `reason`, until the member has ended."""
        sealed = Sealed(reason)
        for part in ("store", "leases", "alarms", "auth", "members", "downgrade", "_writes"):
            setattr(self, part, sealed)
        self.watch_hub.seal(sealed)

    def apply_conf_change(
        self,
        *,
        index: int,
        term: int,
        change: ConfChange | ConfChangeV2,
        conf_state: ConfState,
        refusal: ApiError | None = None,
    ) -> Outcome:
        """Apply a change of the configuration, or note its refusal; `conf_state` is what the core made of it.

        The result is the members as they are now (a tuple of `Member`), or the refusal.
        """
        self._advance(index, term)
        self.applied = self.applied._replace(conf_state=conf_state)
        self._conf_state_bytes = msgpack.packb(conf_state)
        result: ApiError | tuple[Member, ...] | None = refusal
        if result is None:
            self.members.apply(change, index=index)
            result = self.members.members()
        self._flush()
        return Outcome(decode_member_context(change.context).proposal_id, (result,))

    def _advance(self, index: int, term: int) -> None:
        before = self.applied
        if index != before.index + 1 or term < before.term:
            raise AssertionError(
                f"entry {index} of term {term} was given to apply after entry {before.index} of term {before.term}"
            )
        self.applied = AppliedPosition(index, term, before.conf_state)

    def _run(self, request: RaftRequest) -> object:
        """The result of one request. One that is refused has changed nothing."""
        op = request.op
        try:
            if self.alarms.any:
                self._refuse_for_alarms(op)
            if self.auth.enabled:
                self.auth.check_request(request)
            return self._handlers[type(op)](op)
        except ApiError as refusal:
            return refusal

    def _flush(self, *, sync: bool = False) -> None:
        index, term, _ = self.applied
        self._writes.put(POSITION, _PACKER.pack((index, term)) + self._conf_state_bytes)
        started = self._clock()
        self._writes.flush(sync=sync)
        self._observe_write(self._clock() - started)
        changes = self.store.take_changes()
        if changes:
            self.watch_hub.publish(changes)

    # -- requests

    def _refuse_for_alarms(self, op: object) -> None:
        """While an alarm stands: nothing changes a corrupt cluster, nothing grows a full one."""
        if self.alarms.corrupt and isinstance(op, _REFUSED_WHEN_CORRUPT):
            raise ApiError.of(ErrorKind.CORRUPT)
        if self.alarms.no_space and growth_bytes(op):
            raise ApiError.of(ErrorKind.NO_SPACE)

    def _put(self, request: m.PutRequest) -> m.PutResponse:
        return apply_put(self.store, self.leases, request)

    def _delete_range(self, request: m.DeleteRangeRequest) -> m.DeleteRangeResponse:
        return apply_delete_range(self.store, request)

    def _txn(self, request: m.TxnRequest) -> m.TxnResponse:
        return apply_txn(self.store, self.leases, request)

    def _compact(self, request: m.CompactionRequest | HistoryExpired) -> m.CompactionResponse:
        self.store.compact(request.revision)
        return m.CompactionResponse(header=self._header())

    def _lease_grant(self, request: m.LeaseGrantRequest) -> m.LeaseGrantResponse:
        lease = self.leases.grant(request.ID, request.TTL)
        return m.LeaseGrantResponse(header=self._header(), ID=lease.id, TTL=lease.ttl_seconds)

    def _lease_revoke(self, request: m.LeaseRevokeRequest) -> m.LeaseRevokeResponse:
        return self._end_lease(request.ID)

    def _lease_expired(self, request: LeaseExpired) -> m.LeaseRevokeResponse:
        self._refuse_former_leader(request.term)
        return self._end_lease(request.lease_id)

    def _end_lease(self, lease_id: int) -> m.LeaseRevokeResponse:
        keys = self.leases.revoke(lease_id)
        for key in keys:
            self.store.delete_range(key, b"")
        if len(keys) > 1:
            self.counts.txns += 1
        self.store.commit()
        return m.LeaseRevokeResponse(header=self._header())

    def _leases_remaining(self, request: LeasesRemaining) -> m.LeaseCheckpointResponse:
        self._refuse_former_leader(request.term)
        self.leases.checkpoint(request.checkpoints)
        return m.LeaseCheckpointResponse(header=self._header())

    def _refuse_former_leader(self, term: int) -> None:
        """What a leader says of time holds in the term in which it leads.

        An entry that a deposed leader wrote into its own log is of that term still; if it is committed, it is before
        all that the next leader answered. One that it passed on, or proposed when it led again, is of another term.
        """
        if term != self.applied.term:
            raise ApiError.of(ErrorKind.NOT_LEADER)

    def _alarm(self, request: m.AlarmRequest) -> m.AlarmResponse:
        if request.action == m.AlarmAction.ACTIVATE:
            alarms = self.alarms.activate(request.memberID, request.alarm)
        elif request.action == m.AlarmAction.DEACTIVATE:
            alarms = self.alarms.deactivate(request.memberID, request.alarm)
        else:
            alarms = self.alarms.get(request.alarm)
        return m.AlarmResponse(header=self._header(), alarms=alarms)

    def _raise_alarm(self, request: AlarmRaised) -> None:
        self.alarms.activate(request.member_id, request.alarm)

    def _set_downgrade(self, request: DowngradeSet) -> None:
        if request.target:
            self.downgrade.begin(request.target)
        else:
            self.downgrade.end()

    def _change_auth(self, request: object) -> object:
        response = self.auth.apply(request)
        response.header = self._header()
        return response

    def _grant_token(self, request: TokenGranted) -> m.AuthenticateResponse:
        response = self.auth.grant_token(request, self.applied.index)
        response.header = self._header()
        return response

    def _member_attributes(self, request: MemberAttributes) -> None:
        self.members.set_attributes(request.member_id, request.name, request.client_urls)

    def _cluster_version(self, request: ClusterVersionSet) -> None:
        self.members.set_cluster_version(request.version)

    def _header(self) -> m.ResponseHeader:
        return m.ResponseHeader(revision=self.store.revision)

    # -- beside apply

    def time_writes(self, *, clock: Callable[[], float], observe: Callable[[float], None]) -> None:
        """Tell `observe` how many seconds the engine took for each batch. Nothing in the state comes from that."""
        self._clock, self._observe_write = clock, observe

    def durable_barrier(self) -> None:
        """Make everything applied so far durable, with its position: log up to there may then be released."""
        self._flush(sync=True)

    def regroup(self, members: Sequence[Member]) -> AppliedPosition:
        """Give the state to the members of a new cluster, durably; return the position that it stands for.

        What clients know of stays: keys with their revisions, leases, alarms, users. The position stays as well, under
        the new configuration: so a new member without this state, or with an older one, is sent what it lacks instead
        of being taken for one that has it. (Such a one's own log begins with an entry for each member, so it must be
        behind those.)
        """
        self.members.replace(members)
        self.downgrade.end()
        conf_state = ConfState(tuple(sorted(one.id for one in members)))
        self.applied = AppliedPosition(max(self.applied.index, len(members) + 1), self.applied.term, conf_state)
        self._conf_state_bytes = msgpack.packb(self.applied.conf_state)
        self.durable_barrier()
        return self.applied

    def view(self) -> tuple[AppliedPosition, View]:
        """The state as it is now, to be sent to another member; the caller closes the view."""
        return self.applied, self._engine.view()

    def reload(self, engine: Engine) -> None:
        """Go on with the state of another engine, installed from a snapshot. The old one is closed by the caller.

        What is replicated (`store`, `leases`, ...) are new objects afterwards. Watch streams live on: their watchers
        are told from the new store what they have not heard of.
        """
        leases, auth = self.leases, self.auth
        self._load(engine)
        self.leases.listen_as(leases)
        self.auth.take_over(auth)
        self.watch_hub.rebind(self.store)

    def size_bytes(self) -> int:
        """What the state takes on disk."""
        return self._engine.size_bytes()

    @property
    def engine(self) -> Engine:
        """The engine of now, for its upkeep; nobody but apply changes what is in it."""
        return self._engine

    def close(self) -> None:
        """Close the engine. What is applied and was not made durable is redone from the log."""
        self._engine.close()

    def digest(self) -> str:
        """A hash of everything replicated, for tests to compare members by."""
        return sha256(self.pack_without_keys() + msgpack.packb(self.store.hash_kv())).hexdigest()

    def pack_without_keys(self) -> bytes:
        """Everything replicated but the keys (members, leases, alarms, auth, downgrade), alike on all members."""
        kinds = (self.members, self.leases, self.alarms, self.auth, self.downgrade)
        packed: bytes = msgpack.packb([kind.digest_parts() for kind in kinds])
        return packed


_REFUSED_WHEN_CORRUPT: Final = (
    m.PutRequest,
    m.DeleteRangeRequest,
    m.TxnRequest,
    m.CompactionRequest,
    m.LeaseGrantRequest,
    m.LeaseRevokeRequest,
    LeaseExpired,
    HistoryExpired,
)


def _no_time() -> float:
    return 0.0


def _nobody(_: float) -> None:
    """Nobody measures."""


def _load_position(engine: Engine) -> AppliedPosition:
    raw = engine.get(POSITION) or engine.get(FORMER_POSITION)
    if raw is None:
        return AppliedPosition()
    unpacker = msgpack.Unpacker(use_list=False)
    unpacker.feed(raw)
    (index, term), (voters, learners, outgoing, learners_next, auto_leave) = unpacker.unpack(), unpacker.unpack()
    return AppliedPosition(index, term, ConfState(voters, learners, outgoing, learners_next, auto_leave))
