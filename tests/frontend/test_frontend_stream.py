"""Streams over HTTP: one chunk a message, requests read as they arrive, ends of every kind."""

from __future__ import annotations

import json

import pytest
import trio
from frontend_fakes import HEADER_JSON, FakeMember, FakeSession, put_event

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.api.services import RPCS
from trioetcd.http11 import DateField
from trioetcd.storage.mvcc.watch_delivery import WatchDelivery

CREATE = b'{"create_request":{"key":"YQ=="}}'
CREATED_LINE = b'{"result":{"header":%b,"created":true}}\n' % HEADER_JSON
NO_LEADER = {
    "error": {
        "grpc_code": 14,
        "http_code": 503,
        "message": "etcdserver: no leader",
        "http_status": "Service Unavailable",
    }
}


def session_of(member: FakeMember) -> FakeSession:
    [session] = member.services.watch.sessions
    return session


async def test_a_watch_message_is_one_chunk(serve, member: FakeMember) -> None:
    async with serve() as server, server.client().stream("POST", "/v3/watch") as exchange:
        await exchange.send(CREATE[:10])
        await exchange.send(CREATE[10:] + CREATE)
        status, headers = await exchange.receive_head()
        assert status == 200
        assert headers[b"content-type"] == b"application/json"
        assert headers[b"grpc-metadata-content-type"] == b"application/grpc"
        assert [await exchange.receive_some() for _ in range(2)] == [CREATED_LINE] * 2
        session = session_of(member)
        assert len(session.requests) == 2
        prev = m.KeyValue(key=b"a", value=b"0")
        event = put_event(b"a", b"1", prev)
        session.tell(WatchDelivery(0, 3, events=(event,)))
        session.tell(WatchDelivery(7, 3, events=(event, event), prev_kv=True, fragment=True))
        first = json.loads(await exchange.receive_some())["result"]
        assert first["events"] == [
            {"kv": {"key": "YQ==", "create_revision": "3", "mod_revision": "3", "version": "1", "value": "MQ=="}}
        ]
        second = json.loads(await exchange.receive_some())["result"]
        assert (second["watch_id"], second["fragment"], len(second["events"])) == ("7", True, 2)
        assert second["events"][0]["prev_kv"] == {"key": "YQ==", "value": "MA=="}
        assert isinstance(event.encoded, bytes)
        assert isinstance(event.encoded_with_prev, bytes)


async def test_nothing_is_sent_before_the_first_message(serve, member: FakeMember) -> None:
    async with serve() as server:
        assert await server.exchange(b"POST /v3/watch HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}") == b""


async def test_the_end_of_the_requests_does_not_end_a_watch(
    serve, member: FakeMember, autojump_clock: trio.testing.MockClock
) -> None:
    async with serve() as server, server.client().stream("POST", "/v3/watch", body=CREATE) as exchange:
        assert (await exchange.receive_head())[0] == 200
        assert await exchange.receive_some() == CREATED_LINE
        await trio.sleep(1000)
        session_of(member).tell(WatchDelivery(0, 3, canceled=True))
        assert json.loads(await exchange.receive_some())["result"]["canceled"] is True


async def test_a_client_that_leaves_ends_its_watch_at_once(serve, member: FakeMember) -> None:
    for closing in ("before the answer", "after it"):
        member.services.watch.sessions.clear()
        async with serve() as server:
            client = server.client()
            async with client.stream("POST", "/v3/watch") as exchange:
                await exchange.send(CREATE)
                if closing == "after it":
                    await exchange.receive_head()
                await trio.testing.wait_all_tasks_blocked()
            await client.aclose()
            await trio.testing.wait_all_tasks_blocked()
            assert session_of(member).closed
            assert server.client_listener.status().connections == 0


async def test_an_error_before_the_first_message_has_its_own_status(serve, member: FakeMember) -> None:
    member.services.watch.refusal = ApiError.of(ErrorKind.NO_LEADER)
    async with serve() as server:
        response = await server.client().request("POST", "/v3/watch", body=CREATE)
    assert response.status == 503
    assert json.loads(response.body) == NO_LEADER


async def test_an_error_later_is_the_last_chunk(serve, member: FakeMember) -> None:
    async with serve() as server, server.client().stream("POST", "/v3/watch", body=CREATE) as exchange:
        assert (await exchange.receive_head())[0] == 200
        await exchange.receive_some()
        session_of(member).tell(ApiError.of(ErrorKind.NO_LEADER))
        assert json.loads(await exchange.receive_some()) == NO_LEADER
        assert await exchange.receive_some() == b""


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("/v3/watch", 500, 2), ("/v3/lease/keepalive", 500, 2), ("/v3/maintenance/snapshot", 400, 3)],
)
async def test_a_first_request_that_is_no_json(serve, path: str, status: int, code: int) -> None:
    text = "invalid character 'b' looking for beginning of object key string"
    async with serve() as server:
        response = await server.client().request("POST", path, body=b"{bad")
    assert response.status == status
    assert json.loads(response.body) == {"error": text, "code": code, "message": text}


async def test_a_later_request_that_is_no_json_ends_the_reading_alone(serve, member: FakeMember) -> None:
    async with serve() as server, server.client().stream("POST", "/v3/watch", body=CREATE + b"{bad") as exchange:
        assert (await exchange.receive_head())[0] == 200
        assert await exchange.receive_some() == CREATED_LINE
        session_of(member).tell(WatchDelivery(0, 3, canceled=True))
        assert b"canceled" in await exchange.receive_some()


async def test_keep_alives_are_answered_one_by_one_until_their_end(serve) -> None:
    async with serve() as server:
        client = server.client()
        async with client.stream("POST", "/v3/lease/keepalive") as exchange:
            await exchange.send(b'{"ID":"7"}\n{"ID":8}')
            assert (await exchange.receive_head())[0] == 200
            lines = [json.loads(await exchange.receive_some())["result"]["ID"] for _ in range(2)]
            assert lines == ["7", "8"]
            await exchange.end()
            assert await exchange.receive_some() == b""
        assert client.reusable
        response = await client.request("POST", "/v3/lease/keepalive")
        assert (response.status, response.body) == (200, b"")
        response = await client.request("POST", "/v3/lease/keepalive", body=b'{"ID":"-1"}')
        assert response.status == 503


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize(
    "body", [b'{"ID":"7"}', b'{"ID":"-1"}', b" {} \n", b'{"ID":7}{"ID":8}', b'{"ID":7}x', b"null", b"x"]
)
async def test_a_keep_alive_that_arrives_whole_is_answered_like_any(
    serve, version: bytes, body: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    async with serve(date=DateField(lambda: 0.0)) as server:
        answers = []
        for field in (b"", b"Grpc-Timeout: 5S\r\n"):  # with a deadline it has a reader and a writer, as every stream
            head = b"POST /v3/lease/keepalive HTTP/%b\r\nHost: a\r\n%bContent-Length: %d\r\n\r\n"
            answers.append(await server.exchange(head % (version, field, len(body)) + body))
    assert answers[0].startswith(b"HTTP/1.1 ")
    assert answers[0] == answers[1]


async def test_keep_alives_that_arrive_together_are_answered_in_their_order(
    serve, autojump_clock: trio.testing.MockClock
) -> None:
    request = b'POST /v3/lease/keepalive HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n{"ID":%d}'
    async with serve() as server:
        received = await server.exchange(b"".join(request % number for number in (1, 2, 3)))
    assert [line[:13] for line in received.split(b'"ID":')[1:]] == [b'"%d","TTL":"5"' % one for one in (1, 2, 3)]


async def test_a_client_that_leaves_cancels_its_only_keep_alive(
    serve, member: FakeMember, autojump_clock: trio.testing.MockClock
) -> None:
    member.services.lease.keeping = trio.sleep_forever
    calls = member.rpc_calls(next(rpc for rpc in RPCS if rpc.name == "LeaseKeepAlive"))
    async with serve() as server, server.client().stream("POST", "/v3/lease/keepalive", body=b'{"ID":"7"}') as exchange:
        await trio.sleep(10)
        assert (calls.started_count, calls.handled_counts[Code.CANCELED]) == (1, 0)
        await exchange._stream.aclose()
        await trio.sleep(1)
        assert calls.handled_counts[Code.CANCELED] == 1


async def test_one_request_with_many_answers(serve) -> None:
    async with serve() as server:
        client = server.client()
        for body in (b"", b"{}", b"{} ignored"):
            async with client.stream("POST", "/v3/maintenance/snapshot", body=body) as exchange:
                assert (await exchange.receive_head())[0] == 200
                chunks = [await exchange.receive_some() for _ in range(3)]
            assert chunks == [
                b'{"result":{"remaining_bytes":"3","blob":"YWJj"}}\n',
                b'{"result":{"blob":"ZGVm"}}\n',
                b"",
            ]


async def test_a_stream_that_is_not_built_is_refused_by_name(serve) -> None:
    async with serve() as server:
        response = await server.client().request("POST", "/v3/election/observe", body=b"{}")
    assert response.status == 501
    assert json.loads(response.body)["error"]["message"] == "unknown method Observe for service v3electionpb.Election"


async def test_the_deadline_of_a_stream(serve, autojump_clock: trio.testing.MockClock) -> None:
    fields = [(b"Grpc-Timeout", b"2S")]
    async with serve() as server, server.client().stream("POST", "/v3/watch", fields, CREATE) as exchange:
        assert (await exchange.receive_head())[0] == 200
        assert await exchange.receive_some() == CREATED_LINE
        last = json.loads(await exchange.receive_some())["error"]
        assert (last["grpc_code"], last["message"]) == (4, "context deadline exceeded")
        assert await exchange.receive_some() == b""


@pytest.mark.parametrize("time", [b"2S", b"-1S"])
async def test_a_deadline_before_the_first_answer_is_told_as_by_a_unary_call(
    serve, autojump_clock: trio.testing.MockClock, time: bytes
) -> None:
    body = b"{}" if time == b"2S" else CREATE
    async with serve() as server:
        response = await server.client().request("POST", "/v3/watch", [(b"Grpc-Timeout", time)], body)
    assert (response.status, json.loads(response.body)["code"]) == (504, 4)


async def test_a_client_that_asks_and_does_not_read_is_read_from_no_more(serve, member: FakeMember) -> None:
    async with serve() as server, server.client().stream("POST", "/v3/watch") as exchange:
        await exchange.send(CREATE)
        await exchange.receive_head()
        await exchange.receive_some()
        session = session_of(member)
        session.takes_more = False
        await exchange.send(CREATE * 3)
        await trio.testing.wait_all_tasks_blocked()
        assert len(session.requests) == 1
        session.takes_more = True
        session.tell(WatchDelivery(0, 3, canceled=True))
        await trio.testing.wait_all_tasks_blocked()
        assert len(session.requests) == 4


async def test_a_client_that_does_not_read_makes_its_watch_wait(serve, member: FakeMember) -> None:
    async with serve() as server:
        stream = server.listener.connect(lockstep=True)
        await stream.send_all(
            b"POST /v3/watch HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(CREATE) + CREATE
        )
        await trio.testing.wait_all_tasks_blocked()
        session = session_of(member)
        for _ in range(5):
            session.tell(WatchDelivery(0, 3, canceled=True))
        await trio.testing.wait_all_tasks_blocked()
        assert len(session.deliveries) == 5  # the first line is still being sent, so nothing more is taken
        assert (await stream.receive_some()).endswith(CREATED_LINE + b"\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert len(session.deliveries) == 4
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert session.closed
