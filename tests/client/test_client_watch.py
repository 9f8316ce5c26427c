"""Watches: what is asked, what is told, and how they go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import lockstep_stream_pair

from tests.client.fake_cluster import Call, FakeCluster, cluster_of
from trioetcd import client as etcd
from trioetcd.api import json_codec
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind


def event(revision: int, *, key: bytes = b"k") -> m.Event:
    return m.Event(kv=m.KeyValue(key=key, mod_revision=revision))


def created(revision: int) -> m.WatchResponse:
    return m.WatchResponse(header=m.ResponseHeader(revision=revision), created=True)


def batch(*revisions: int) -> m.WatchResponse:
    return m.WatchResponse(header=m.ResponseHeader(revision=revisions[-1]), events=[event(r) for r in revisions])


async def revisions_of(watch: etcd.Watch, count: int) -> list[int]:
    seen = []
    for _ in range(count):
        told = await watch.__anext__()
        assert told.kv is not None
        seen.append(told.kv.mod_revision)
    return seen


async def test_a_watch_asks_for_what_its_caller_wants_and_tells_events_in_order() -> None:
    async def handle(call: Call) -> None:
        assert call.headers[b"grpc-metadata-hasleader"] == b"true"
        assert await call.begin() == m.WatchCreateRequest(
            key=b"a", range_end=b"b", start_revision=3, prev_kv=True, filters=[m.FilterType.NODELETE]
        )
        await call.tell(created(9))
        await call.tell(batch(3, 4))
        await call.tell(batch(7))
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, cluster):
        async with client.watch(
            "a", prefix=True, start_revision=3, prev_kv=True, filters=[m.FilterType.NODELETE]
        ) as watch:
            assert watch.next_revision == 3
            assert await revisions_of(watch, 3) == [3, 4, 7]
            assert watch.next_revision == 8
        await trio.testing.wait_all_tasks_blocked()
    assert cluster.dials == ["one"]


async def test_lines_may_be_cut_anywhere() -> None:
    async def handle(call: Call) -> None:
        await call.begin()
        lines = [created(1), batch(2), batch(3)]
        data = b"".join(json_codec.encode_stream_result(json_codec.encode(line)) for line in lines)
        for start in range(0, len(data), 7):
            await call.send(data[start : start + 7])
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, _), client.watch("k") as watch:
        assert await revisions_of(watch, 2) == [2, 3]


def breaks_after(responses: list[list[m.WatchResponse]], asked: list[int]) -> Callable[[Call], object]:
    """A handler that tells one list of responses a connection, and hangs up behind each but the last."""

    async def handle(call: Call) -> None:
        asked.append((await call.begin()).start_revision)
        for response in responses.pop(0):
            await call.tell(response)
        if responses:
            await call.hang_up()
        await trio.sleep_forever()

    return handle


async def test_a_watch_goes_on_behind_the_last_event_it_told(autojump_clock: trio.testing.MockClock) -> None:
    asked: list[int] = []
    responses = [[created(5)], [created(6), batch(6, 8)], [created(9), batch(9)], [created(9)], [created(9), batch(12)]]
    async with cluster_of(breaks_after(responses, asked)) as (client, cluster), client.watch("k") as watch:  # type: ignore[arg-type] # a handler
        assert await revisions_of(watch, 4) == [6, 8, 9, 12]
    assert asked == [0, 6, 9, 10, 10]
    assert cluster.dials == ["one", "two", "three", "one", "two"]


async def test_a_progress_notification_moves_the_place_to_go_on_from(autojump_clock: trio.testing.MockClock) -> None:
    asked: list[int] = []
    progress = m.WatchResponse(header=m.ResponseHeader(revision=40))
    responses = [[created(5), batch(6), progress], [created(60), batch(50)]]
    async with cluster_of(breaks_after(responses, asked)) as (client, _), client.watch("k") as watch:  # type: ignore[arg-type] # a handler
        assert await revisions_of(watch, 2) == [6, 50]
    assert asked == [0, 41]


async def test_events_that_a_server_repeats_are_told_once(autojump_clock: trio.testing.MockClock) -> None:
    responses = [[created(5), batch(6, 7)], [created(7), batch(7, 8)]]
    async with cluster_of(breaks_after(responses, [])) as (client, _), client.watch("k") as watch:  # type: ignore[arg-type] # a handler
        assert await revisions_of(watch, 3) == [6, 7, 8]


async def test_a_watch_waits_until_a_member_is_back(autojump_clock: trio.testing.MockClock) -> None:
    responses = [[created(5), batch(6)], [created(7), batch(7)]]
    async with cluster_of(breaks_after(responses, [])) as (client, cluster), client.watch("k") as watch:  # type: ignore[arg-type] # a handler
        assert await revisions_of(watch, 1) == [6]
        cluster.down.update({"one", "two", "three"})

        async def come_back() -> None:
            await trio.sleep(30)
            cluster.down.clear()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come_back)
            assert await revisions_of(watch, 1) == [7]
        assert 30 <= trio.current_time() < 33


async def test_a_member_that_loses_the_leader_is_left(autojump_clock: trio.testing.MockClock) -> None:
    async def handle(call: Call) -> None:
        start = (await call.begin()).start_revision
        await call.tell(created(5))
        if call.member == "one":
            await call.tell(batch(6))
            await call.send(json_codec.encode_stream_error(ApiError.of(ErrorKind.NO_LEADER)) + b"\n")
        else:
            assert start == 7
            await call.tell(batch(8))
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, _), client.watch("k") as watch:
        assert await revisions_of(watch, 2) == [6, 8]


async def test_compacted_history_is_said_with_its_revision() -> None:
    async def handle(call: Call) -> None:
        await call.begin()
        await call.tell(created(20))
        await call.tell(m.WatchResponse(canceled=True, compact_revision=15))
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, _), client.watch("k", start_revision=3) as watch:
        for _ in range(2):
            with pytest.raises(etcd.Compacted) as refusal:
                await watch.__anext__()
            assert refusal.value.revision == 15


async def test_a_refused_watch_is_not_tried_elsewhere() -> None:
    reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied"

    async def handle(call: Call) -> None:
        await call.begin()
        await call.tell(m.WatchResponse(watch_id=-1, created=True, canceled=True, cancel_reason=reason))
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, cluster):
        with pytest.raises(etcd.PermissionDenied, match=r"^etcdserver: permission denied$"):
            async with client.watch("k"):
                pass
    assert cluster.dials == ["one"]


async def test_a_watch_that_no_member_can_create_is_unavailable() -> None:
    async def handle(call: Call) -> None:
        await call.refuse(ApiError.of(ErrorKind.NO_LEADER))

    async with cluster_of(handle) as (client, cluster):
        with pytest.raises(etcd.Unavailable, match="no leader"):
            async with client.watch("k"):
                pass
        assert cluster.dials == ["one", "two", "three"]
        cluster.down.update({"one", "two", "three"})
        with pytest.raises(etcd.Unavailable, match="no endpoint can be connected to"):
            async with client.watch("k"):
                pass


async def test_a_cancelled_wait_loses_no_event_and_no_connection(autojump_clock: trio.testing.MockClock) -> None:
    async def handle(call: Call) -> None:
        await call.begin()
        await call.tell(created(1))
        line = json_codec.encode_stream_result(json_codec.encode(batch(2, 3)))
        for start in range(0, len(line), 10):
            await trio.sleep(1)
            await call.send(line[start : start + 10])
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, cluster), client.watch("k") as watch:
        seen: list[m.Event] = []
        while not seen:
            with trio.move_on_after(0.7):
                seen.append(await watch.__anext__())
        assert seen == [event(2)]
        assert await watch.__anext__() == event(3)
    assert cluster.dials == ["one"]


async def test_a_slow_reader_holds_the_server_back() -> None:
    told = 0

    async def handle(call: Call) -> None:
        nonlocal told
        await call.begin()
        await call.tell(created(1))
        for told in range(2, 100):
            await call.tell(batch(told))
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, cluster):
        cluster.make_streams = lockstep_stream_pair
        async with client.watch("k") as watch:
            await trio.testing.wait_all_tasks_blocked()
            assert told == 2, "nothing is read ahead of the one who iterates"
            assert await revisions_of(watch, 98) == list(range(2, 100))


async def test_the_end_of_the_block_closes_the_connection_and_lets_exceptions_through() -> None:
    async def handle(call: Call) -> None:
        await call.begin()
        await call.tell(created(1))
        await call.wait_departure()

    async def run(cluster: FakeCluster, client: etcd.Client) -> None:
        with pytest.raises(KeyError):
            async with client.watch("k"):
                raise KeyError
        await trio.testing.wait_all_tasks_blocked()
        assert cluster.closed == 1

    async with cluster_of(handle) as (client, cluster):
        await run(cluster, client)


async def test_a_watch_authenticates_and_does_so_anew_when_its_token_is_refused() -> None:
    tokens: list[str] = []

    async def handle(call: Call) -> None:
        if call.path == "/v3/auth/authenticate":
            tokens.append(f"token{len(tokens)}")
            await call.answer(m.AuthenticateResponse(token=tokens[-1]))
        elif len(tokens) == 1:
            await call.refuse(ApiError.of(ErrorKind.INVALID_AUTH_TOKEN))
        else:
            assert call.headers[b"authorization"] == tokens[-1].encode()
            await call.begin()
            await call.tell(created(1))
            await call.tell(batch(2))
            await trio.sleep_forever()

    async with cluster_of(handle, credentials=("alice", "secret")) as (client, _), client.watch("k") as watch:
        assert await revisions_of(watch, 1) == [2]
    assert tokens == ["token0", "token1"]


async def test_a_line_that_is_no_watch_response_is_said_to_be_so() -> None:
    async def handle(call: Call) -> None:
        await call.begin()
        await call.tell(created(1))
        await call.send(b"<html>\n")
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, _), client.watch("k") as watch:
        with pytest.raises(etcd.ProtocolError, match="not a WatchResponse: invalid character '<'"):
            await watch.__anext__()


async def test_a_stream_that_ends_in_order_is_gone_on_with_too(autojump_clock: trio.testing.MockClock) -> None:
    async def handle(call: Call) -> None:
        await call.begin()
        await call.tell(created(1))
        if call.member == "one":
            await call.end()
        else:
            await call.tell(batch(2))
            await trio.sleep_forever()

    async with cluster_of(handle) as (client, _), client.watch("k") as watch:
        assert await revisions_of(watch, 1) == [2]


async def test_a_cancellation_for_a_reason_of_no_table_is_an_error_with_that_reason() -> None:
    async def handle(call: Call) -> None:
        await call.begin()
        await call.tell(created(1))
        await call.tell(m.WatchResponse(canceled=True, cancel_reason="the moon is full"))
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, _), client.watch("k") as watch:
        with pytest.raises(etcd.EtcdError, match="the moon is full") as refusal:
            await watch.__anext__()
        assert repr(refusal.value) == "EtcdError(CANCELED, 'the moon is full')"


async def test_a_watch_whose_every_connection_breaks_at_once_is_unavailable() -> None:
    async def handle(call: Call) -> None:
        await call.hang_up()

    async with cluster_of(handle) as (client, _):
        with pytest.raises(etcd.Unavailable, match="the watch could not be created"):
            async with client.watch("k"):
                pass


async def test_members_that_break_every_watch_are_not_asked_without_a_pause(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handle(call: Call) -> None:
        await call.begin()
        await call.tell(created(1))
        if len(cluster.dials) < 20:
            await call.hang_up()
        await call.tell(batch(2))
        await trio.sleep_forever()

    async with cluster_of(handle) as (client, cluster), client.watch("k") as watch:
        assert await revisions_of(watch, 1) == [2]
        assert 10 < trio.current_time() < 40
