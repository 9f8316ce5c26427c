"""The one door between front ends and services: every call goes through the rule of its RPC.

A front end gets the methods of services here and nowhere else (`Services.method`), so a service cannot forget what the
table says. What the member does for itself (health, peers) asks the services directly. While auth is off a call costs
one look more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.api.services import Rpc
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.auth.rules import RULES, Rule
from trioetcd.node.parking import Waiter
from trioetcd.node.service.cluster import peer_urls_of
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.two_steps import TakesLonger, TwoSteps

Method = Callable[..., Any]
"""Of a unary RPC a coroutine function of request and context; of one that streams answers an async generator function
of the same; `Watch` opens its sessions with the context alone, as a context manager."""

# etcd's own texts below its table of errors.
_RAW: Final = {
    ErrorKind.USER_EMPTY: "auth: user name is empty",
    ErrorKind.PERMISSION_DENIED: "auth: permission denied",
    ErrorKind.USER_NOT_FOUND: "auth: user not found",
    ErrorKind.INVALID_AUTH_TOKEN: "auth: invalid auth token",
}
_RAW_BY_ERROR: Final = {ApiError.of(kind): text for kind, text in _RAW.items()}

_SEEN_FIRST: Final[dict[str, Callable[[Any], object]]] = {"/etcdserverpb.Cluster/MemberAdd": peer_urls_of}
"""What tells that a request is bad before it is asked whose it is; all else is told to those alone who may."""


class Guard:
    """Puts the rule of an RPC before the method that serves it."""

    def __init__(self, *, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    def protect(self, rpc: Rpc, method: Method) -> Method:
        """The method, for callers that may. An RPC without a rule is nobody's."""
        rule = RULES.get(rpc.grpc_path)
        if rule is Rule.OPEN:
            return method
        if rpc.name == "Watch":
            return self._session(rule, method)
        if rpc.server_streaming and not rpc.client_streaming:
            return self._stream(rule, method)
        return self._unary(rpc, rule, method)

    def protect_steps(self, rpc: Rpc, steps: TwoSteps) -> TwoSteps:
        """The two steps of a method, for as long as everybody may: to ask who somebody is may take longer."""
        rule = RULES.get(rpc.grpc_path)
        authenticator, begin = self._authenticator, steps.begin

        def begin_unless_asked(request: object, context: CallContext, waiter: Waiter) -> bool:
            if rule is None or authenticator.is_on:
                raise TakesLonger("whose call this is must be known first")
            return begin(request, context, waiter)

        return steps if rule is Rule.OPEN else steps._replace(begin=begin_unless_asked)

    def _unary(self, rpc: Rpc, rule: Rule | None, method: Method) -> Method:
        authenticator = self._authenticator
        see = _SEEN_FIRST.get(rpc.grpc_path)

        async def checked(request: object, context: CallContext) -> object:
            if see is not None:
                see(request)
            await self._admit(rule, request, context)
            response = await method(request, context)
            if rule is Rule.READ:
                authenticator.check(context, request)
            return response

        def guarded(request: object, context: CallContext) -> Any:
            return checked(request, context) if authenticator.is_on else method(request, context)

        return checked if rule is None else guarded

    def _stream(self, rule: Rule | None, method: Method) -> Method:
        async def checked(request: object, context: CallContext) -> AsyncGenerator[object, None]:
            await self._admit(rule, request, context)
            async with aclosing(method(request, context)) as answers:
                async for answer in answers:
                    yield answer

        return checked

    def _session(self, rule: Rule | None, open_session: Method) -> Method:
        @asynccontextmanager
        async def checked(context: CallContext) -> AsyncIterator[Any]:
            await self._admit(rule, None, context)
            async with open_session(context) as session:
                yield session

        return checked

    async def _admit(self, rule: Rule | None, request: object, context: CallContext) -> None:
        """Decide what is decided before the service sees the call."""
        authenticator = self._authenticator
        await authenticator.wait_known(context)
        if rule is Rule.USER:
            authenticator.check_user(context)
        elif rule is Rule.ROOT:
            authenticator.check_root(context)
        elif rule is Rule.ROOT_IN_RAW:
            try:
                authenticator.check_root(context)
            except ApiError as error:
                raise ApiError(Code.UNKNOWN, _RAW_BY_ERROR[error]) from error
        elif rule is Rule.BEFORE:
            authenticator.check(context, request)
        elif rule is None:
            raise ApiError.of(ErrorKind.PERMISSION_DENIED)
