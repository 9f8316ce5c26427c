"""From the token of a call to who asks, and to whether they may. Everything is as it is now, on this member."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.auth.tokens import TokenProvider
from trioetcd.node.service.context import CallContext
from trioetcd.storage.auth.access import NOBODY, AuthInfo
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.requests import RaftRequest

WaitApplied = Callable[[int], Awaitable[None]]


class Authenticator:
    """Asks the tokens who asks, and the auth store whether they may. While auth is off, tokens are not looked at."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        tokens: TokenProvider,
        wait_applied: WaitApplied,
        timeout_seconds: float,
    ) -> None:
        self._machine: Final = machine
        self._tokens: Final = tokens
        self._wait_applied = wait_applied
        self._timeout_seconds = timeout_seconds
        auth = machine.auth  # its successors take over what stands here
        auth.on_token_granted = tokens.keep
        auth.on_user_changed = tokens.drop_user
        auth.on_disabled = tokens.drop_all

    @property
    def is_on(self) -> bool:
        """Whether auth is on."""
        return self._machine.auth.enabled

    def request(self, op: object, context: CallContext) -> RaftRequest:
        """A request for the log, with who asks: apply decides. Raises INVALID_AUTH_TOKEN."""
        if not self._machine.auth.enabled:
            return RaftRequest(op)
        return RaftRequest(op, *self.identify(context))

    def identify(self, context: CallContext) -> AuthInfo:
        """Who asks; `NOBODY` without a token, and while auth is off. Raises INVALID_AUTH_TOKEN."""
        auth = self._machine.auth
        if not auth.enabled:
            return NOBODY
        if context.user is not None:
            return AuthInfo(context.user, auth.revision)
        if context.token is None:
            return NOBODY
        info = self._tokens.find(context.token, auth.revision)
        if info is None:
            raise ApiError.of(ErrorKind.INVALID_AUTH_TOKEN)
        return info

    def settle(self, context: CallContext) -> CallContext:
        """The context of a call that goes on when its token has expired: what its user may do is asked as ever.

        A token of another revision stays what it is, and is refused for that. Raises INVALID_AUTH_TOKEN.
        """
        info = self.identify(context)
        is_current = info.revision == self._machine.auth.revision
        return context._replace(user=info.username) if is_current else context

    def check(self, context: CallContext, op: object) -> None:
        """Raise `ApiError` unless who asks may have this done: `op` is a request, or the message of a read."""
        if self._machine.auth.enabled:
            self._machine.auth.check_op(self.identify(context), op)

    def check_read(self, context: CallContext, op: object) -> None:
        """As `check`, for a read of keys. To be asked with no wait between it and the reading.

        A signed token of another revision than this member's is refused, also of a later one: what it may read here is
        not known yet. The rule is etcd's.
        """
        auth = self._machine.auth
        if auth.enabled:
            info = self.identify(context)
            auth.check_op(info, op)
            if info.revision != auth.revision and info is not NOBODY:
                raise ApiError.of(ErrorKind.AUTH_OLD_REVISION)

    def check_user(self, context: CallContext) -> None:
        """Raise `ApiError` unless a user asks, whoever it is."""
        if self._machine.auth.enabled:
            self._machine.auth.check_user(self.identify(context))

    def check_root(self, context: CallContext) -> None:
        """Raise `ApiError` unless a user with the root role asks."""
        if self._machine.auth.enabled:
            self._machine.auth.check_root(self.identify(context))

    async def wait_known(self, context: CallContext) -> None:
        """Wait until this member is as far as the one that gave the token: so it counts on all at once.

        Not for longer than a request may take; what is wrong with the token is found out by whoever looks at it next.
        """
        if context.token is None or not self.is_on:
            return
        index = self._tokens.awaited_index(context.token)
        if index > self._machine.applied.index:
            with trio.move_on_after(self._timeout_seconds):
                await self._wait_applied(index)
