"""The Watch service: streams of changes."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import NamedTuple

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.api.proto_codec import encoded_size
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.parking import Signal
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.node.upkeep.leaderless import LeaderlessStreams
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.mvcc.watch_delivery import WatchDelivery, split_delivery
from trioetcd.storage.mvcc.watchers import WatchStream

_TOLD_AS_THEY_ARE = frozenset(map(ApiError.of, (ErrorKind.INVALID_AUTH_TOKEN, ErrorKind.AUTH_OLD_REVISION)))


def _reason(refusal: ApiError) -> str:
    """Why a watcher may not be, as etcd writes it: like an error of its RPC library, whatever the wire.

    What a new token would mend is told as it is, as by etcd from 3.5.5 on (its issue 12385); else permission is denied.
    """
    told = refusal if refusal in _TOLD_AS_THEY_ARE else ApiError.of(ErrorKind.PERMISSION_DENIED)
    return f"rpc error: code = {told.code.name.title().replace('_', '')} desc = {told.message}"


class WatchMessage(NamedTuple):
    """One response of a watch stream: what is delivered, and the header to send it under (its revision is set)."""

    header: m.ResponseHeader
    delivery: WatchDelivery


class WatchSession:
    """One stream. One task may call `handle` while another waits in `receive`."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        headers: Headers,
        authenticator: Authenticator,
        context: CallContext,
        fragment_bytes_max: int,
    ) -> None:
        self._authenticator = authenticator
        self._context = context
        self._headers = headers
        self._fragment_bytes_max = fragment_bytes_max
        self._queued = Signal()
        self._pieces: deque[WatchDelivery] = deque()  # of a delivery that was split
        self._is_leaderless = False
        self._stream = WatchStream(machine.watch_hub, self._queued.set)

    def handle(self, request: m.WatchRequest) -> None:
        """Take a request; what it leads to is received. One that asks for nothing is passed over, as etcd does."""
        if request.create_request is not None:
            self._create(request.create_request)
        elif request.cancel_request is not None:
            self._stream.cancel(request.cancel_request.watch_id)
        elif request.progress_request is not None:
            self._stream.request_progress()

    def _create(self, request: m.WatchCreateRequest) -> None:
        try:
            self._authenticator.check(self._context, request)
        except ApiError as error:
            self._stream.refuse(_reason(error), request.watch_id)
        else:
            self._stream.create(request)

    @property
    def takes_more(self) -> bool:
        """Whether more requests should be read: their answers are queued without bound."""
        return self._stream.has_room

    async def receive(self) -> WatchMessage:
        """Wait for the next response. Cancelling loses none. Raises `ApiError` once the stream is ended from here."""
        while True:
            if self._is_leaderless:
                raise ApiError.of(ErrorKind.NO_LEADER)
            delivery = self._next()
            if delivery is not None:
                return WatchMessage(self._headers.at(delivery.revision), delivery)
            await self._queued.wait()

    def end_leaderless(self) -> None:
        """The stream asked for a leader, and there is none."""
        self._is_leaderless = True
        self._queued.set()

    def close(self) -> None:
        """End all watchers of the stream."""
        self._stream.close()

    def _next(self) -> WatchDelivery | None:
        if not self._pieces:
            delivery = self._stream.take()
            if delivery is None or not delivery.may_split:
                return delivery
            self._pieces.extend(split_delivery(delivery, self._fragment_bytes_max, self._wire_bytes))
        return self._pieces.popleft()

    def _wire_bytes(self, delivery: WatchDelivery) -> int:
        return encoded_size(delivery.response(self._headers.at(delivery.revision)))


class WatchService:
    """Opens streams of watchers over the member's own store: a watch never waits for a leader.

    One that asks for a leader (`CallContext.require_leader`) ends when there is none for long.
    """

    def __init__(
        self,
        *,
        machine: StateMachine,
        headers: Headers,
        gate: Gate,
        authenticator: Authenticator,
        leaderless: LeaderlessStreams,
        fragment_bytes_max: int,
    ) -> None:
        self._machine = machine
        self._headers = headers
        self._gate = gate
        self._authenticator = authenticator
        self._leaderless = leaderless
        self._fragment_bytes_max = fragment_bytes_max

    @asynccontextmanager
    async def open(self, context: CallContext) -> AsyncIterator[WatchSession]:
        """Open a stream for the length of the block; raises `ApiError` when the member serves none."""
        self._gate.admit(context)
        session = WatchSession(
            machine=self._machine,
            headers=self._headers,
            authenticator=self._authenticator,
            context=context,
            fragment_bytes_max=self._fragment_bytes_max,
        )
        follow = self._leaderless.following(session.end_leaderless) if context.require_leader else nullcontext()
        try:
            with follow:
                yield session
        finally:
            session.close()
