"""The outside of a member in production: the machine's disk, network, clocks, chance and threads.

The one place that reaches for them; everything below is given them, and so runs as well in a simulation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import trio

from trioetcd.config import MemberConfig
from trioetcd.log import Logger
from trioetcd.node.environment import Environment
from trioetcd.node.network import TcpNetwork
from trioetcd.peer.dialer import TcpDialer
from trioetcd.storage.engine_folder import LevelEngineFolder
from trioetcd.storage.filesystem import OsFileSystem

THREADS_MAX: Final = 8
"""Threads for blocking work. Syncs of the log come one at a time; the rest is rare and long."""


def production_environment(config: MemberConfig, *, log: Logger) -> Environment:
    """What a member runs on outside of tests. To be called in the loop."""
    filesystem = OsFileSystem()
    limiter = trio.CapacityLimiter(THREADS_MAX)

    async def run_blocking(work: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(work, limiter=limiter)

    return Environment(
        filesystem=filesystem,
        engine_folder=LevelEngineFolder(filesystem=filesystem, directory=config.data_dir / "member", log=log),
        network=TcpNetwork(),
        dialer=TcpDialer(),
        random=Random(),  # noqa: S311 # spreads elections and IDs; no secret comes of it
        secrets=SystemRandom(),
        wall_seconds=time.time,
        stopwatch=time.perf_counter,
        run_blocking=run_blocking,
        read_file=Path.read_bytes,
        log=log,
    )
