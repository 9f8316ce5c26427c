"""What the tasks of one peer share: whom it is, where it is reached, and what is known of it."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import trio

from trioetcd.http11 import ClientConnection, Headers, Response
from trioetcd.log import Logger, Throttle
from trioetcd.peer.errors import NETWORK_ERRORS, PeerFailure, PeerGone, PeerRefused, describe
from trioetcd.peer.guarded import GuardedStream
from trioetcd.peer.headers import PeerIdentity, is_peer_url, write_headers
from trioetcd.peer.inbox import Inbox
from trioetcd.peer.protocols import Dialer, RaftHandler
from trioetcd.peer.status import Activity, PeerCounters

DIAL_SECONDS: Final = 2.0
"""etcd's, with its default election timeout: 1 s and one election."""

IO_SECONDS: Final = 5.0
"""A peer that sends nothing, or takes nothing, for so long is given up (etcd's ConnReadTimeout, ConnWriteTimeout)."""

FORWARDS_SECONDS: Final = 1.0
"""So long after a proposal a peer counts as one that forwards them."""

_RESPONSE_BYTES_MAX: Final = 64 * 1024
_REASON_CHARACTERS_MAX: Final = 200


class Link:
    """One peer, as its tasks see it. A peer's several URLs are tried in turn."""

    def __init__(
        self,
        *,
        peer_id: int,
        urls: Sequence[str],
        local: PeerIdentity,
        handler: RaftHandler,
        inbox: Inbox,
        dialer: Dialer,
        log: Logger,
        throttle: Throttle,
    ) -> None:
        self.peer_id = peer_id
        self.local = local
        self.handler = handler
        self.inbox = inbox
        self.log = log.bind(peer_id=f"{peer_id:x}")
        self.throttle = throttle
        self.counters = PeerCounters(peer_id)
        self.activity = Activity(peer_id=peer_id, counters=self.counters, log=log)
        self.version: str | None = None
        self.rtt_seconds: float | None = None
        self.clock_difference_seconds: float | None = None
        self._forwarded_at = -math.inf
        self._dialer = dialer
        self._known_urls = tuple(urls)
        self._refusing: set[str] = set()  # of its URLs, those where nobody listened when last they were tried
        self._urls = self._known_urls  # in the order of trying: what last worked is first

    @property
    def forwards(self) -> bool:
        """Whether the peer forwarded proposals lately: its clients wait for it to hear that they are committed."""
        return trio.current_time() < self._forwarded_at + FORWARDS_SECONDS

    def note_forwarded(self) -> None:
        """A proposal came from the peer."""
        self._forwarded_at = trio.current_time()

    def update_urls(self, urls: Sequence[str]) -> None:
        """Reach the peer at these URLs from the next connection on."""
        if tuple(urls) != self._known_urls:
            self._known_urls = self._urls = tuple(urls)

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of every request to this peer."""
        return write_headers(self.local, to=self.peer_id)

    async def connect(self, *, receive_seconds: float = IO_SECONDS) -> tuple[GuardedStream, str]:
        """A stream to the peer, and the name of its host; raises `PeerFailure`, and then the next URL is next.

        The failure is `PeerGone` when nobody listened at any of the URLs when last they were tried.
        """
        if not self._urls:
            raise PeerFailure("it has no peer URLs")
        url = self._urls[0]
        if not is_peer_url(url):  # whoever updates a member may name any URL
            self._put_last(url)
            raise PeerFailure(f"{url!r} cannot be dialled: expected http://HOST:PORT")
        try:
            with trio.fail_after(DIAL_SECONDS):
                stream = await self._dialer.dial(url)
        except trio.TooSlowError:
            self._put_last(url)
            self._refusing.discard(url)
            raise PeerFailure(f"{url} did not answer within {DIAL_SECONDS:g} s") from None
        except (OSError, trio.BrokenResourceError) as error:
            self._put_last(url)
            self._refusing.discard(url)
            if isinstance(error, ConnectionRefusedError):
                self._refusing.add(url)
            failure = PeerGone if self._refusing.issuperset(self._urls) else PeerFailure
            raise failure(f"{url} cannot be reached: {describe(error)}") from error
        self._refusing.clear()
        return GuardedStream(stream, receive_seconds=receive_seconds, send_seconds=IO_SECONDS), urlsplit(url).netloc

    def _put_last(self, url: str) -> None:
        # Only if it is still first: several tasks may have failed at it together.
        if self._urls and self._urls[0] == url:
            self._urls = (*self._urls[1:], url)

    @asynccontextmanager
    async def connection(self, *, receive_seconds: float = IO_SECONDS) -> AsyncIterator[ClientConnection]:
        """An HTTP connection to the peer; what the network does to it within the block becomes `PeerFailure`."""
        stream, host = await self.connect(receive_seconds=receive_seconds)
        try:
            yield ClientConnection(stream, host=host)
        except NETWORK_ERRORS as error:
            raise PeerFailure(stream.failure or describe(error)) from error
        finally:
            await trio.aclose_forcefully(stream)

    async def post(self, target: str, body: bytes) -> None:
        """POST a body on a connection of its own; raises `PeerFailure`, `PeerRefused` for any status but 204."""
        fields = [*self.headers, (b"Content-Type", b"application/msgpack"), (b"Connection", b"close")]
        async with self.connection() as connection:
            response = await connection.request("POST", target, fields, body, response_bytes_max=_RESPONSE_BYTES_MAX)
        self.check(response)

    def check(self, response: Response) -> None:
        """Raise `PeerRefused` unless a request was taken (204); learn from who says that this member was removed."""
        if response.status != 204:
            text = response.body.decode("utf-8", "replace").strip()[:_REASON_CHARACTERS_MAX]
            raise self.refused(PeerRefused(response.status, text))

    def refused(self, refusal: PeerRefused) -> PeerRefused:
        """Act on a refusal: being removed concerns the whole member. Returns it, to be raised."""
        if refusal.says_removed:
            if (held_back := self.throttle.admit(("removed", self.peer_id))) is not None:
                self.log.error(
                    "a peer says that this member was removed from the cluster",
                    reason=refusal.reason,
                    held_back=held_back,
                )
            self.handler.removed_by(self.peer_id)
        return refusal

    def note_version(self, headers: Headers) -> None:
        """Learn the peer's version from the fields of a request or a response."""
        if (version := headers.get(b"x-server-version")) is not None:
            self.version = version.decode("latin-1")[:32]

    def lost(self, count: int) -> None:
        """Messages that were queued are lost: count them, and let the core know."""
        self.counters.sent_failures += 1
        self.counters.dropped_messages += count
        self.handler.report_unreachable(self.peer_id)
