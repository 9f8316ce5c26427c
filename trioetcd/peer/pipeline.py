"""The way out when no stream stands: POST /raft, by four workers, each message tried once."""

from __future__ import annotations

from typing import Final

from trioetcd.peer.errors import PeerFailure
from trioetcd.peer.framing import FRAME_BYTES_TARGET, encode_frame
from trioetcd.peer.link import Link
from trioetcd.peer.mailbox import Mailbox

WORKERS: Final = 4
PIPELINE_QUEUE_CAPACITY: Final = 64


class Pipeline:
    """A queue, and the workers that post what waits in it. Raft repeats what is lost, so nothing is tried twice."""

    def __init__(self, *, link: Link) -> None:
        self.mailbox = Mailbox(capacity=PIPELINE_QUEUE_CAPACITY)
        self._link = link
        self._failing = False

    async def run_worker(self) -> None:
        """Post batches until cancelled. Several workers run at once, so batches may overtake each other."""
        while True:
            batch = await self.mailbox.take(bytes_target=FRAME_BYTES_TARGET)
            if not batch:
                continue
            body = encode_frame(batch)
            try:
                await self._link.post("/raft", body)
            except PeerFailure as failure:
                self._failed(failure, len(batch))
            else:
                self._failing = False
                self._link.counters.sent_bytes += len(body)

    def _failed(self, failure: PeerFailure, count: int) -> None:
        if not self._failing:
            self._failing = True
            self._link.log.warning("messages cannot be posted to a peer, they are dropped", reason=str(failure))
        self._link.lost(count)
