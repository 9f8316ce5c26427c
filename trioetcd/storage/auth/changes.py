"""The changes of users, roles and auth itself, one function each: what refuses them, in etcd's order, and what they do.

`CHANGES` is the table of them. What they return has no header; the state machine adds it. Where etcd drops the tokens
of a user, or of all, the `TokenKeeper` is told.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, Final, Protocol

from trioetcd.api import go_base64
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.storage.auth.records import ROOT_ROLE, ROOT_USER, Grant, Role, User
from trioetcd.storage.auth.state import AuthState
from trioetcd.storage.mvcc.go_sort import go_sorted

NO_PASSWORD_USER: Final = (Code.UNKNOWN, "auth: authentication failed, password was given for no password user")
"""etcd has no code for it: it is on the wire as it stands here."""


class TokenKeeper(Protocol):
    """Who has to hear of changes: tokens are kept by each member, and end with what they stand for."""

    def on_enabled(self) -> None:
        """Auth is on."""
        ...

    def on_disabled(self) -> None:
        """Auth is off; no token counts any more."""
        ...

    def on_user_changed(self, name: str, /) -> None:
        """A user was deleted or has another password; its tokens count no more."""
        ...


def _user(state: AuthState, name: str) -> User:
    user = state.users.get(name)
    if user is None:
        raise ApiError.of(ErrorKind.USER_NOT_FOUND)
    return user


def _role(state: AuthState, name: str) -> Role:
    role = state.roles.get(name)
    if role is None:
        raise ApiError.of(ErrorKind.ROLE_NOT_FOUND)
    return role


def _password_hash(encoded: str) -> bytes:
    try:
        return go_base64.decode(encoded.encode())
    except go_base64.Base64Error as error:
        raise ApiError(*NO_PASSWORD_USER) from error


# -- auth itself


def _enable(state: AuthState, tokens: TokenKeeper, _: m.AuthEnableRequest) -> m.AuthEnableResponse:
    """Turn auth on, if there is a root user with the root role; a second time it is of no effect."""
    if not state.enabled:
        root = state.users.get(ROOT_USER)
        if root is None:
            raise ApiError.of(ErrorKind.ROOT_USER_NOT_EXIST)
        if not root.is_root:
            raise ApiError.of(ErrorKind.ROOT_ROLE_NOT_EXIST)
        state.set_enabled(enabled=True)
        tokens.on_enabled()
    return m.AuthEnableResponse()


def _disable(state: AuthState, tokens: TokenKeeper, _: m.AuthDisableRequest) -> m.AuthDisableResponse:
    """Turn auth off; a second time it is of no effect, not even on the revision."""
    if state.enabled:
        state.set_enabled(enabled=False)
        state.next_revision()
        tokens.on_disabled()
    return m.AuthDisableResponse()


# -- users


def _user_add(state: AuthState, _: TokenKeeper, request: m.AuthUserAddRequest) -> m.AuthUserAddResponse:
    if not request.name:
        raise ApiError.of(ErrorKind.USER_EMPTY)
    if request.name in state.users:
        raise ApiError.of(ErrorKind.USER_ALREADY_EXIST)
    no_password = request.options is not None and request.options.no_password
    password_hash = b"" if no_password else _password_hash(request.hashedPassword)
    state.put_user(User(request.name, password_hash, no_password))
    state.next_revision()
    return m.AuthUserAddResponse()


def _user_delete(state: AuthState, tokens: TokenKeeper, request: m.AuthUserDeleteRequest) -> m.AuthUserDeleteResponse:
    if state.enabled and request.name == ROOT_USER:
        raise ApiError.of(ErrorKind.INVALID_AUTH_MGMT)
    _user(state, request.name)
    state.delete_user(request.name)
    state.next_revision()
    tokens.on_user_changed(request.name)
    return m.AuthUserDeleteResponse()


def _user_change_password(
    state: AuthState, tokens: TokenKeeper, request: m.AuthUserChangePasswordRequest
) -> m.AuthUserChangePasswordResponse:
    """Change a password. One who has none keeps none, yet its tokens end and the revision moves."""
    user = _user(state, request.name)
    password_hash = b"" if user.no_password else _password_hash(request.hashedPassword)
    state.put_user(user._replace(password_hash=password_hash))
    state.next_revision()
    tokens.on_user_changed(request.name)
    return m.AuthUserChangePasswordResponse()


def _user_grant_role(
    state: AuthState, _: TokenKeeper, request: m.AuthUserGrantRoleRequest
) -> m.AuthUserGrantRoleResponse:
    """Give a user a role. The root role need not have been added; a role that the user has is given again in vain."""
    user = _user(state, request.user)
    if request.role != ROOT_ROLE:
        _role(state, request.role)
    if request.role not in user.roles:
        roles = list(user.roles)
        insort(roles, request.role)
        state.put_user(user._replace(roles=tuple(roles)))
        state.next_revision()
    return m.AuthUserGrantRoleResponse()


def _user_revoke_role(
    state: AuthState, _: TokenKeeper, request: m.AuthUserRevokeRoleRequest
) -> m.AuthUserRevokeRoleResponse:
    if state.enabled and request.name == ROOT_USER and request.role == ROOT_ROLE:
        raise ApiError.of(ErrorKind.INVALID_AUTH_MGMT)
    user = _user(state, request.name)
    if request.role not in user.roles:
        raise ApiError.of(ErrorKind.ROLE_NOT_GRANTED)
    state.put_user(_without_role(user, request.role))
    state.next_revision()
    return m.AuthUserRevokeRoleResponse()


def _without_role(user: User, role: str) -> User:
    return user._replace(roles=tuple(name for name in user.roles if name != role))


# -- roles


def _role_add(state: AuthState, _: TokenKeeper, request: m.AuthRoleAddRequest) -> m.AuthRoleAddResponse:
    if not request.name:
        raise ApiError.of(ErrorKind.ROLE_EMPTY)
    if request.name in state.roles:
        raise ApiError.of(ErrorKind.ROLE_ALREADY_EXIST)
    state.put_role(Role(request.name))
    state.next_revision()
    return m.AuthRoleAddResponse()


def _role_delete(state: AuthState, _: TokenKeeper, request: m.AuthRoleDeleteRequest) -> m.AuthRoleDeleteResponse:
    """Delete a role, and take it from all who have it."""
    if state.enabled and request.role == ROOT_ROLE:
        raise ApiError.of(ErrorKind.INVALID_AUTH_MGMT)
    _role(state, request.role)
    state.delete_role(request.role)
    for user in list(state.users.values()):
        if request.role in user.roles:
            state.put_user(_without_role(user, request.role))
    state.next_revision()
    return m.AuthRoleDeleteResponse()


def _role_grant_permission(
    state: AuthState, _: TokenKeeper, request: m.AuthRoleGrantPermissionRequest
) -> m.AuthRoleGrantPermissionResponse:
    """Grant a role something on a range.

    etcd 3.5.1 takes a range that holds no key too (later ones refuse it): it stands in the list and permits nothing.
    """
    if request.perm is None:
        raise ApiError.of(ErrorKind.PERMISSION_NOT_GIVEN)
    role = _role(state, request.name)
    grant = Grant(request.perm.permType, request.perm.key, request.perm.range_end)
    state.put_role(role._replace(grants=_with_grant(role.grants, grant)))
    state.next_revision()
    return m.AuthRoleGrantPermissionResponse()


def _with_grant(grants: tuple[Grant, ...], grant: Grant) -> tuple[Grant, ...]:
    """The grants with one more, or with one in another's place.

    Only the first grant of a key is looked at, and replaced if it is of the same range; what has the same key and
    stands behind it stays, though it be of that very range. So it is in every etcd, and clients see the list.
    """
    first = bisect_left(grants, grant.key, key=_key)
    if grants[first : first + 1] and grants[first][1:] == grant[1:]:
        return (*grants[:first], grant, *grants[first + 1 :])
    return tuple(go_sorted([*grants, grant], key=_key, descending=False))


def _key(grant: Grant) -> bytes:
    return grant.key


def _role_revoke_permission(
    state: AuthState, _: TokenKeeper, request: m.AuthRoleRevokePermissionRequest
) -> m.AuthRoleRevokePermissionResponse:
    """Take back what was granted on a range: that very range, not a part of one."""
    role = _role(state, request.role)
    grants = tuple(one for one in role.grants if one[1:] != (request.key, request.range_end))
    if len(grants) == len(role.grants):
        raise ApiError.of(ErrorKind.PERMISSION_NOT_GRANTED)
    state.put_role(role._replace(grants=grants))
    state.next_revision()
    return m.AuthRoleRevokePermissionResponse()


CHANGES: Final[dict[type, Callable[[AuthState, TokenKeeper, Any], Any]]] = {
    m.AuthEnableRequest: _enable,
    m.AuthDisableRequest: _disable,
    m.AuthUserAddRequest: _user_add,
    m.AuthUserDeleteRequest: _user_delete,
    m.AuthUserChangePasswordRequest: _user_change_password,
    m.AuthUserGrantRoleRequest: _user_grant_role,
    m.AuthUserRevokeRoleRequest: _user_revoke_role,
    m.AuthRoleAddRequest: _role_add,
    m.AuthRoleDeleteRequest: _role_delete,
    m.AuthRoleGrantPermissionRequest: _role_grant_permission,
    m.AuthRoleRevokePermissionRequest: _role_revoke_permission,
}
