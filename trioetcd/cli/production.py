"""The outside of a member in production: the machine's disk, network, clocks, chance and threads.

The one place that reaches for them; everything below is given them, and so runs as well in a simulation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import trio

from trioetcd.config import MemberConfig, Url, parse_url
from trioetcd.log import Logger
from trioetcd.node.environment import Environment
from trioetcd.storage.engine_folder import LevelEngineFolder
from trioetcd.storage.filesystem import OsFileSystem

THREADS_MAX: Final = 8
"""Threads for blocking work. Syncs of the log come one at a time; the rest is rare and long."""


class TcpNetwork:
    """TCP, as Trio does it. `localhost` is listened at on 127.0.0.1, as etcd does."""

    async def listen(self, urls: Sequence[Url]) -> list[trio.abc.Listener[trio.abc.Stream]]:
        """Listen at every URL, or at none: raises `OSError` naming the one that is taken."""
        listeners: list[trio.abc.Listener[trio.abc.Stream]] = []
        try:
            for url in urls:
                listeners.extend(await _listen(url))
        except OSError:
            for listener in listeners:
                await trio.aclose_forcefully(listener)
            raise
        return listeners

    async def dial(self, url: str) -> trio.abc.Stream:
        """Connect to the first address of the URL's host that answers; raises `OSError`."""
        target = parse_url(url)
        return await trio.open_tcp_stream(target.host, target.port)


def production_environment(config: MemberConfig, *, log: Logger) -> Environment:
    """What a member runs on outside of tests."""
    filesystem = OsFileSystem()
    limiter = trio.CapacityLimiter(THREADS_MAX)

    async def run_blocking(work: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(work, limiter=limiter)

    return Environment(
        filesystem=filesystem,
        engine_folder=LevelEngineFolder(filesystem=filesystem, directory=config.data_dir / "member"),
        network=TcpNetwork(),
        random=Random(),  # noqa: S311 # spreads elections and IDs; no secret comes of it
        wall_seconds=time.time,
        stopwatch=time.perf_counter,
        run_blocking=run_blocking,
        log=log,
    )


async def _listen(url: Url) -> Sequence[trio.SocketListener]:
    host = "127.0.0.1" if url.host == "localhost" else url.host
    try:
        return await trio.open_tcp_listeners(url.port, host=host)
    except OSError as error:
        reason = error.__cause__ if error.errno is None and isinstance(error.__cause__, OSError) else error
        raise OSError(reason.errno, f"listen on {url}: {reason.strerror or reason}") from error
