"""The version of the cluster: the lowest of its members', decided by the leader, replicated through the log.

It only rises. As long as a member's version is not known the cluster stays where it is; a cluster that has none yet
gets the lowest this version works with (etcd's `monitorVersions`).
"""

from __future__ import annotations

import re
from typing import Final

import trio

from trioetcd.api.errors import ApiError
from trioetcd.config.version import MIN_CLUSTER_VERSION, SERVER_VERSION
from trioetcd.log import Logger
from trioetcd.node.leadership import Leadership
from trioetcd.node.proposals import Proposals
from trioetcd.node.protocols import Transport
from trioetcd.storage.internal_ops import ClusterVersionSet
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.requests import RaftRequest

INTERVAL_SECONDS: Final = 4.0
_VERSION: Final = re.compile(r"([0-9]{1,5})\.([0-9]{1,5})\.")


class VersionMonitor:
    """Decides the cluster version while this member leads."""

    def __init__(
        self, *, machine: StateMachine, transport: Transport, leadership: Leadership, proposals: Proposals, log: Logger
    ) -> None:
        self._machine = machine
        self._transport = transport
        self._leadership = leadership
        self._proposals = proposals
        self._log = log

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look at every change of the leader and every 4 seconds, until cancelled."""
        task_status.started()
        while True:
            changed = self._leadership.changed
            if self._leadership.is_leader:
                await self._raise_version()
            with trio.move_on_after(INTERVAL_SECONDS):
                await changed.wait()

    async def _raise_version(self) -> None:
        current = self._machine.members.cluster_version
        decided = self._lowest_version()
        if decided is None:
            decided = current or MIN_CLUSTER_VERSION
        if current is not None and not _is_higher(decided, current):
            return
        try:
            await self._proposals.submit(RaftRequest(ClusterVersionSet(version=decided)))
        except ApiError as error:
            self._log.warning("failed to set the cluster version", version=decided, error=error.message)
        else:
            self._log.info("set the cluster version", version=decided)

    def _lowest_version(self) -> str | None:
        """The lowest of all members' versions without its patch level; None while one is not known."""
        known = {peer.id: peer.version for peer in self._transport.status().peers}
        versions = [_minor_of(SERVER_VERSION)]
        for member in self._machine.members.members():
            if member.id == self._leadership.member_id:
                continue
            versions.append(_minor_of(known.get(member.id)))
        if None in versions:
            return None
        major, minor = min(filter(None, versions))
        return f"{major}.{minor}.0"


def _is_higher(version: str, than: str) -> bool:
    return (_minor_of(version) or (0, 0)) > (_minor_of(than) or (0, 0))


def _minor_of(version: str | None) -> tuple[int, int] | None:
    """Major and minor of `3.5.1` or `3.6.0-rc.1`; None for what a peer says that is no version."""
    found = _VERSION.match(version or "")
    return None if found is None else (int(found[1]), int(found[2]))
