"""The Auth service: users, roles, permissions, and tokens for passwords.

Changes go through the log and are decided when they are applied. Passwords do not: what is in the log is their hash.
Reads are linearizable, as in etcd, where they go through the log too.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, TypeVar, cast

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.log import Logger
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.auth.passwords import Passwords
from trioetcd.node.auth.tokens import TokenProvider
from trioetcd.node.proposals import Proposals
from trioetcd.node.reads import ReadLoop
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.storage.auth.store import AuthStore
from trioetcd.storage.internal_ops import TokenGranted
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.requests import RaftRequest

T = TypeVar("T")


class AuthService:
    """Every RPC of Auth. What is asked of callers stands in `auth.rules` and `storage.auth.access`."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        proposals: Proposals,
        reads: ReadLoop,
        headers: Headers,
        gate: Gate,
        authenticator: Authenticator,
        tokens: TokenProvider,
        passwords: Passwords,
        log: Logger,
    ) -> None:
        self._machine = machine
        self._proposals = proposals
        self._reads = reads
        self._headers = headers
        self._gate = gate
        self._authenticator = authenticator
        self._tokens = tokens
        self._passwords = passwords
        self._log = log

    # -- tokens

    async def authenticate(self, request: m.AuthenticateRequest, context: CallContext) -> m.AuthenticateResponse:
        """Give a token for a password.

        The token is granted through the log, so that all members know it. When users or roles changed while the
        password was checked, which takes long, it is checked again.
        """
        self._gate.admit(context)
        await self._wait_linearizable()
        while True:
            revision = self._machine.auth.revision
            await self._check_password(request)
            granted = TokenGranted(name=request.name, simple_token=self._tokens.choose())
            response = cast("m.AuthenticateResponse", await self._proposals.submit(RaftRequest(granted)))
            if self._machine.auth.revision == revision:
                break
        response.token = self._tokens.issue(response.token, request.name, revision)
        self._headers.complete(response.header)
        return response

    async def _check_password(self, request: m.AuthenticateRequest) -> None:
        """Raise `ApiError` unless it is the user's; a user that is not there takes as long to refuse."""
        refusal = ApiError.of(ErrorKind.AUTH_FAILED)
        try:
            hashed = self._machine.auth.password_hash(request.name)
        except ApiError as error:
            if error != refusal:
                raise
            hashed = b""
        if not await self._passwords.matches(request.password, hashed):
            self._log.warning("invalid authentication was requested", user=request.name)
            raise refusal

    # -- auth itself

    async def auth_enable(self, request: m.AuthEnableRequest, context: CallContext) -> m.AuthEnableResponse:
        """Turn auth on."""
        return await self._change(request, context, m.AuthEnableResponse)

    async def auth_disable(self, request: m.AuthDisableRequest, context: CallContext) -> m.AuthDisableResponse:
        """Turn auth off; all tokens end."""
        return await self._change(request, context, m.AuthDisableResponse)

    async def auth_status(self, request: m.AuthStatusRequest, context: CallContext) -> m.AuthStatusResponse:
        """Whether auth is on, and the revision of the auth store."""
        return await self._read(request, context, AuthStore.status)

    # -- users

    async def user_add(self, request: m.AuthUserAddRequest, context: CallContext) -> m.AuthUserAddResponse:
        """Add a user, with a password (which may be empty) or without one: such a user gets no token."""
        self._gate.admit(context)
        hashed = ""
        if request.options is None or not request.options.no_password:
            hashed = await self._hash(request.password, context)
        added = m.AuthUserAddRequest(name=request.name, options=request.options, hashedPassword=hashed)
        return await self._change(added, context, m.AuthUserAddResponse)

    async def user_get(self, request: m.AuthUserGetRequest, context: CallContext) -> m.AuthUserGetResponse:
        """The roles of a user."""
        return await self._read(request, context, lambda auth: auth.user_get(request.name))

    async def user_list(self, request: m.AuthUserListRequest, context: CallContext) -> m.AuthUserListResponse:
        """All users."""
        return await self._read(request, context, AuthStore.user_list)

    async def user_delete(self, request: m.AuthUserDeleteRequest, context: CallContext) -> m.AuthUserDeleteResponse:
        """Delete a user; its tokens end."""
        return await self._change(request, context, m.AuthUserDeleteResponse)

    async def user_change_password(
        self, request: m.AuthUserChangePasswordRequest, context: CallContext
    ) -> m.AuthUserChangePasswordResponse:
        """Change a user's password; its tokens end. Without one, the hash that is given is taken, as by etcd."""
        self._gate.admit(context)
        hashed = await self._hash(request.password, context) if request.password else request.hashedPassword
        changed = m.AuthUserChangePasswordRequest(name=request.name, hashedPassword=hashed)
        return await self._change(changed, context, m.AuthUserChangePasswordResponse)

    async def user_grant_role(
        self, request: m.AuthUserGrantRoleRequest, context: CallContext
    ) -> m.AuthUserGrantRoleResponse:
        """Give a user a role."""
        return await self._change(request, context, m.AuthUserGrantRoleResponse)

    async def user_revoke_role(
        self, request: m.AuthUserRevokeRoleRequest, context: CallContext
    ) -> m.AuthUserRevokeRoleResponse:
        """Take a role from a user."""
        return await self._change(request, context, m.AuthUserRevokeRoleResponse)

    # -- roles

    async def role_add(self, request: m.AuthRoleAddRequest, context: CallContext) -> m.AuthRoleAddResponse:
        """Add a role."""
        return await self._change(request, context, m.AuthRoleAddResponse)

    async def role_get(self, request: m.AuthRoleGetRequest, context: CallContext) -> m.AuthRoleGetResponse:
        """What a role may do."""
        return await self._read(request, context, lambda auth: auth.role_get(request.role))

    async def role_list(self, request: m.AuthRoleListRequest, context: CallContext) -> m.AuthRoleListResponse:
        """All roles."""
        return await self._read(request, context, AuthStore.role_list)

    async def role_delete(self, request: m.AuthRoleDeleteRequest, context: CallContext) -> m.AuthRoleDeleteResponse:
        """Delete a role, and take it from those who have it."""
        return await self._change(request, context, m.AuthRoleDeleteResponse)

    async def role_grant_permission(
        self, request: m.AuthRoleGrantPermissionRequest, context: CallContext
    ) -> m.AuthRoleGrantPermissionResponse:
        """Let a role read or write a range of keys."""
        return await self._change(request, context, m.AuthRoleGrantPermissionResponse)

    async def role_revoke_permission(
        self, request: m.AuthRoleRevokePermissionRequest, context: CallContext
    ) -> m.AuthRoleRevokePermissionResponse:
        """Take back what a role was granted on a range of keys."""
        return await self._change(request, context, m.AuthRoleRevokePermissionResponse)

    # -- what they are made of

    async def _change(self, request: object, context: CallContext, response_type: type[T]) -> T:
        """Put a change through the log."""
        self._gate.admit(context)
        response: Any = await self._proposals.submit(self._authenticator.request(request, context))
        assert isinstance(response, response_type), f"{type(request).__name__} is answered with {type(response)}"
        self._headers.complete(response.header)  # type: ignore[attr-defined] # every response of Auth has one
        return response

    async def _read(self, request: object, context: CallContext, read: Callable[[AuthStore], T]) -> T:
        """Answer from this member's state once that is linearizable, if who asks may know."""
        self._gate.admit(context)
        await self._wait_linearizable()
        self._authenticator.check(context, request)
        response: Any = read(self._machine.auth)
        response.header = self._headers.current()
        return cast("T", response)

    async def _hash(self, password: str, context: CallContext) -> str:
        """The hash of a password as it stands in the log; nobody without a token is given so much work."""
        self._authenticator.check_user(context)
        return b64encode(await self._passwords.hash(password)).decode()

    async def _wait_linearizable(self) -> None:
        if not self._reads.may_read_now:
            await self._reads.wait_linearizable()
