"""Who is in the cluster: members, those removed for ever, and the cluster's version. The one store of it.

Membership changes through configuration changes alone. The change's context carries what the core does not know:
the member's name and URLs, and whether a learner is being promoted. Names and client URLs come later, as a request that
each member makes of itself (`MemberAttributes`).

Of the copies that a proposer may have sent of one change, one at most is made: a change names the index of the last one
that its proposer had applied, and is superseded once there is a newer one.

IDs are etcd's: hashes of peer URLs, so that all members of a new cluster compute the same ones without talking.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Final, NamedTuple

import msgpack

from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.raft.types import ConfChange, ConfChangeType, ConfChangeV2
from trioetcd.storage.engine import Reader
from trioetcd.storage.schema import (
    MEMBER_PREFIX,
    META_CLUSTER_VERSION,
    META_MEMBERS_CHANGED,
    REMOVED_MEMBER_PREFIX,
    id_key,
    prefix_end,
    unsigned_id,
)
from trioetcd.storage.writes import PendingWrites

LEARNERS_MAX: Final = 1
"""etcd 3.5's constant: more learners than this are refused."""

SUPERSEDED: Final = ApiError(Code.ABORTED, "the members have changed since this change of them was proposed")
"""The refusal of a change that builds on an older membership. Its proposer proposes it anew; no client sees this."""


class Member(NamedTuple):
    """A member of the cluster. One that has not started yet has no name."""

    id: int
    name: str = ""
    peer_urls: tuple[str, ...] = ()
    client_urls: tuple[str, ...] = ()
    is_learner: bool = False


class MemberContext(NamedTuple):
    """What a configuration change carries: the member it adds or updates, and which proposal waits for it (0: none).

    `based_on` is the `Membership.changed_at` of the proposer; None builds on nothing, as the first entries of a log do.
    """

    member: Member
    is_promote: bool = False
    proposal_id: int = 0
    based_on: int | None = None


class MalformedContext(Exception):
    """A configuration change whose context cannot be read: another program wrote this log."""


def compute_member_id(peer_urls: Iterable[str], cluster_token: str, now_seconds: int | None = None) -> int:
    """Compute etcd's member ID. A member that is added later has the time (Unix seconds) in it, and an empty token."""
    text = "".join(sorted(peer_urls)) + cluster_token
    if now_seconds is not None:
        text += str(now_seconds)
    return _hash64(text.encode())


def compute_cluster_id(member_ids: Iterable[int]) -> int:
    """Compute etcd's cluster ID, of the first members' IDs in any order."""
    return _hash64(b"".join(one.to_bytes(8, "big") for one in sorted(member_ids)))


def _hash64(data: bytes) -> int:
    return int.from_bytes(sha1(data, usedforsecurity=False).digest()[:8], "big")


def encode_member_context(
    member: Member, *, is_promote: bool = False, proposal_id: int = 0, based_on: int | None = None
) -> bytes:
    """The context of a configuration change."""
    packed: bytes = msgpack.packb((proposal_id, is_promote, member, based_on))
    return packed


def decode_member_context(data: bytes) -> MemberContext:
    """What `encode_member_context` made; of no bytes at all (a joint configuration is left), an empty context."""
    if not data:
        return MemberContext(Member(0))
    try:
        proposal_id, is_promote, member, based_on = msgpack.unpackb(data)
        return MemberContext(
            _member(member), bool(is_promote), int(proposal_id), None if based_on is None else int(based_on)
        )
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise MalformedContext(
            f"the context of a configuration change cannot be read ({error}): {data[:64]!r}"
        ) from error


def _member(fields: Sequence[object]) -> Member:
    number, name, peer_urls, client_urls, is_learner = fields
    if not (isinstance(number, int) and isinstance(name, str) and isinstance(is_learner, bool)):
        raise TypeError(f"a member is (id, name, peer URLs, client URLs, is learner), not {fields!r}")
    return Member(number, name, _urls(peer_urls), _urls(client_urls), is_learner)


def _urls(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(url, str) for url in value):
        raise TypeError(f"URLs are a list of strings, not {value!r}")
    return tuple(value)


class Membership:
    """The members. Changed only by apply."""

    def __init__(self, *, engine: Reader, writes: PendingWrites) -> None:
        self._writes = writes
        self._members: dict[int, Member] = {}
        self._removed: set[int] = set()
        for _, raw in engine.range(MEMBER_PREFIX, prefix_end(MEMBER_PREFIX)):
            member = _member(msgpack.unpackb(raw))
            self._members[member.id] = member
        for key, _ in engine.range(REMOVED_MEMBER_PREFIX, prefix_end(REMOVED_MEMBER_PREFIX)):
            self._removed.add(unsigned_id(REMOVED_MEMBER_PREFIX, key))
        version = engine.get(META_CLUSTER_VERSION)
        self.cluster_version: str | None = None if version is None else version.decode()
        changed_at = engine.get(META_MEMBERS_CHANGED)
        # Index of the last configuration change that was made, 0 before the first; moved only by `apply`.
        self.changed_at: int = 0 if changed_at is None else msgpack.unpackb(changed_at)

    # -- reads

    def members(self) -> tuple[Member, ...]:
        """All members in the order of their IDs."""
        return tuple(member for _, member in sorted(self._members.items()))

    def removed(self) -> frozenset[int]:
        """The IDs that no member will have again."""
        return frozenset(self._removed)

    def get(self, member_id: int) -> Member | None:
        """The member of this ID."""
        return self._members.get(member_id)

    def knows(self, member_id: int) -> bool:
        """Whether this ID belongs to a member."""
        return member_id in self._members

    def is_removed(self, member_id: int) -> bool:
        """Whether this ID belonged to a member that was removed."""
        return member_id in self._removed

    # -- configuration changes

    def check(self, change: ConfChange | ConfChangeV2) -> ApiError | None:
        """Why the change must be refused, if it must; asked at apply, and answered alike by all members."""
        context = decode_member_context(change.context)
        if context.based_on is not None and context.based_on != self.changed_at:
            return SUPERSEDED
        for kind, member_id in _steps(change):
            refusal = self._check_step(kind, member_id, context)
            if refusal is not None:
                return ApiError.of(refusal)
        return None

    def _check_step(self, kind: ConfChangeType, member_id: int, context: MemberContext) -> ErrorKind | None:
        if member_id in self._removed:
            return ErrorKind.MEMBER_NOT_FOUND
        is_there = member_id in self._members
        adds = kind in (ConfChangeType.ADD_NODE, ConfChangeType.ADD_LEARNER_NODE) and not context.is_promote
        if not adds:
            if not is_there:
                return ErrorKind.MEMBER_NOT_FOUND
            if context.is_promote and not self._members[member_id].is_learner:
                return ErrorKind.MEMBER_NOT_LEARNER
        elif is_there:
            return ErrorKind.MEMBER_EXIST
        if kind is ConfChangeType.REMOVE_NODE and not self._voters_but(member_id):
            return ErrorKind.MEMBER_NOT_ENOUGH_STARTED  # nobody could ever decide anything again
        if (adds or kind is ConfChangeType.UPDATE_NODE) and self._has_url(context.member.peer_urls, but=member_id):
            return ErrorKind.PEER_URL_EXIST
        if adds and context.member.is_learner and self._learners() >= LEARNERS_MAX:
            return ErrorKind.TOO_MANY_LEARNERS
        return None

    def _has_url(self, urls: Iterable[str], *, but: int) -> bool:
        taken = {url for one in self._members.values() if one.id != but for url in one.peer_urls}
        return not taken.isdisjoint(urls)

    def _voters_but(self, member_id: int) -> list[Member]:
        return [one for one in self._members.values() if not one.is_learner and one.id != member_id]

    def _learners(self) -> int:
        return sum(one.is_learner for one in self._members.values())

    def apply(self, change: ConfChange | ConfChangeV2, *, index: int) -> None:
        """Make a change that `check` lets pass; `index` is that of its entry."""
        context = decode_member_context(change.context)
        self.changed_at = index
        self._writes.put(META_MEMBERS_CHANGED, msgpack.packb(index))
        for kind, member_id in _steps(change):
            self._apply_step(kind, member_id, context)

    def _apply_step(self, kind: ConfChangeType, member_id: int, context: MemberContext) -> None:
        before = self._members.get(member_id)
        if kind is ConfChangeType.REMOVE_NODE:
            del self._members[member_id]
            self._removed.add(member_id)
            self._writes.delete(id_key(MEMBER_PREFIX, member_id))
            self._writes.put(id_key(REMOVED_MEMBER_PREFIX, member_id), b"")
        elif before is None:
            self._store(context.member._replace(id=member_id))
        elif context.is_promote:
            self._store(before._replace(is_learner=False))
        else:
            self._store(before._replace(peer_urls=context.member.peer_urls))

    def replace(self, members: Iterable[Member]) -> None:
        """Begin anew with other members, as if there had been no others: the state is given to a new cluster."""
        for member_id in self._members:
            self._writes.delete(id_key(MEMBER_PREFIX, member_id))
        for member_id in self._removed:
            self._writes.delete(id_key(REMOVED_MEMBER_PREFIX, member_id))
        self._writes.delete(META_CLUSTER_VERSION)
        self._writes.delete(META_MEMBERS_CHANGED)
        self._members, self._removed = {}, set()
        self.cluster_version, self.changed_at = None, 0
        for member in members:
            self._store(member)

    def set_attributes(self, member_id: int, name: str, client_urls: Sequence[str]) -> None:
        """A member says its name and where its clients may come; one that was removed meanwhile is passed over."""
        before = self._members.get(member_id)
        if before is not None:
            self._store(before._replace(name=name, client_urls=tuple(client_urls)))

    def set_cluster_version(self, version: str) -> None:
        """The version that all members speak, `X.Y.0`."""
        self.cluster_version = version
        self._writes.put(META_CLUSTER_VERSION, version.encode())

    def _store(self, member: Member) -> None:
        self._members[member.id] = member
        self._writes.put(id_key(MEMBER_PREFIX, member.id), msgpack.packb(member))

    def digest_parts(self) -> list[object]:
        """What all members must agree on."""
        return [list(self.members()), sorted(self._removed), self.cluster_version, self.changed_at]


def _steps(change: ConfChange | ConfChangeV2) -> list[tuple[ConfChangeType, int]]:
    """What a change does, member by member. A change without steps only leaves a joint configuration."""
    if isinstance(change, ConfChange):
        return [(change.type, change.node_id)]
    if len(change.changes) > 1:
        raise MalformedContext(
            f"a configuration change of {len(change.changes)} members at once: members are changed one at a time here"
        )
    return [(one.type, one.node_id) for one in change.changes]
