"""What the tree is given instead of reaching for it: disk, network, clocks, chance, threads.

Everything below `nursery_server` takes these as objects. With the production ones the member runs on a machine; with
those of `trioetcd.testing` the same tree runs in one process, on a clock and a disk that a test controls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import trio

from trioetcd.config import Url
from trioetcd.log import Logger
from trioetcd.storage.engine_folder import EngineFolder
from trioetcd.storage.filesystem import FileSystem
from trioetcd.storage.wal_segment import SEGMENT_BYTES


class Network(Protocol):
    """Where listeners come from."""

    async def listen(self, urls: Sequence[Url]) -> Sequence[trio.abc.Listener[trio.abc.Stream]]:
        """Listen at every URL; raises `OSError` when an address is taken."""
        ...


class Dialer(Protocol):
    """Where connections to other members come from."""

    async def dial(self, url: str) -> trio.abc.Stream:
        """Connect; raises `OSError`, and waits no longer than its caller."""
        ...


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The outside of one member."""

    filesystem: FileSystem
    engine_folder: EngineFolder
    network: Network
    dialer: Dialer
    random: Random
    secrets: Random
    """Chance that nobody can foresee: for tokens, and what hashes of passwords are salted with."""
    wall_seconds: Callable[[], float]
    """The time of day: for request IDs, the clocks of peers, the end of signed tokens; never for replicated state."""
    stopwatch: Callable[[], float]
    """A fine clock to measure durations with; may be called in any thread."""
    run_blocking: Callable[[Callable[[], None]], Awaitable[None]]
    read_file: Callable[[Path], bytes]
    """A small file of the operator's, such as a key; raises `OSError`."""
    log: Logger
    wal_segment_bytes: int = SEGMENT_BYTES
    """The size of a segment of a new log."""
