"""The two long-lived streams from and to a peer.

    append   what replicates the log (APP): large, and in a hurry
    message  all else: heartbeats, votes, answers, reads, which must not queue behind megabytes of entries

The receiver dials: to be sent to by B, member A asks B for `GET /raft/stream/append/<id of A>`, and B writes. So each
side finds out by itself, and at once, when it no longer hears, and redials without being asked. While nothing is
sent the writer sends an empty frame each 5/3 s; a reader that hears nothing for 5 s gives the stream up.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, Final

import trio

from trioetcd.node.parking import Signal
from trioetcd.peer.errors import PeerFailure, PeerGone, PeerRefused
from trioetcd.peer.framing import FRAME_BYTES_TARGET, HEARTBEAT_FRAME, DamagedFrame, decode_frame, encode_frame
from trioetcd.peer.guarded import GuardedStream
from trioetcd.peer.link import IO_SECONDS, Link
from trioetcd.peer.mailbox import Mailbox
from trioetcd.raft.types import MessageType

if TYPE_CHECKING:
    from trioetcd.peer.websocket import FrameStream

# What knows the library of WebSockets is imported with the first stream: a member that is alone needs none of it.

REDIAL_SECONDS: Final = 0.1
HEARTBEAT_SECONDS: Final = IO_SECONDS / 3
STREAM_QUEUE_CAPACITY: Final = 4096


class StreamKind(Enum):
    """Which of the two; the value is its name in the path."""

    APPEND = "append"
    MESSAGE = "message"


class StreamReader:
    """Keeps one stream from the peer open, and delivers what comes on it."""

    def __init__(self, *, link: Link, kind: StreamKind) -> None:
        self._link = link
        self._kind = kind

    async def run(self) -> None:
        """Dial, read, and dial again; until cancelled."""
        while True:
            try:
                await self._read_one_stream()
            except PeerRefused as refusal:
                self._down(self._link.refused(refusal))
            except PeerFailure as failure:
                self._down(failure)
                if isinstance(failure, PeerGone) and not self._link.activity.is_active:
                    self._link.handler.report_gone(self._link.peer_id)
            await trio.sleep(REDIAL_SECONDS)

    def _down(self, failure: PeerFailure) -> None:
        self._link.activity.down(self._kind.value, str(failure))

    async def _read_one_stream(self) -> None:
        from trioetcd.peer.websocket import run_client_stream  # noqa: PLC0415 # see above

        link = self._link
        stream, host = await link.connect()
        target = f"/raft/stream/{self._kind.value}/{link.local.member_id:x}"
        await run_client_stream(stream, host=host, target=target, headers=link.headers, use=self._read)

    async def _read(self, frames: FrameStream) -> None:
        link = self._link
        link.note_version(frames.response_headers)
        link.activity.up(self._kind.value)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(frames.watch_silence, IO_SECONDS)
            while True:
                self._deliver(await frames.receive())

    def _deliver(self, frame: bytes) -> None:
        link = self._link
        link.counters.received_bytes += len(frame)
        try:
            messages = decode_frame(frame)
        except DamagedFrame as damage:
            link.counters.received_failures += 1
            raise PeerFailure(f"a damaged frame came on the {self._kind.value} stream: {damage}") from damage
        if any(message.type is MessageType.PROP for message in messages):
            link.note_forwarded()
        if messages:
            link.inbox.deliver(messages, sender=link.peer_id)


class StreamWriter:
    """One stream to the peer, which it dialled: its queue, and the task that empties it.

    While the socket takes all, `send_now` empties the queue itself, in the turn in which it was filled. What is left
    of a frame is the task's, and so is all that follows until it is gone. Of a stream that ends, all that was not
    handed to the socket is reported as lost, once, by `run`.
    """

    def __init__(self, *, link: Link) -> None:
        self.mailbox = Mailbox(capacity=STREAM_QUEUE_CAPACITY)
        self.is_due = False  # something waits that is in a hurry
        self.waits_since = math.inf  # something waits that is not
        self._link = link
        self._woken = Signal()  # to write a rest, or a sign of life
        self._scope = trio.CancelScope()
        self._frames: FrameStream | None = None  # once the upgrade is accepted
        self._in_flight = 0  # messages in the frame that is being sent: what comes meanwhile waits
        self._rest: bytes | memoryview = b""  # of a frame that the socket did not take whole

    async def run(self, stream: GuardedStream) -> None:
        """Accept the upgrade and write until the stream is lost, `stop` is called, or the task is cancelled."""
        from trioetcd.peer.websocket import run_server_stream  # noqa: PLC0415 # see above

        headers = [(b"X-Server-Version", self._link.local.version.encode())]
        try:
            with self._scope:
                await run_server_stream(stream, headers=headers, use=self._serve)
        except PeerFailure as failure:
            self._link.log.debug("a stream to a peer ended", reason=str(failure))
        finally:
            self._frames = None
        if lost := self._in_flight + self.mailbox.clear():
            self._link.lost(lost)

    def send_now(self) -> None:
        """Send what waits; what the socket does not take now is sent by the task."""
        frames, mailbox = self._frames, self.mailbox
        self.is_due, self.waits_since = False, math.inf
        while mailbox and frames is not None and not self._in_flight:
            batch = mailbox.take_nowait(bytes_target=FRAME_BYTES_TARGET)
            frame = encode_frame(batch)
            try:
                rest = frames.send_nowait(frame)
            except PeerFailure as failure:
                self._link.log.debug("a frame could not be sent to a peer", reason=str(failure))
                self._in_flight = len(batch)  # which `run` reports, with all that waits: this may be within a round
                self.stop()
                return
            self._link.counters.sent_bytes += len(frame)
            if rest:
                self._rest, self._in_flight = rest, len(batch)
                self._woken.set()

    def stop(self) -> None:
        """End the stream: it broke, the peer dialled another one, or the peer is no member any more."""
        self._scope.cancel()

    async def _serve(self, frames: FrameStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write, frames)
            nursery.start_soon(self._beat)
            await frames.receive()  # which ends by raising, once the other side is gone
            raise PeerFailure("the reader of a stream sent a frame")

    async def _write(self, frames: FrameStream) -> None:
        self._frames = frames
        self.send_now()  # what was queued before
        while True:
            await self._woken.wait()
            if self._rest:
                await frames.send_rest(self._rest)
                self._rest, self._in_flight = b"", 0
                self.send_now()
            else:
                await frames.send(HEARTBEAT_FRAME)
                self._link.counters.sent_bytes += len(HEARTBEAT_FRAME)

    async def _beat(self) -> None:
        # A task of its own costs nothing while messages flow; a deadline a frame would.
        while True:
            await trio.sleep(HEARTBEAT_SECONDS)
            self._woken.set()
