"""The leader ends leases whose time is over, through the log, at a bounded rate; and records what others have left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from trioetcd.api.errors import ApiError
from trioetcd.log import Logger
from trioetcd.node.leadership import Leadership
from trioetcd.node.lessor import REVOKE_RATE, Lessor
from trioetcd.node.proposals import Proposals
from trioetcd.storage.internal_ops import LeaseExpired, LeasesRemaining
from trioetcd.storage.leases import Lease
from trioetcd.storage.requests import RaftRequest

# etcd's (server/lease/lessor.go, server/etcdserver/server.go).
LOOK_SECONDS: Final = 0.5
_REVOCATIONS_A_LOOK: Final = int(REVOKE_RATE * LOOK_SECONDS)
_REVOCATIONS_AT_ONCE: Final = 16
_CHECKPOINTS_A_LOOK: Final = 500

_NAMED_IN_LOG_MAX: Final = 4


class LeaseExpiry:
    """Proposes what the lessor finds due."""

    def __init__(self, *, lessor: Lessor, leadership: Leadership, proposals: Proposals, log: Logger) -> None:
        self._lessor = lessor
        self._leadership = leadership
        self._proposals = proposals
        self._log = log

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look twice a second while this member leads, until cancelled."""
        task_status.started()
        while True:
            changed = self._leadership.changed
            if self._lessor.term is None:
                await changed.wait()
                continue
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._lead)
                await changed.wait()
                nursery.cancel_scope.cancel()  # what still waits for the log was proposed in a term that is over

    async def _lead(self) -> None:
        while True:
            await trio.sleep(LOOK_SECONDS)
            term = self._lessor.term
            if term is not None:
                await self._record_remaining(term)
                await self._revoke_expired(term)

    async def _revoke_expired(self, term: int) -> None:
        due = self._lessor.take_expired(_REVOCATIONS_A_LOOK)
        for start in range(0, len(due), _REVOCATIONS_AT_ONCE):
            async with trio.open_nursery() as nursery:
                for lease in due[start : start + _REVOCATIONS_AT_ONCE]:
                    nursery.start_soon(self._revoke, lease, term)
        if due:
            self._log.info("leases expired", count=len(due), leases=_names(due))

    async def _revoke(self, lease: Lease, term: int) -> None:
        try:
            await self._proposals.submit(RaftRequest(LeaseExpired(term=term, lease_id=lease.id)), bounded=False)
        except ApiError as error:  # it was revoked by a client meanwhile, or will be tried again
            self._log.debug("an expired lease was not revoked", lease_id=f"{lease.id:x}", error=error.message)
        else:
            self._lessor.count_expired()

    async def _record_remaining(self, term: int) -> None:
        checkpoints = self._lessor.take_checkpoints(_CHECKPOINTS_A_LOOK)
        if not checkpoints:
            return
        try:
            await self._proposals.submit(
                RaftRequest(LeasesRemaining(term=term, checkpoints=checkpoints)), bounded=False
            )
        except ApiError as error:  # a lease that is not recorded lives longer, not shorter
            self._log.warning("failed to record what is left of leases", count=len(checkpoints), error=error.message)


def _names(leases: Sequence[Lease]) -> list[str]:
    """The first of them, with the number of their keys, for a log line."""
    return [f"{lease.id:x}: {len(lease.keys)} keys" for lease in leases[:_NAMED_IN_LOG_MAX]]
