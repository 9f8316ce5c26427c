from __future__ import annotations

from types import SimpleNamespace

import pytest
import trio

from trioetcd.peer.clock import format_time, parse_time
from trioetcd.peer.errors import PeerFailure
from trioetcd.peer.prober import Prober
from trioetcd.peer.status import ROUND_TRIP_BOUNDS_SECONDS, RoundTrips


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2023-11-14T22:13:20.5Z", 1_700_000_000.5),
        ("2023-11-14T22:13:20.123456789Z", 1_700_000_000.123456),
        ("2023-11-14T23:13:20.25+01:00", 1_700_000_000.25),
    ],
)
def test_times_of_go_are_read(text: str, seconds: float) -> None:
    assert parse_time(text) == pytest.approx(seconds, abs=1e-6)
    assert parse_time(format_time(seconds)) == pytest.approx(seconds, abs=1e-6)


def test_round_trips_are_counted_by_bucket() -> None:
    trips = RoundTrips().with_one(0.0001).with_one(0.00015).with_one(1000)
    assert (trips.counts[0], trips.counts[1], trips.counts[-1]) == (1, 1, 1)
    assert len(trips.counts) == len(ROUND_TRIP_BOUNDS_SECONDS) + 1


async def test_round_trip_and_clock_difference_are_known(autojump_clock, cluster) -> None:
    one, _ = await cluster.pair()
    await trio.sleep(5)
    [status] = one.transport.status().peers
    assert status.rtt_seconds == pytest.approx(0, abs=0.01)
    assert status.clock_difference_seconds == pytest.approx(0, abs=0.01)
    assert status.version == "3.5.1"
    before = sum(one.transport.counters()[0].round_trips.counts)
    await trio.sleep(40)
    assert sum(one.transport.counters()[0].round_trips.counts) == before + 10


async def test_a_clock_that_differs_is_logged_once_each_way(autojump_clock, cluster) -> None:
    one, two = await cluster.pair()
    two.clock_offset[0] = 3.0
    await trio.sleep(60)
    [status] = one.transport.status().peers
    assert status.clock_difference_seconds == pytest.approx(-3.0, abs=0.01)
    assert len(cluster.messages(1, "clock difference")) == 1
    two.clock_offset[0] = 0.0
    await trio.sleep(60)
    assert len(cluster.messages(1, "clock difference")) == 1
    assert len(cluster.messages(1, "agree again")) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"Now":5}', b'{"Now":"2023-11-14T22:13:20"}', b"[" * 4000])
async def test_an_answer_that_is_none_is_a_failure_of_the_peer(body: bytes) -> None:
    class Connection:
        async def request(self, *_: object, **__: object) -> SimpleNamespace:
            return SimpleNamespace(status=200, body=body)

    prober = Prober(link=SimpleNamespace(), wall_clock=lambda: 0.0)
    with pytest.raises(PeerFailure, match="is not understood"):
        await prober._probe(Connection())


async def test_a_peer_that_is_away_has_no_round_trip(autojump_clock, cluster) -> None:
    one, two = await cluster.pair()
    await trio.sleep(5)
    two.scope.cancel()
    await trio.sleep(10)
    [status] = one.transport.status().peers
    assert (status.active, status.rtt_seconds, status.clock_difference_seconds) == (False, None, None)
