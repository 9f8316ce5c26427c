"""Who may send what: the rules that each request of another member has to pass, in etcd's order and words.

A rule looks at the request and at what this member knows, and answers with a refusal or lets it pass. Versions come
first, then the cluster, so that members of another generation or another cluster learn nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from trioetcd.peer.headers import PeerHeaders, PeerIdentity, read_version


class Refusal(NamedTuple):
    """Why a request is not served. `reason` names the rule, `detail` the values that broke it, for the log."""

    status: int
    reason: str
    detail: str = ""


class Membership(Protocol):
    """What the rules ask of the member."""

    def is_removed(self, member_id: int) -> bool:
        """Whether this id belonged to a member that was removed."""
        ...

    def knows(self, member_id: int) -> bool:
        """Whether this id belongs to a member."""
        ...


INCOMPATIBLE_VERSION: Final = "incompatible version"
CLUSTER_MISMATCH: Final = "cluster ID mismatch"
TO_MISMATCH: Final = "to field mismatch"
REMOVED_SENDER: Final = "removed member"
REMOVED_PIPELINE_SENDER: Final = "cannot process message from removed member"
UNKNOWN_SENDER: Final = "error sender not found"

Rule = Callable[[PeerHeaders, PeerIdentity, Membership], Refusal | None]


def check_version(request: PeerHeaders, local: PeerIdentity, _: Membership) -> Refusal | None:
    """Each side must be at least what the other still works with."""
    if request.version < read_version(local.min_cluster_version, "own minimal version"):
        return Refusal(
            412, INCOMPATIBLE_VERSION, f"it has {request.version_text}, {local.min_cluster_version} is needed"
        )
    if read_version(local.version, "own version") < request.min_cluster_version:
        needed = ".".join(map(str, request.min_cluster_version))
        return Refusal(412, INCOMPATIBLE_VERSION, f"it needs {needed}, this member has {local.version}")
    return None


def check_cluster(request: PeerHeaders, local: PeerIdentity, _: Membership) -> Refusal | None:
    """Members of two clusters never speak to each other, however their URLs were mixed up."""
    if request.cluster_id != local.cluster_id:
        return Refusal(412, CLUSTER_MISMATCH, f"it is of cluster {request.cluster_id:x}, not {local.cluster_id:x}")
    return None


def check_cluster_given(request: PeerHeaders, local: PeerIdentity, members: Membership) -> Refusal | None:
    """What asks after leases need not say where it comes from (etcd's members do not); what it says must fit."""
    return check_cluster(request, local, members) if request.cluster_id else None


def check_to_given(request: PeerHeaders, local: PeerIdentity, members: Membership) -> Refusal | None:
    """A stream says whom it is for; it may not be forgotten."""
    if request.to is None:
        return Refusal(412, TO_MISMATCH, "it does not say whom it is for (X-Raft-To)")
    return check_to(request, local, members)


def check_to(request: PeerHeaders, local: PeerIdentity, _: Membership) -> Refusal | None:
    """An address may have gone to another member since; what is meant for one must not reach another."""
    if request.to is not None and request.to != local.member_id:
        return Refusal(412, TO_MISMATCH, f"it is for member {request.to:x}, this is {local.member_id:x}")
    return None


def check_stream_sender(request: PeerHeaders, _: PeerIdentity, members: Membership) -> Refusal | None:
    """Only a member has streams; who was removed is told so, for ever (410 Gone)."""
    if members.is_removed(request.from_):
        return Refusal(410, REMOVED_SENDER, "it was removed from the cluster")
    if not members.knows(request.from_):
        return Refusal(404, UNKNOWN_SENDER, "no member has this id")
    return None


def check_message_sender(request: PeerHeaders, _: PeerIdentity, members: Membership) -> Refusal | None:
    """Messages come from members, or from one that says where it is reached.

    A member that is behind does not know who was added since; were it to refuse the new one's messages while that
    leads, it could never catch up. The id of the cluster, checked before, says that the sender belongs to it.
    """
    if members.is_removed(request.from_):
        return Refusal(403, REMOVED_PIPELINE_SENDER, "it was removed from the cluster")
    if request.from_ == 0 or not (members.knows(request.from_) or request.peer_urls):
        return Refusal(404, UNKNOWN_SENDER, "no member has this id, and it names no peer URLs")
    return None


STREAM_RULES: Final[tuple[Rule, ...]] = (check_version, check_cluster, check_to_given, check_stream_sender)
MESSAGE_RULES: Final[tuple[Rule, ...]] = (check_version, check_cluster, check_to, check_message_sender)

LEASE_RULES: Final[tuple[Rule, ...]] = (check_cluster_given, check_to)


def refusal_of(
    rules: tuple[Rule, ...], request: PeerHeaders, *, local: PeerIdentity, members: Membership
) -> Refusal | None:
    """The first rule's refusal, or None: the request may be served."""
    for rule in rules:
        if (refusal := rule(request, local, members)) is not None:
            return refusal
    return None
