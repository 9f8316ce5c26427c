"""Who may do what: one table with a row for every request that is about keys, leases or the cluster's state.

The same rows are asked before a request is proposed or a read is answered, and again when it is applied, at every
depth of a transaction, on ranges as the client gave them. What has no row is refused. A refusal is one of

    USER_EMPTY          nobody asks
    AUTH_OLD_REVISION   users or roles have changed since the token was looked at: the client authenticates again
    PERMISSION_DENIED   the user may not, or is gone
    USER_NOT_FOUND      the user is gone, and it is about administration

Requests of administration are not refused for an old revision, as in etcd. Where etcd 3.5.1 does not look (nested
transactions, prev_kv and leases of puts in transactions, leases, compaction, alarms, anything while an alarm stands),
the rule is that of the releases which closed the hole, or what the rule would be without the alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final, NamedTuple

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage import internal_ops
from trioetcd.storage.auth.key_ranges import FROM_KEY, KeyRanges, Permitted
from trioetcd.storage.auth.records import User
from trioetcd.storage.auth.state import AuthState
from trioetcd.storage.leases import Leases


class AuthInfo(NamedTuple):
    """Who asks, and the revision of the auth store at which its token was looked at."""

    username: str
    revision: int


NOBODY: Final = AuthInfo("", 0)

_POINT: Final = b""
"""The range end of one key."""

_Side = Callable[[Permitted], KeyRanges]
_readable: Final[_Side] = attrgetter("readable")
_writable: Final[_Side] = attrgetter("writable")


class Access:
    """Decides, and changes nothing. `info` is `NOBODY` for a request without a token."""

    __slots__ = ("_leases", "_state")

    def __init__(self, *, state: AuthState, leases: Leases) -> None:
        self._state = state
        self._leases = leases

    def check(self, info: AuthInfo, op: object) -> None:
        """Raise `ApiError` unless the request is permitted to who asks."""
        rule = RULES.get(type(op), _nobody_may)
        rule(self, info, op)

    # -- what rules are made of

    def root(self, info: AuthInfo) -> None:
        """Refuse all but users with the root role."""
        if not self._user(info, ErrorKind.USER_NOT_FOUND).is_root:
            raise ApiError.of(ErrorKind.PERMISSION_DENIED)

    def user(self, info: AuthInfo) -> None:
        """Refuse nobody, and users that are gone."""
        self._user(info, ErrorKind.PERMISSION_DENIED)

    def _user(self, info: AuthInfo, when_gone: ErrorKind) -> User:
        if not info.username:
            raise ApiError.of(ErrorKind.USER_EMPTY)
        user = self._state.users.get(info.username)
        if user is None:
            raise ApiError.of(when_gone)
        return user

    def read(self, info: AuthInfo, key: bytes, range_end: bytes = _POINT) -> None:
        """Refuse who may not read all of a range."""
        self._within(self._allowed(info, _readable), key, range_end)

    def write(self, info: AuthInfo, key: bytes, range_end: bytes = _POINT) -> None:
        """Refuse who may not write all of a range."""
        self._within(self._allowed(info, _writable), key, range_end)

    def read_lease(self, info: AuthInfo, lease_id: int) -> None:
        """Refuse who may not read every key that hangs on a lease. One that is not there has none."""
        self._lease_within(lease_id, info, _readable)

    def write_lease(self, info: AuthInfo, lease_id: int) -> None:
        """Refuse who may not write every key that hangs on a lease, since they all end with it."""
        self._lease_within(lease_id, info, _writable)

    def _allowed(self, info: AuthInfo, side: _Side) -> KeyRanges | None:
        """The keys that one side of the permissions is about; None for all keys."""
        if not info.revision:
            raise ApiError.of(ErrorKind.USER_EMPTY)
        if info.revision < self._state.revision:
            raise ApiError.of(ErrorKind.AUTH_OLD_REVISION)
        user = self._user(info, ErrorKind.PERMISSION_DENIED)
        return None if user.is_root else side(self._state.permitted(user))

    def _lease_within(self, lease_id: int, info: AuthInfo, side: _Side) -> None:
        lease = self._leases.find(lease_id)
        if lease is not None and lease.keys:
            allowed = self._allowed(info, side)
            for key in lease.keys:
                self._within(allowed, key, _POINT)

    @staticmethod
    def _within(allowed: KeyRanges | None, key: bytes, range_end: bytes) -> None:
        if allowed is not None and not allowed.covers(key, range_end):
            raise ApiError.of(ErrorKind.PERMISSION_DENIED)

    def all_leases(self) -> Iterable[int]:
        """The IDs of all leases."""
        return self._leases.all

    def has_role(self, info: AuthInfo, role: str) -> bool:
        """Whether who asks has been given a role."""
        user = self._state.users.get(info.username)
        return user is not None and role in user.roles


# -- keys


def _range(access: Access, info: AuthInfo, request: m.RangeRequest) -> None:
    access.read(info, request.key, request.range_end)


def _put(access: Access, info: AuthInfo, request: m.PutRequest) -> None:
    """Who hangs a key on a lease must be able to revoke it; who is told the previous value must be able to read it."""
    access.write(info, request.key)
    if request.lease:
        access.write_lease(info, request.lease)
    if request.prev_kv:
        access.read(info, request.key)


def _delete_range(access: Access, info: AuthInfo, request: m.DeleteRangeRequest) -> None:
    access.write(info, request.key, request.range_end)
    if request.prev_kv:
        access.read(info, request.key, request.range_end)


def _txn(access: Access, info: AuthInfo, request: m.TxnRequest) -> None:
    """All guards and the operations of both branches, whichever will be taken. One without any is anybody's."""
    for guard in request.compare:
        access.read(info, guard.key, guard.range_end)
    for ops in (request.success, request.failure):
        for op in ops:
            _txn_op(access, info, op)


def _txn_op(access: Access, info: AuthInfo, op: m.RequestOp) -> None:
    if op.request_range is not None:
        _range(access, info, op.request_range)
    if op.request_put is not None:
        _put(access, info, op.request_put)
    if op.request_delete_range is not None:
        _delete_range(access, info, op.request_delete_range)
    if op.request_txn is not None:
        _txn(access, info, op.request_txn)


def _watch(access: Access, info: AuthInfo, request: m.WatchCreateRequest) -> None:
    """A watch reads the range as it is asked for; without a key it begins with the first one there can be."""
    access.read(info, request.key or FROM_KEY, request.range_end)


# -- leases


def _lease_revoke(access: Access, info: AuthInfo, request: m.LeaseRevokeRequest) -> None:
    access.user(info)
    access.write_lease(info, request.ID)


def _lease_keep_alive(access: Access, info: AuthInfo, request: m.LeaseKeepAliveRequest) -> None:
    access.user(info)
    access.write_lease(info, request.ID)


def _lease_time_to_live(access: Access, info: AuthInfo, request: m.LeaseTimeToLiveRequest) -> None:
    """The time that is left is anybody's with a token; the keys are for those who may read them."""
    access.user(info)
    if request.keys:
        access.read_lease(info, request.ID)


def _lease_leases(access: Access, info: AuthInfo, _: m.LeaseLeasesRequest) -> None:
    access.user(info)
    for lease_id in access.all_leases():
        access.read_lease(info, lease_id)


# -- the rest


def _alarm(access: Access, info: AuthInfo, request: m.AlarmRequest) -> None:
    if request.action == m.AlarmAction.GET:
        access.user(info)
    else:
        access.root(info)


def _user_get(access: Access, info: AuthInfo, request: m.AuthUserGetRequest) -> None:
    """Users may look at themselves, and nobody at nobody: there is none, and so etcd answers."""
    if request.name != info.username:
        access.root(info)


def _role_get(access: Access, info: AuthInfo, request: m.AuthRoleGetRequest) -> None:
    """Users may look at the roles they have."""
    if not access.has_role(info, request.role):
        access.root(info)


def _root(access: Access, info: AuthInfo, _: object) -> None:
    access.root(info)


def _any_user(access: Access, info: AuthInfo, _: object) -> None:
    access.user(info)


def _members_own(_access: Access, _info: AuthInfo, _op: object) -> None:
    """Members trust each other."""


def _nobody_may(_access: Access, _info: AuthInfo, _op: object) -> None:
    raise ApiError.of(ErrorKind.PERMISSION_DENIED)


RULES: Final[dict[type, Callable[[Access, AuthInfo, Any], None]]] = {
    m.RangeRequest: _range,
    m.PutRequest: _put,
    m.DeleteRangeRequest: _delete_range,
    m.TxnRequest: _txn,
    m.WatchCreateRequest: _watch,
    m.CompactionRequest: _root,
    m.LeaseGrantRequest: _any_user,
    m.LeaseRevokeRequest: _lease_revoke,
    m.LeaseKeepAliveRequest: _lease_keep_alive,
    m.LeaseTimeToLiveRequest: _lease_time_to_live,
    m.LeaseLeasesRequest: _lease_leases,
    m.AlarmRequest: _alarm,
    m.AuthEnableRequest: _root,
    m.AuthDisableRequest: _root,
    m.AuthStatusRequest: _root,
    m.AuthUserAddRequest: _root,
    m.AuthUserGetRequest: _user_get,
    m.AuthUserListRequest: _root,
    m.AuthUserDeleteRequest: _root,
    m.AuthUserChangePasswordRequest: _root,
    m.AuthUserGrantRoleRequest: _root,
    m.AuthUserRevokeRoleRequest: _root,
    m.AuthRoleAddRequest: _root,
    m.AuthRoleGetRequest: _role_get,
    m.AuthRoleListRequest: _root,
    m.AuthRoleDeleteRequest: _root,
    m.AuthRoleGrantPermissionRequest: _root,
    m.AuthRoleRevokePermissionRequest: _root,
    **{
        op: _members_own
        for op in vars(internal_ops).values()
        if isinstance(op, type) and op.__module__ == internal_ops.__name__
    },
}
