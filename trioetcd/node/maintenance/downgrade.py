"""Downgrade: the cluster says that it goes back to the version before, or that it does not (etcd 3.5's semantics).

What follows of it is that the cluster says so, on every member and after every start. A cluster's version itself only
rises (see `upkeep/versions.py`): no member of a lower one joins a cluster of these.
"""

from __future__ import annotations

import re
from typing import Final

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.proposals import Proposals
from trioetcd.node.reads import ReadLoop
from trioetcd.storage.internal_ops import DowngradeSet
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.requests import RaftRequest

# A version as go-semver reads it: what follows a plus or a minus may be missing, and is passed over.
_VERSION: Final = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)(?:-[0-9A-Za-z.-]*)?(?:\+[0-9A-Za-z.-]*)?", re.ASCII)
_NUMBER_MAX: Final = 2**63 - 1

Minor = tuple[int, int]


class Downgrades:
    """Validates, begins and ends downgrades. What is decided on is read linearizably."""

    def __init__(self, *, machine: StateMachine, reads: ReadLoop, proposals: Proposals) -> None:
        self._machine = machine
        self._reads = reads
        self._proposals = proposals

    async def validate(self, version: str) -> str:
        """Whether the cluster could go back to that version now; the version of the cluster.

        Raises WRONG_DOWNGRADE_VERSION_FORMAT, CLUSTER_VERSION_UNAVAILABLE, INVALID_DOWNGRADE_TARGET_VERSION,
        DOWNGRADE_IN_PROCESS, in this order.
        """
        target = parse_minor(version)
        await self._read_linearizably()
        cluster_version = self._cluster_version()
        major, minor = parse_minor(cluster_version)
        if target != (major, minor - 1):
            raise ApiError.of(ErrorKind.INVALID_DOWNGRADE_TARGET_VERSION)
        if self._machine.downgrade.target is not None:
            raise ApiError.of(ErrorKind.DOWNGRADE_IN_PROCESS)
        return cluster_version

    async def enable(self, version: str) -> str:
        """Begin to go back to a version; the version of the cluster. Raises as `validate` does."""
        cluster_version = await self.validate(version)
        major, minor = parse_minor(version)
        await self._proposals.submit(RaftRequest(DowngradeSet(target=f"{major}.{minor}.0")))
        return cluster_version

    async def cancel(self) -> str:
        """Stay at the present version, which is returned. Raises NO_INFLIGHT_DOWNGRADE."""
        await self._read_linearizably()
        if self._machine.downgrade.target is None:
            raise ApiError.of(ErrorKind.NO_INFLIGHT_DOWNGRADE)
        await self._proposals.submit(RaftRequest(DowngradeSet()))
        return self._cluster_version()

    async def is_enabled(self) -> bool:
        """Whether the cluster is going back to an earlier version."""
        await self._read_linearizably()
        return self._machine.downgrade.target is not None

    async def _read_linearizably(self) -> None:
        if not self._reads.may_read_now:
            await self._reads.wait_linearizable()

    def _cluster_version(self) -> str:
        version = self._machine.members.cluster_version
        if version is None:
            raise ApiError.of(ErrorKind.CLUSTER_VERSION_UNAVAILABLE)
        return version


def parse_minor(version: str) -> Minor:
    """Major and minor of a version, of which the patch level may be missing."""
    for text in (version, f"{version}.0"):
        found = _VERSION.fullmatch(text)
        if found is not None and all(int(number) <= _NUMBER_MAX for number in found.groups()):
            return int(found[1]), int(found[2])
    raise ApiError.of(ErrorKind.WRONG_DOWNGRADE_VERSION_FORMAT)
