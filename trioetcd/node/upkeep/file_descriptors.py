"""File descriptors: how many there are, how many are in use, how many clients may have.

A member that runs out of descriptors cannot open a WAL segment or answer its peers; so it keeps some back from clients
and says early when they grow few. The numbers are etcd's (server/embed/etcd.go, server/etcdserver/metrics.go).
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio

from trioetcd.log import Logger

RESERVED_FOR_MEMBER: Final = 150
"""Descriptors that clients leave to the log, the database and the peers; with fewer a member does not start."""

CHECK_INTERVAL_SECONDS: Final = 600.0
_WARN_NUMERATOR, _WARN_DENOMINATOR = 4, 5


@dataclass(frozen=True, slots=True)
class DescriptorStatus:
    """Open descriptors of this process and the limit on them (the soft one, which is what `open` meets)."""

    used: int
    limit: int

    @property
    def is_short(self) -> bool:
        """Whether 80 % are in use."""
        return self.used >= self.limit // _WARN_DENOMINATOR * _WARN_NUMERATOR


def descriptor_limit() -> int:
    """How many descriptors this process may have open; a huge number where there is no limit."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**31 if soft == resource.RLIM_INFINITY else soft


def read_descriptors() -> DescriptorStatus:
    """Count what is open now: one directory listing (of /dev/fd where there is no /proc), tens of microseconds."""
    return DescriptorStatus(used=len(os.listdir(_descriptor_directory())), limit=descriptor_limit())  # noqa: PTH208 # names alone


def client_connections_max(limit: int) -> int:
    """How many connections client listeners may hold together under a limit of descriptors; below 1 is no room."""
    return limit - RESERVED_FOR_MEMBER


class DescriptorMonitor:
    """Looks at the descriptors every ten minutes and warns while 80 % or more are in use."""

    def __init__(self, *, log: Logger, read: Callable[[], DescriptorStatus] = read_descriptors) -> None:
        self._log = log
        self._read = read
        self._last = read()

    def status(self) -> DescriptorStatus:
        """What the last look found, at most ten minutes old."""
        return self._last

    def check(self) -> None:
        """Look once; warn when descriptors are short."""
        self._last = status = self._read()
        if status.is_short:
            self._log.warning(
                "80% of the file descriptors are used; raise the limit (ulimit -n) or connect fewer clients",
                used=status.used,
                limit=status.limit,
            )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look, now and every ten minutes, until cancelled."""
        task_status.started()
        while True:
            self.check()
            await trio.sleep(CHECK_INTERVAL_SECONDS)


def _descriptor_directory() -> str:
    return "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"  # noqa: PTH112 # no path is built
