from __future__ import annotations

import trio

from trioetcd.peer.snapshot import SnapshotSlots


async def test_a_snapshot_is_installed_whole_and_then_stepped(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    one.transport.send([make.snap()])
    [message] = await two.handler.wait_received(1)
    assert message.snapshot.metadata.index == 77  # of the state that was sent, newer than what was asked
    [sink] = two.handler.sinks
    assert sink.finished
    assert sink.data == b"".join(one.handler.state)
    await trio.testing.wait_all_tasks_blocked()
    assert one.handler.snapshots == [(2, True)]
    assert one.handler.sources[0].closed
    assert [c.snapshots_received for c in two.transport.counters()] == [1]


async def test_a_damaged_snapshot_is_dropped_and_reported(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    one.handler.state = (b"state", b"damage", b"end")
    one.transport.send([make.snap()])
    await trio.sleep(1)
    assert one.handler.snapshots == [(2, False)]
    assert two.handler.received == []
    assert [(sink.finished, sink.aborted) for sink in two.handler.sinks] == [(False, True)]
    [entry] = [e for e in cluster.capture.entries if "did not reach" in e["event"]]
    assert "failed to save KV snapshot: the checksum of a slice" in entry["reason"]
    assert [c.snapshots_failed for c in one.transport.counters()] == [1]
    assert [(c.snapshots_received, c.snapshots_not_received) for c in two.transport.counters()] == [(0, 1)]
    one.handler.state = (b"state", b"end")
    one.transport.send([make.snap()])
    await two.handler.wait_received(1)


async def test_a_snapshot_that_stops_in_the_middle_is_dropped(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()

    def state():
        yield b"some"
        raise OSError("the disk does not read")

    one.handler.state = state()
    one.transport.send([make.snap()])
    await trio.sleep(1)
    assert one.handler.snapshots == [(2, False)]
    assert two.handler.received == []
    assert [(sink.finished, sink.aborted) for sink in two.handler.sinks] == [(False, True)]
    assert one.handler.sources[0].closed


async def test_a_snapshot_to_a_peer_that_vanishes_is_reported(autojump_clock, cluster, make) -> None:
    one, two = await cluster.pair()
    one.handler.state = [bytes(100_000)] * 100
    cluster.network.partition("m2", "m1", one_way=True)
    one.transport.send([make.snap()])
    await trio.sleep(1)
    cluster.network.partition("m1", "m2")
    cluster.network.drop_connections("m1", "m2")
    await trio.sleep(20)
    assert one.handler.snapshots == [(2, False)]
    assert two.handler.received == []


async def test_only_one_more_waits_for_a_peer(autojump_clock, cluster, make) -> None:
    one = await cluster.add(1, peers=[1, 2])
    one.transport.send([make.snap()] * 3)
    assert one.handler.snapshots == [(2, False)] * 2
    await trio.sleep(1)
    assert one.handler.snapshots == [(2, False)] * 3


def test_slots_are_bounded() -> None:
    slots = SnapshotSlots(slots=1)
    assert slots.take()
    assert not slots.take()
    slots.give_back()
    assert slots.take()
