"""The KV service: range, put, delete, transactions, compaction."""

from __future__ import annotations

from typing import Final, cast

from trioetcd.api import messages as m
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.maintenance.quota import Quota
from trioetcd.node.parking import Waiter
from trioetcd.node.proposals import Proposals
from trioetcd.node.reads import ReadLoop
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.node.service.two_steps import TakesLonger, whole
from trioetcd.node.upkeep.compaction import Compactor
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.mvcc.checks import check_delete_range, check_put, check_range, check_txn
from trioetcd.storage.mvcc.range_query import answer_range
from trioetcd.storage.mvcc.txn import is_read_only, is_serializable, read_txn

_PROBED_KEY: Final = b"health"


class KvService:
    """Reads look at the local state when they may; writes go through the log. What clients call most has two steps."""

    def __init__(
        self,
        *,
        machine: StateMachine,
        proposals: Proposals,
        reads: ReadLoop,
        headers: Headers,
        gate: Gate,
        authenticator: Authenticator,
        compactor: Compactor,
        quota: Quota,
        max_txn_ops: int,
    ) -> None:
        self._machine = machine
        self._proposals = proposals
        self._reads = reads
        self._headers = headers
        self._gate = gate
        self._authenticator = authenticator
        self._compactor = compactor
        self._quota = quota
        self._max_txn_ops = max_txn_ops

    # -- range

    async def range(self, request: m.RangeRequest, context: CallContext) -> m.RangeResponse:
        """Read a range; linearizable unless the request says serializable."""
        return await whole(
            lambda waiter: self.begin_range(request, context, waiter),
            lambda result: self.finish_range(request, context, result),
        )

    def begin_range(self, request: m.RangeRequest, context: CallContext, waiter: Waiter) -> bool:
        """The first step of `range`."""
        self._gate.admit(context, learner_serves=request.serializable)
        check_range(request)
        if request.serializable or self._reads.may_read_now:
            return False
        self._reads.join(waiter)
        return True

    def finish_range(self, request: m.RangeRequest, context: CallContext, _: None) -> m.RangeResponse:
        """The second step of `range`."""
        self._authenticator.check_read(context, request)
        response = answer_range(self._machine.store, request)
        response.header = self._headers.current()
        return response

    async def probe(self, *, serializable: bool) -> None:
        """Read one key, permissions apart: whether that works is how healthy the member is, also a learner."""
        if not (serializable or self._reads.may_read_now):
            await self._reads.wait_linearizable()
        answer_range(self._machine.store, m.RangeRequest(key=_PROBED_KEY, keys_only=True, limit=1))

    # -- put

    async def put(self, request: m.PutRequest, context: CallContext) -> m.PutResponse:
        """Write one key."""
        await self._find_room(request, context)
        return await whole(
            lambda waiter: self.begin_put(request, context, waiter, has_room=True),
            lambda result: self.finish_put(request, context, result),
        )

    def begin_put(self, request: m.PutRequest, context: CallContext, waiter: Waiter, *, has_room: bool = False) -> bool:
        """The first step of `put`."""
        self._gate.admit(context)
        self._check_room(has_room=has_room)
        check_put(request)
        self._proposals.enqueue(self._authenticator.request(request, context), waiter)
        return True

    def finish_put(self, _: m.PutRequest, __: CallContext, response: m.PutResponse) -> m.PutResponse:
        """The second step of `put`."""
        self._headers.complete(response.header)
        return response

    # -- delete

    async def delete_range(self, request: m.DeleteRangeRequest, context: CallContext) -> m.DeleteRangeResponse:
        """Delete a key or a range of keys."""
        return await whole(
            lambda waiter: self.begin_delete_range(request, context, waiter),
            lambda result: self.finish_delete_range(request, context, result),
        )

    def begin_delete_range(self, request: m.DeleteRangeRequest, context: CallContext, waiter: Waiter) -> bool:
        """The first step of `delete_range`."""
        self._gate.admit(context)
        check_delete_range(request)
        self._proposals.enqueue(self._authenticator.request(request, context), waiter)
        return True

    def finish_delete_range(
        self, _: m.DeleteRangeRequest, __: CallContext, response: m.DeleteRangeResponse
    ) -> m.DeleteRangeResponse:
        """The second step of `delete_range`."""
        self._headers.complete(response.header)
        return response

    # -- transactions

    async def txn(self, request: m.TxnRequest, context: CallContext) -> m.TxnResponse:
        """Compare and then do one of two branches, at one revision. One that only reads does not go through the log."""
        await self._find_room(request, context)
        return await whole(
            lambda waiter: self.begin_txn(request, context, waiter, has_room=True),
            lambda result: self.finish_txn(request, context, result),
        )

    def begin_txn(self, request: m.TxnRequest, context: CallContext, waiter: Waiter, *, has_room: bool = False) -> bool:
        """The first step of `txn`."""
        self._gate.admit(context)
        self._check_room(has_room=has_room)
        check_txn(request, self._max_txn_ops)
        if not is_read_only(request):
            self._proposals.enqueue(self._authenticator.request(request, context), waiter)
            return True
        if is_serializable(request) or self._reads.may_read_now:
            return False
        self._reads.join(waiter)
        return True

    def finish_txn(self, request: m.TxnRequest, context: CallContext, applied: m.TxnResponse | None) -> m.TxnResponse:
        """The second step of `txn`; one that only reads is answered here."""
        if applied is not None:
            self._headers.complete(applied.header)
            return applied
        self._authenticator.check_read(context, request)
        response = read_txn(self._machine.store, request)
        response.header = self._headers.current()
        return response

    async def _find_room(self, request: m.PutRequest | m.TxnRequest, context: CallContext) -> None:
        if self._quota.is_tight:
            self._gate.admit(context)
            await self._quota.admit(request)

    def _check_room(self, *, has_room: bool) -> None:
        if self._quota.is_tight and not has_room:
            raise TakesLonger("there may be no room, and to find out may take an alarm")

    async def compact(self, request: m.CompactionRequest, context: CallContext) -> m.CompactionResponse:
        """Forget what is older than a revision; with `physical`, return once it is gone from the engine as well."""
        self._gate.admit(context)
        response = cast(
            "m.CompactionResponse", await self._proposals.submit(self._authenticator.request(request, context))
        )
        if request.physical:
            await self._compactor.wait_compacted(request.revision)
        self._headers.complete(response.header)
        return response
