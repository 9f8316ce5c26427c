"""One peer: which way a message takes to it, and the tasks of its connections."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from trioetcd.node.protocols import PeerStatus
from trioetcd.peer.guarded import GuardedStream
from trioetcd.peer.link import Link
from trioetcd.peer.mailbox import can_wait
from trioetcd.peer.pipeline import WORKERS, Pipeline
from trioetcd.peer.prober import Prober
from trioetcd.peer.snapshot import SnapshotSender, SnapshotSlots
from trioetcd.peer.stream import StreamKind, StreamReader, StreamWriter
from trioetcd.raft.types import Message, MessageType


class Peer:
    """Another member; or, with `is_member=False`, one that this member has not heard of yet but has to answer.

    To the latter there is a pipeline and a snapshot sender, no more, until the log makes it a member.
    """

    def __init__(self, *, link: Link, slots: SnapshotSlots, wall_clock: Callable[[], float], is_member: bool) -> None:
        self.link = link
        self.is_member = is_member
        self._writers: dict[StreamKind, StreamWriter] = {}
        self._pipeline = Pipeline(link=link)
        self._snapshots = SnapshotSender(link=link, slots=slots)
        self._prober = Prober(link=link, wall_clock=wall_clock)
        self._scope = trio.CancelScope()

    def send(self, message: Message) -> bool:
        """Queue a message on the way that stands; False when it was dropped, as the queue is full.

        What goes to a stream leaves with `send_due`, or, when it is in no hurry, at the latest with `send_older`.
        """
        if message.type is MessageType.SNAP:
            return self._send_snapshot(message)
        writers = self._writers
        writer = writers.get(StreamKind.APPEND) if message.type is MessageType.APP else None
        writer = writer or writers.get(StreamKind.MESSAGE)
        taken = (writer or self._pipeline).mailbox.put(message)
        if not taken:
            self.link.counters.dropped_messages += 1
        elif writer is not None and (not can_wait(message) or self.link.forwards):
            writer.is_due = True
        elif writer is not None and writer.waits_since == math.inf:
            writer.waits_since = trio.current_time()
        return taken

    def send_due(self) -> None:
        """Send what is in a hurry, and what it finds company in."""
        for writer in self._writers.values():
            if writer.is_due:
                writer.send_now()

    @property
    def waits_since(self) -> float:
        """Since when something waits for company; infinite when nothing does."""
        return min((writer.waits_since for writer in self._writers.values()), default=math.inf)

    def send_older(self, moment: float) -> None:
        """Send also what is in no hurry, where it has waited since this moment or longer."""
        for writer in self._writers.values():
            if writer.waits_since <= moment:
                writer.send_now()

    def _send_snapshot(self, message: Message) -> bool:
        if not self._snapshots.mailbox.put(message):
            self.link.counters.dropped_messages += 1
            self.link.handler.report_snapshot(self.link.peer_id, ok=False)
        return True

    async def serve_stream(self, kind: StreamKind, stream: GuardedStream) -> None:
        """Write to a stream that the peer dialled, until it ends. A newer one of its kind takes its place."""
        writer = StreamWriter(link=self.link)
        if (older := self._writers.get(kind)) is not None:
            older.stop()
        self._writers[kind] = writer
        try:
            await writer.run(stream)
        finally:
            if self._writers.get(kind) is writer:
                del self._writers[kind]

    async def run(self) -> None:
        """Keep the connections until `stop` is called, or the task is cancelled."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for _ in range(WORKERS):
                    nursery.start_soon(self._pipeline.run_worker)
                nursery.start_soon(self._snapshots.run)
                if self.is_member:
                    for kind in StreamKind:
                        nursery.start_soon(StreamReader(link=self.link, kind=kind).run)
                    nursery.start_soon(self._prober.run)

    def stop(self) -> None:
        """Drop the peer and everything that is queued for it."""
        self._scope.cancel()
        for writer in self._writers.values():
            writer.stop()

    def status(self) -> PeerStatus:
        """How the connection is."""
        link = self.link
        return PeerStatus(
            id=link.peer_id,
            active=link.activity.is_active,
            active_since=link.activity.active_since,
            version=link.version,
            rtt_seconds=link.rtt_seconds,
            clock_difference_seconds=link.clock_difference_seconds,
        )
