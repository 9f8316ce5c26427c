"""The auth store: what the state machine applies to it, what services read from it, and whom it asks to drop tokens.

Like all that is applied it is a function of the log alone. Passwords come to it hashed, tokens chosen: the service that
proposes has the clock, the chance and the time that bcrypt takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.auth.access import NOBODY, Access, AuthInfo
from trioetcd.storage.auth.changes import CHANGES, NO_PASSWORD_USER
from trioetcd.storage.auth.records import User
from trioetcd.storage.auth.state import AuthState
from trioetcd.storage.engine import Reader
from trioetcd.storage.internal_ops import TokenGranted
from trioetcd.storage.leases import Leases
from trioetcd.storage.requests import RaftRequest
from trioetcd.storage.writes import PendingWrites


class AuthStore:
    """Users, roles and permissions, and what may be done by whom. Changed only by apply.

    `on_enabled`, `on_disabled`, `on_user_changed` and `on_token_granted` tell the one who keeps this member's tokens:
    the user's are to be dropped when it is deleted or its password is changed, all when auth is turned off.
    """

    def __init__(self, *, engine: Reader, writes: PendingWrites, leases: Leases) -> None:
        self._state = AuthState(engine=engine, writes=writes)
        self._access = Access(state=self._state, leases=leases)
        self.enabled: bool = self._state.enabled  # a copy that is cheap to look at; follows every change
        self.on_enabled: Callable[[], None] = _nobody
        self.on_disabled: Callable[[], None] = _nobody
        self.on_user_changed: Callable[[str], None] = _nobody
        self.on_token_granted: Callable[[str, str], None] = _nobody

    @property
    def revision(self) -> int:
        """The auth revision: 1 at first, one more with every change of users and roles, and when auth goes off."""
        return self._state.revision

    # -- apply

    def apply(self, request: object) -> Any:
        """Change users, roles or auth itself; return the response, without its header.

        The request is one of `CHANGES`. Raises `ApiError`, having changed nothing. `hashedPassword` is bcrypt's hash in
        base64, as etcd has it in its log; a password in the clear is not looked at.
        """
        response = CHANGES[type(request)](self._state, self, request)
        self.enabled = self._state.enabled
        return response

    def grant_token(self, request: TokenGranted, index: int) -> m.AuthenticateResponse:
        """Assign a simple token to a user whose password the proposer has checked; return it, without a header.

        The token is what was chosen, with the index of the entry behind a dot. Where none was chosen (tokens that need
        not be kept), nobody is told of one. Raises AUTH_NOT_ENABLED, AUTH_FAILED.
        """
        if not self.enabled:
            raise ApiError.of(ErrorKind.AUTH_NOT_ENABLED)
        user = self._state.users.get(request.name)
        if user is None or user.no_password:
            raise ApiError.of(ErrorKind.AUTH_FAILED)
        if not request.simple_token:
            return m.AuthenticateResponse()
        token = f"{request.simple_token}.{index}"
        self.on_token_granted(request.name, token)
        return m.AuthenticateResponse(token=token)

    def check_request(self, request: RaftRequest) -> None:
        """Raise `ApiError` unless a request of the log may be applied. To be asked while auth is on.

        What a member asks for itself is of a type of its own (`internal_ops`), and not a user's.
        """
        self._access.check(AuthInfo(request.username, request.auth_revision), request.op)

    # -- who may

    def check_op(self, info: AuthInfo | None, op: object) -> None:
        """Raise `ApiError` unless a request (also one for a read) is permitted; while auth is off, all are.

        The rules, and what each refusal means, stand in `access.py`.
        """
        if self.enabled:
            self._access.check(info or NOBODY, op)

    def check_root(self, info: AuthInfo | None) -> None:
        """Raise `ApiError` unless who asks has the root role; while auth is off, everybody has."""
        if self.enabled:
            self._access.root(info or NOBODY)

    def check_user(self, info: AuthInfo | None) -> None:
        """Raise `ApiError` unless who asks is a user that is there; while auth is off, everybody is."""
        if self.enabled:
            self._access.user(info or NOBODY)

    # -- reads

    def password_hash(self, name: str) -> bytes:
        """The bcrypt hash of a user's password; empty is one that no password fits.

        Raises AUTH_NOT_ENABLED, AUTH_FAILED for a user that is not there, and `NO_PASSWORD_USER` for one that has no
        password, in etcd's order.
        """
        if not self.enabled:
            raise ApiError.of(ErrorKind.AUTH_NOT_ENABLED)
        user = self._state.users.get(name)
        if user is None:
            raise ApiError.of(ErrorKind.AUTH_FAILED)
        if user.no_password:
            raise ApiError(*NO_PASSWORD_USER)
        return user.password_hash

    def status(self) -> m.AuthStatusResponse:
        """Whether auth is on, and its revision."""
        return m.AuthStatusResponse(enabled=self.enabled, authRevision=self.revision)

    def user_get(self, name: str) -> m.AuthUserGetResponse:
        """A user's roles, sorted. Raises USER_NOT_FOUND."""
        user = self._state.users.get(name)
        if user is None:
            raise ApiError.of(ErrorKind.USER_NOT_FOUND)
        return m.AuthUserGetResponse(roles=list(user.roles))

    def user_list(self) -> m.AuthUserListResponse:
        """All users, sorted."""
        return m.AuthUserListResponse(users=sorted(self._state.users))

    def role_get(self, name: str) -> m.AuthRoleGetResponse:
        """What a role is granted, in the order of keys. Raises ROLE_NOT_FOUND.

        The root role is there only if it was added; that it may do everything does not show.
        """
        role = self._state.roles.get(name)
        if role is None:
            raise ApiError.of(ErrorKind.ROLE_NOT_FOUND)
        return m.AuthRoleGetResponse(perm=[m.Permission(*grant) for grant in role.grants])

    def role_list(self) -> m.AuthRoleListResponse:
        """All roles, sorted. The root role is among them only if it was added."""
        return m.AuthRoleListResponse(roles=sorted(self._state.roles))

    # -- beside apply

    def take_over(self, before: AuthStore) -> None:
        """Go on in the place of a store that a snapshot has replaced: its listeners are ours, and hear what changed."""
        self.on_enabled, self.on_disabled = before.on_enabled, before.on_disabled
        self.on_user_changed, self.on_token_granted = before.on_user_changed, before.on_token_granted
        for user in before.users():
            if not self._has_password_of(user):
                self.on_user_changed(user.name)
        if self.enabled != before.enabled:
            (self.on_enabled if self.enabled else self.on_disabled)()

    def users(self) -> Iterable[User]:
        """All users, in no order."""
        return self._state.users.values()

    def _has_password_of(self, user: User) -> bool:
        ours = self._state.users.get(user.name)
        return ours is not None and ours.password_hash == user.password_hash

    def digest_parts(self) -> list[object]:
        """What all members must agree on."""
        return self._state.digest_parts()


def _nobody(*_: object) -> None:
    """Nobody keeps tokens yet."""
