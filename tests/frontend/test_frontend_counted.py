"""What `grpc_server_*` count of the gateway's calls: what a real etcd 3.5.1 counted of the same ones."""

from __future__ import annotations

from typing import NamedTuple

import trio
from frontend_fakes import FakeMember
from trio.testing import wait_all_tasks_blocked

from trioetcd.api.errors import Code
from trioetcd.api.services import RPCS


class Count(NamedTuple):
    started: int
    handled: dict[Code, int]


def count_of(member: FakeMember, name: str) -> Count:
    calls = member.rpc_calls(next(rpc for rpc in RPCS if rpc.name == name))
    return Count(calls.started_count, {code: calls.handled_counts[code] for code in Code if calls.handled_counts[code]})


async def test_unary_calls(serve, member: FakeMember) -> None:
    async with serve() as server:
        client = server.client()
        for body in (b'{"key":"YQ=="}', b"{bad", b'{"key":"YQ=="}'):
            await client.request("POST", "/v3/kv/put", [], body)
        await client.request("POST", "/v3/kv/put", [(b"Grpc-Timeout", b"1n")], b'{"key":"YQ=="}')
        await client.request("POST", "/v3/kv/compaction", [], b"{}")
        assert count_of(member, "Put") == (3, {Code.OK: 2, Code.DEADLINE_EXCEEDED: 1})
        assert count_of(member, "Compact") == (0, {}), "what is not built was not called"
        ranging = trio.Event()

        async def range_for_ever() -> None:
            ranging.set()
            await trio.sleep_forever()

        member.services.kv.ranging = range_for_ever
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.client().request, "POST", "/v3/kv/range", [], b'{"key":"YQ=="}')
            await ranging.wait()
            nursery.cancel_scope.cancel()
        assert count_of(member, "Range") == (1, {})


async def test_streams(serve, member: FakeMember) -> None:
    async with serve() as server:
        async with server.client().stream("POST", "/v3/watch", body=b'{"create_request":{}}') as exchange:
            await exchange.receive_head()
            assert count_of(member, "Watch") == (1, {})
            gone = exchange
        await server.client().request("POST", "/v3/watch", body=b"{bad")
        client = server.client()
        await client.request("POST", "/v3/lease/keepalive", body=b'{"ID":"5"}')
        await client.request("POST", "/v3/lease/keepalive", body=b'{"ID":"-5"}')
        for body in (b"{}", b"{bad", b""):
            await client.request("POST", "/v3/maintenance/snapshot", body=body)
        await gone._stream.aclose()
        await wait_all_tasks_blocked()
        assert count_of(member, "LeaseKeepAlive") == (2, {Code.OK: 1, Code.UNAVAILABLE: 1})
        assert count_of(member, "Snapshot") == (2, {Code.OK: 2})
        assert count_of(member, "Watch") == (2, {Code.CANCELED: 2})


async def test_bytes_are_those_of_messages_without_heads_and_errors(serve, member: FakeMember) -> None:
    def bytes_of(name: str) -> tuple[int, int]:
        calls = member.rpc_calls(next(rpc for rpc in RPCS if rpc.name == name))
        return calls.received_bytes, calls.sent_bytes

    async with serve() as server:
        client = server.client()
        answer = await client.request("POST", "/v3/kv/put", [], b'{"key":"YQ=="}')
        await client.request("POST", "/v3/kv/put", [], b"{bad")
        assert bytes_of("Put") == (14, len(answer.body))
        answer = await client.request("POST", "/v3/lease/keepalive", body=b'{"ID":"5"}')
        await client.request("POST", "/v3/lease/keepalive", body=b'{"ID":"-5"}')
        assert bytes_of("LeaseKeepAlive") == (21, len(answer.body))
        answer = await client.request("POST", "/v3/maintenance/snapshot", body=b"{}")
        assert bytes_of("Snapshot") == (2, len(answer.body))
