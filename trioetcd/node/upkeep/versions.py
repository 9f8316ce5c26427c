"""The version of the cluster: the lowest of its members', decided by the leader, replicated through the log.

It only rises. As long as a member's version is not known the cluster stays where it is; a cluster that has none yet
gets the lowest this version works with (etcd's `monitorVersions`).
"""

from __future__ import annotations

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
        if current is not None and _parsed(decided) <= _parsed(current):
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
        versions = [_parsed(SERVER_VERSION)]
        for member in self._machine.members.members():
            if member.id == self._leadership.member_id:
                continue
            version = known.get(member.id)
            if version is None:
                return None
            versions.append(_parsed(version))
        major, minor, _ = min(versions)
        return f"{major}.{minor}.0"


def _parsed(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)
