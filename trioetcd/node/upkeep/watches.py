"""Watchers that are behind are served from the store, in slices; those that asked for it hear how far they are."""

from __future__ import annotations

from random import Random

import trio

from trioetcd.node.parking import Signal
from trioetcd.storage.machine import StateMachine

_JITTER = 0.1  # etcd's, so that not all streams of a cluster speak at once


class WatchResync:
    """Lets unsynced watchers catch up."""

    def __init__(self, *, machine: StateMachine) -> None:
        self._hub = machine.watch_hub
        self._work = Signal()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve slices while any watcher can take more, until cancelled."""
        self._hub.wake = self._work.set
        self._work.set()
        task_status.started()
        while True:
            await self._work.wait()
            while self._hub.catch_up():
                await trio.lowlevel.checkpoint()


class ProgressNotifier:
    """Tells idle watchers how far they are, at etcd's interval with up to a tenth more."""

    def __init__(self, *, machine: StateMachine, interval_seconds: float, random: Random) -> None:
        self._hub = machine.watch_hub
        self._interval_seconds = interval_seconds
        self._random = random

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Notify until cancelled."""
        task_status.started()
        while True:
            await trio.sleep(self._interval_seconds * (1 + _JITTER * self._random.random()))
            self._hub.notify_progress()
