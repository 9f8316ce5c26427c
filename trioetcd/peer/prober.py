"""How far away a peer is, and how much its clock differs: asked every four seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import trio

from trioetcd.http11 import ClientConnection
from trioetcd.peer.clock import parse_time
from trioetcd.peer.errors import PeerFailure
from trioetcd.peer.link import Link

PROBE_SECONDS: Final = 4.0
CLOCK_DIFFERENCE_WARN_SECONDS: Final = 1.0
_ANSWER_BYTES_MAX: Final = 4096


class Prober:
    """Keeps `rtt_seconds` and `clock_difference_seconds` of a link. `wall_clock` is in seconds since 1970.

    The difference is the local clock less the peer's, half a round trip allowed for. More than a second is logged,
    once when it begins and once when it ends: leases and certificates live by these clocks.
    """

    def __init__(self, *, link: Link, wall_clock: Callable[[], float]) -> None:
        self._link = link
        self._wall_clock = wall_clock
        self._clock_differs = False

    async def run(self) -> None:
        """Probe until cancelled. That a peer is not reached is logged by its streams."""
        while True:
            try:
                async with self._link.connection() as connection:
                    while connection.reusable:
                        await self._probe(connection)
                        await trio.sleep(PROBE_SECONDS)
            except PeerFailure:
                self._link.rtt_seconds = None
                self._link.clock_difference_seconds = None
                await trio.sleep(PROBE_SECONDS)

    async def _probe(self, connection: ClientConnection) -> None:
        start = trio.current_time()
        response = await connection.request("GET", "/raft/probing", response_bytes_max=_ANSWER_BYTES_MAX)
        rtt = trio.current_time() - start
        now = self._wall_clock()
        try:
            answer = json.loads(response.body)
            peer_time = parse_time(answer["Now"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise PeerFailure(f"its answer to a probe is not understood ({response.status})") from error
        link = self._link
        link.rtt_seconds = rtt
        link.counters.round_trips = link.counters.round_trips.with_one(rtt)
        link.clock_difference_seconds = now - peer_time - rtt / 2
        self._judge(link.clock_difference_seconds)

    def _judge(self, difference: float) -> None:
        differs = abs(difference) > CLOCK_DIFFERENCE_WARN_SECONDS
        if differs == self._clock_differs:
            return
        self._clock_differs = differs
        if differs:
            self._link.log.warning(
                "the clock difference against a peer is too high: keep the members' clocks in step",
                clock_difference_seconds=round(difference, 3),
            )
        else:
            self._link.log.info("the clocks of a peer and this member agree again")
