"""All peers: messages go in, and what the membership says becomes connections."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Final

import trio

from trioetcd.log import Logger, Throttle
from trioetcd.node.parking import Signal
from trioetcd.node.protocols import PeerInfo, TransportStatus
from trioetcd.peer.headers import PeerHeaders, PeerIdentity
from trioetcd.peer.inbox import Inbox
from trioetcd.peer.link import Link
from trioetcd.peer.mailbox import can_wait
from trioetcd.peer.peer import Peer
from trioetcd.peer.protocols import Dialer, RaftHandler
from trioetcd.peer.snapshot import SnapshotSlots
from trioetcd.peer.status import PeerCounters
from trioetcd.raft.types import Message

LOG_INTERVAL_SECONDS: Final = 10.0
"""What a peer does wrong again and again is logged once in this time."""

COMPANY_SECONDS: Final = 0.002
"""How long what is not in a hurry waits for a message that is: about the time between two writes of one client."""

REMOTES_MAX: Final = 64
"""Senders that are answered although the log here has not named them yet."""


class Transport:
    """How messages reach the other members. See `node.protocols.Transport`.

    `wall_clock` gives seconds since 1970, for the difference of clocks. Nothing is dialled before `run`; peers may
    be reconciled before and while it runs.
    """

    def __init__(
        self,
        *,
        local: PeerIdentity,
        handler: RaftHandler,
        dialer: Dialer,
        wall_clock: Callable[[], float],
        log: Logger,
    ) -> None:
        self.local = local
        self.throttle = Throttle(interval_seconds=LOG_INTERVAL_SECONDS, clock=trio.current_time)
        self.inbox = Inbox(local_id=local.member_id, handler=handler, log=log, throttle=self.throttle)
        self._handler = handler
        self._dialer = dialer
        self._wall_clock = wall_clock
        self._log = log
        self._slots = SnapshotSlots()
        self._peers: dict[int, Peer] = {}
        self._nursery: trio.Nursery | None = None
        self._some_can_wait = Signal()

    def send(self, messages: Sequence[Message]) -> None:
        """Give messages their ways, and send at once what is in a hurry, as far as the sockets take it. Never blocks.

        What does not fit, or has no peer, is dropped; of a full queue the handler hears, once a call and peer.
        """
        full: set[int] = set()
        due: dict[int, Peer] = {}
        for message in messages:
            peer = self._peers.get(message.to)
            if peer is None:
                self._log_unknown(message)
                continue
            due[message.to] = peer
            if not peer.send(message):
                full.add(message.to)
            elif can_wait(message):
                self._some_can_wait.set()
        for peer in due.values():
            peer.send_due()
        for member_id in full:
            self._log_full(member_id)
            self._handler.report_unreachable(member_id)

    def reconcile(self, peers: Sequence[PeerInfo], removed: Collection[int]) -> None:
        """Make the connections match the membership: `peers` are all other members, `removed` whoever was one."""
        wanted = {info.id: info for info in peers if info.id != self.local.member_id}
        for member_id, peer in list(self._peers.items()):
            if member_id in removed or (peer.is_member and member_id not in wanted):
                self._drop(member_id)
        for member_id, info in wanted.items():
            known = self._peers.get(member_id)
            if known is not None and known.is_member:
                known.link.update_urls(info.urls)
                continue
            if known is not None:
                self._drop(member_id)
            self._add(member_id, info.urls, is_member=True)

    def note_sender(self, headers: PeerHeaders) -> None:
        """A request of another member passed its checks: remember its version, and where to answer it."""
        peer = self._peers.get(headers.from_)
        if peer is not None:
            peer.link.version = headers.version_text
            if not peer.is_member:
                peer.link.update_urls(headers.peer_urls)
        elif headers.peer_urls and headers.from_ != self.local.member_id:
            self._add_remote(headers.from_, headers.peer_urls)

    def peer(self, member_id: int) -> Peer | None:
        """The peer of this id, if it is a member."""
        peer = self._peers.get(member_id)
        return peer if peer is not None and peer.is_member else None

    def status(self) -> TransportStatus:
        """How the connections with the members are."""
        return TransportStatus(tuple(peer.status() for peer in self._peers.values() if peer.is_member))

    def counters(self) -> tuple[PeerCounters, ...]:
        """What went over the connections, as of now."""
        return tuple(peer.link.counters.copy() for peer in self._peers.values())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve the connections until cancelled; then all of them are closed at once."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for peer in self._peers.values():
                    nursery.start_soon(peer.run, name=f"peer {peer.link.peer_id:x}")
                task_status.started()
                await self._hurry()
        finally:
            self._nursery = None

    async def _hurry(self) -> None:
        """Send what found no company in time.

        A leader tells its followers of every commit. While writes follow each other this leaves together with the next
        entries, and so do the answers: half the messages, each of which wakes a process. A follower's watches and
        serializable reads are at most these milliseconds later for it; not for a follower that forwards proposals.
        """
        while True:
            await self._some_can_wait.wait()
            while (since := min((peer.waits_since for peer in self._peers.values()), default=math.inf)) < math.inf:
                await trio.sleep_until(since + COMPANY_SECONDS)
                due = max(since, trio.current_time() - COMPANY_SECONDS)
                for peer in self._peers.values():
                    peer.send_older(due)

    def _add_remote(self, member_id: int, urls: Sequence[str]) -> None:
        remotes = sum(not peer.is_member for peer in self._peers.values())
        if remotes < REMOTES_MAX:
            self._log.info("answering a member that the log has not named yet", peer_id=f"{member_id:x}", urls=urls)
            self._add(member_id, urls, is_member=False)

    def _add(self, member_id: int, urls: Sequence[str], *, is_member: bool) -> None:
        link = Link(
            peer_id=member_id,
            urls=urls,
            local=self.local,
            handler=self._handler,
            inbox=self.inbox,
            dialer=self._dialer,
            log=self._log,
            throttle=self.throttle,
        )
        peer = Peer(link=link, slots=self._slots, wall_clock=self._wall_clock, is_member=is_member)
        self._peers[member_id] = peer
        if self._nursery is not None:
            self._nursery.start_soon(peer.run, name=f"peer {member_id:x}")
        self._log.info("added a peer", peer_id=f"{member_id:x}", urls=list(urls), is_member=is_member)

    def _drop(self, member_id: int) -> None:
        self._peers.pop(member_id).stop()
        self._log.info("dropped a peer", peer_id=f"{member_id:x}")

    def _log_unknown(self, message: Message) -> None:
        if (held_back := self.throttle.admit(("unknown", message.to))) is not None:
            self._log.info("dropped a message for an unknown peer", peer_id=f"{message.to:x}", held_back=held_back)

    def _log_full(self, member_id: int) -> None:
        if (held_back := self.throttle.admit(("full", member_id))) is not None:
            self._log.warning(
                "dropped messages for a peer: its queue is full", peer_id=f"{member_id:x}", held_back=held_back
            )
