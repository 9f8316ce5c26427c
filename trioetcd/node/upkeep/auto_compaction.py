"""The history that nobody has asked to keep is compacted, on etcd's schedule (server/etcdserver/api/v3compactor).

periodic   The revision is noted each tenth of the period, or of an hour if the period is longer. Once a whole period
           has passed, what was noted a period ago is compacted; and so on each period, or each hour if that is shorter.
revision   Each five minutes the newest revision less the retention is compacted.

Every member keeps notes, so that a new leader goes on where the old one was; the leader alone compacts.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.config.auto_compaction import AutoCompaction, PeriodicCompaction
from trioetcd.log import Logger
from trioetcd.node.leadership import Leadership
from trioetcd.node.proposals import Proposals
from trioetcd.storage.internal_ops import HistoryExpired
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.requests import RaftRequest

REVISION_LOOK_SECONDS: Final = 300.0
INTERVAL_SECONDS_MAX: Final = 3600.0
LOOKS_AN_INTERVAL: Final = 10


class AutoCompactor:
    """Compacts the store while this member leads, by time or by number."""

    def __init__(
        self,
        *,
        what: AutoCompaction,
        machine: StateMachine,
        leadership: Leadership,
        proposals: Proposals,
        log: Logger,
    ) -> None:
        self._what = what
        self._machine = machine
        self._leadership = leadership
        self._proposals = proposals
        self._log = log
        self._compacted = 0  # the last revision that was asked for

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look and compact until cancelled."""
        task_status.started()
        if isinstance(self._what, PeriodicCompaction):
            await self._run_periodic(self._what.period_seconds)
        else:
            await self._run_by_revision(self._what.revisions)

    async def _run_periodic(self, period_seconds: float) -> None:
        interval_seconds = min(period_seconds, INTERVAL_SECONDS_MAX)
        look_seconds = interval_seconds / LOOKS_AN_INTERVAL
        looks_a_period = round(period_seconds / look_seconds)
        noted = deque([self._machine.store.revision], maxlen=looks_a_period + 1)
        looks_until_due = looks_a_period
        while True:
            await trio.sleep(look_seconds)
            looks_until_due -= 1
            if looks_until_due <= 0 and self._leadership.is_leader and await self._compact(noted[0]):
                looks_until_due = LOOKS_AN_INTERVAL
            noted.append(self._machine.store.revision)

    async def _run_by_revision(self, revisions: int) -> None:
        while True:
            await trio.sleep(REVISION_LOOK_SECONDS)
            if self._leadership.is_leader:
                await self._compact(self._machine.store.revision - revisions)

    async def _compact(self, revision: int) -> bool:
        """Whether the history before `revision` is gone by this; if not it is tried again with the next look."""
        if revision <= self._compacted:
            return False
        try:
            await self._proposals.submit(RaftRequest(HistoryExpired(revision=revision)), bounded=False)
        except ApiError as error:
            if error != ApiError.of(ErrorKind.COMPACTED):
                self._log.warning("failed auto compaction", revision=revision, error=error.message)
                return False
        self._compacted = revision
        self._log.info("completed auto compaction", revision=revision)
        return True
