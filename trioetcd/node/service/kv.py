"""The KV service: range, put, delete, transactions, compaction."""

from __future__ import annotations

from typing import Final, cast

from trioetcd.api import messages as m
from trioetcd.node.auth.authenticator import Authenticator
from trioetcd.node.maintenance.quota import Quota
from trioetcd.node.proposals import Proposals
from trioetcd.node.reads import ReadLoop
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.gate import Gate
from trioetcd.node.service.headers import Headers
from trioetcd.node.upkeep.compaction import Compactor
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.mvcc.checks import check_delete_range, check_put, check_range, check_txn
from trioetcd.storage.mvcc.range_query import answer_range
from trioetcd.storage.mvcc.txn import is_read_only, is_serializable, read_txn

_PROBED_KEY: Final = b"health"


class KvService:
    """Reads look at the local state when they may; writes go through the log."""

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

    async def range(self, request: m.RangeRequest, context: CallContext) -> m.RangeResponse:
        """Read a range; linearizable unless the request says serializable."""
        self._gate.admit(context, learner_serves=request.serializable)
        check_range(request)
        if not (request.serializable or self._reads.may_read_now):
            await self._reads.wait_linearizable()
        self._authenticator.check_read(context, request)
        response = answer_range(self._machine.store, request)
        response.header = self._headers.current()
        return response

    async def probe(self, *, serializable: bool) -> None:
        """Read one key, permissions apart: whether that works is how healthy the member is, also a learner."""
        if not (serializable or self._reads.may_read_now):
            await self._reads.wait_linearizable()
        answer_range(self._machine.store, m.RangeRequest(key=_PROBED_KEY, keys_only=True, limit=1))

    async def put(self, request: m.PutRequest, context: CallContext) -> m.PutResponse:
        """Write one key."""
        self._gate.admit(context)
        if self._quota.is_tight:
            await self._quota.admit(request)
        check_put(request)
        response = cast("m.PutResponse", await self._proposals.submit(self._authenticator.request(request, context)))
        self._headers.complete(response.header)
        return response

    async def delete_range(self, request: m.DeleteRangeRequest, context: CallContext) -> m.DeleteRangeResponse:
        """Delete a key or a range of keys."""
        self._gate.admit(context)
        check_delete_range(request)
        response = cast(
            "m.DeleteRangeResponse", await self._proposals.submit(self._authenticator.request(request, context))
        )
        self._headers.complete(response.header)
        return response

    async def txn(self, request: m.TxnRequest, context: CallContext) -> m.TxnResponse:
        """Compare and then do one of two branches, at one revision. One that only reads does not go through the log."""
        self._gate.admit(context)
        if self._quota.is_tight:
            await self._quota.admit(request)
        check_txn(request, self._max_txn_ops)
        if not is_read_only(request):
            response = cast(
                "m.TxnResponse", await self._proposals.submit(self._authenticator.request(request, context))
            )
            self._headers.complete(response.header)
            return response
        if not (is_serializable(request) or self._reads.may_read_now):
            await self._reads.wait_linearizable()
        self._authenticator.check_read(context, request)
        response = read_txn(self._machine.store, request)
        response.header = self._headers.current()
        return response

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
