"""The whole state, from one member to another that is too far behind for the log.

The body of `POST /raft/snapshot`, sent in chunks:

    length   8 bytes, big-endian
    frame    `length` bytes: one frame (see `framing`) with one message, of type SNAP
    state    the rest, in the state's own form, which has checksums and an end of its own

The sender makes a slice, sends it, and lets others run. The receiver writes aside; only when all came and was
verified is the message stepped and the sender told so (204). In every other case nothing is kept.
"""

from __future__ import annotations

from typing import Final

import trio

from trioetcd.http11 import ClientExchange, Response, ServerConnection
from trioetcd.log import Logger
from trioetcd.peer.checks import Refusal
from trioetcd.peer.errors import PeerFailure, describe
from trioetcd.peer.framing import FRAME_BYTES_MAX, DamagedFrame, decode_frame, encode_frame
from trioetcd.peer.inbox import Inbox
from trioetcd.peer.link import Link
from trioetcd.peer.mailbox import Mailbox
from trioetcd.peer.protocols import RaftHandler, SnapshotSource
from trioetcd.raft.types import Message, MessageType
from trioetcd.storage.engine import EngineClosed, EngineDamage
from trioetcd.storage.engine_folder import Receiver
from trioetcd.storage.engine_transfer import TransferDamage

ANSWER_SECONDS: Final = 60.0
"""The receiver verifies and syncs the last of it before it answers."""

REFUSAL_SECONDS: Final = 1.0
"""How long an answer is waited for that was given before all was sent: it is on its way already."""

SNAPSHOTS_MAX: Final = 16
"""On their way at once, over all peers, and taken at once (etcd's maxInFlightMsgSnap)."""

SNAPSHOT_QUEUE_CAPACITY: Final = 1
"""A peer gets one at a time; one more may wait, as a new leader term asks anew."""

SNAPSHOT_ERRORS: Final = (TransferDamage, EngineClosed, EngineDamage, OSError)
"""How a state cannot be read, or cannot be taken: it is damaged, the disk does not do it, another took its place."""

_LENGTH_BYTES: Final = 8
_WRONG_MEMBER: Final = "a snapshot for another member, or from none"


class SnapshotSlots:
    """How many snapshots may be under way. Taking one never waits: who gets none reports failure."""

    def __init__(self, *, slots: int = SNAPSHOTS_MAX) -> None:
        self._free = slots

    def take(self) -> bool:
        """Take a slot, if there is one; who got it gives it back."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    def give_back(self) -> None:
        """Free a slot."""
        self._free += 1


class SnapshotSender:
    """Sends the snapshots of one peer, one after the other."""

    def __init__(self, *, link: Link, slots: SnapshotSlots) -> None:
        self.mailbox = Mailbox(capacity=SNAPSHOT_QUEUE_CAPACITY)
        self._link = link
        self._slots = slots

    async def run(self) -> None:
        """Send what the core asks for, and report each outcome; until cancelled."""
        while True:
            for message in await self.mailbox.take(bytes_target=0):
                self._report(await self._send_in_slot(message))

    def _report(self, failure: str | None) -> None:
        counters = self._link.counters
        if failure is None:
            counters.snapshots_sent += 1
        else:
            counters.snapshots_failed += 1
            counters.sent_failures += 1
            self._link.log.warning("a snapshot did not reach its peer", reason=failure)
        self._link.handler.report_snapshot(self._link.peer_id, ok=failure is None)

    async def _send_in_slot(self, message: Message) -> str | None:
        if not self._slots.take():
            return f"{SNAPSHOTS_MAX} snapshots are under way already; it is sent when the core asks again"
        try:
            await self._send(message)
        except PeerFailure as failure:
            return str(failure)
        except SNAPSHOT_ERRORS as error:
            return f"the state cannot be read: {describe(error)}"
        finally:
            self._slots.give_back()
        return None

    async def _send(self, message: Message) -> None:
        source = self._link.handler.open_snapshot(message)
        try:
            frame = encode_frame([source.message])
            self._link.log.info("sending a snapshot", snapshot_index=_index_of(source.message))
            response = await self._post(frame, source)
        finally:
            source.close()
        self._link.check(response)
        self._link.log.info("sent a snapshot", snapshot_index=_index_of(source.message))

    async def _post(self, frame: bytes, source: SnapshotSource) -> Response:
        fields = [*self._link.headers, (b"Content-Type", b"application/octet-stream"), (b"Connection", b"close")]
        async with (
            self._link.connection(receive_seconds=ANSWER_SECONDS) as connection,
            connection.stream("POST", "/raft/snapshot", fields) as exchange,
        ):
            try:
                await self._send_body(exchange, frame, source)
            except trio.BrokenResourceError as error:
                # A receiver that does not want it all has answered and closed: that is heard. A network that takes
                # nothing brings no answer either, and the core waits for the report before it tries again.
                self._link.log.debug("a snapshot was not read to its end", reason=describe(error))
                with trio.move_on_after(REFUSAL_SECONDS):
                    return await _answer(exchange)
                raise
            return await _answer(exchange)

    async def _send_body(self, exchange: ClientExchange, frame: bytes, source: SnapshotSource) -> None:
        counters = self._link.counters
        await exchange.send(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)
        for chunk in source.chunks():
            await exchange.send(chunk)
            counters.sent_bytes += len(chunk)
            await trio.lowlevel.checkpoint()  # also when the network takes all at once
        await exchange.end()


async def _answer(exchange: ClientExchange) -> Response:
    status, headers = await exchange.receive_head()
    return Response(status, headers, await exchange.receive_body())


class SnapshotReceiver:
    """Takes the states that leaders send."""

    def __init__(self, *, handler: RaftHandler, inbox: Inbox, log: Logger) -> None:
        self._handler = handler
        self._inbox = inbox
        self._log = log
        self._slots = SnapshotSlots()

    async def receive(self, connection: ServerConnection, *, sender: int) -> Refusal | None:
        """Read the body of the present request; None once the state is kept and its message stepped.

        Whatever goes wrong, a cancellation included, the receiver is aborted. Raises what the network does.
        """
        if not self._slots.take():
            return Refusal(503, "too many snapshots at once", f"{SNAPSHOTS_MAX} are being received")
        try:
            return await self._receive(_Body(connection), sender)
        except DamagedFrame as damage:
            return Refusal(400, "error unmarshalling raft message", str(damage))
        except SNAPSHOT_ERRORS as error:
            return Refusal(500, f"failed to save KV snapshot: {describe(error)}")
        finally:
            self._slots.give_back()

    async def _receive(self, body: _Body, sender: int) -> Refusal | None:
        messages = decode_frame(await body.frame())
        if len(messages) != 1 or messages[0].type is not MessageType.SNAP or messages[0].snapshot is None:
            return Refusal(400, "wrong raft message type")
        [message] = messages
        if (reason := self._inbox.refusal_of(message, sender)) is not None:
            return Refusal(412, _WRONG_MEMBER, reason)
        index = _index_of(message)
        self._log.info("receiving a snapshot", peer_id=f"{sender:x}", snapshot_index=index)
        receiver = self._handler.receive_snapshot(message)
        size = await self._fill(receiver, body)
        self._log.info("received a snapshot", peer_id=f"{sender:x}", snapshot_index=index, bytes=size)
        self._inbox.deliver_snapshot(message)
        return None

    async def _fill(self, receiver: Receiver, body: _Body) -> int:
        whole = False
        size = 0
        try:
            while data := await body.chunk():
                receiver.feed(data)
                size += len(data)
            receiver.finish()
            whole = True
        finally:
            if not whole:
                receiver.abort()
        return size


class _Body:
    """A request's body: its frame, then the rest as it comes."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._buffer = b""

    async def frame(self) -> bytes:
        """The frame that the body begins with; raises `DamagedFrame` when there is none."""
        length = int.from_bytes(await self._exactly(_LENGTH_BYTES), "big")
        if length > FRAME_BYTES_MAX:
            raise DamagedFrame(f"a frame of {length} bytes is announced, at most {FRAME_BYTES_MAX} are allowed")
        return await self._exactly(length)

    async def chunk(self) -> bytes:
        """What came next; empty at the end."""
        if not self._buffer:
            return await self._connection.read_chunk()
        data, self._buffer = self._buffer, b""
        await trio.lowlevel.checkpoint()
        return data

    async def _exactly(self, size: int) -> bytes:
        parts = [self._buffer]
        have = len(self._buffer)
        while have < size:
            data = await self._connection.read_chunk()
            if not data:
                raise DamagedFrame(f"the body ended after {have} of {size} bytes")
            parts.append(data)
            have += len(data)
        whole = b"".join(parts)
        self._buffer = whole[size:]
        return whole[:size]


def _index_of(message: Message) -> int:
    return message.snapshot.metadata.index if message.snapshot is not None else 0
