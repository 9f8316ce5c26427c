"""Calls in two steps: what they give is what their coroutine functions give, and what takes longer is not begun."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.node.auth.auth_calls import ask, set_up
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.api.services import RPCS
from trioetcd.node.parking import Waiter
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.two_steps import TakesLonger, TwoSteps, whole
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

_BY_REQUEST = {rpc.request: rpc for rpc in RPCS if not rpc.server_streaming}

PUT = m.PutRequest(key=b"a", value=b"1")
RANGE = m.RangeRequest(key=b"a")
LOCAL_RANGE = m.RangeRequest(key=b"a", serializable=True)
DELETE = m.DeleteRangeRequest(key=b"a", range_end=b"c", prev_kv=True)
EQUAL = m.Compare(key=b"a", target=m.CompareTarget.VALUE, result=m.CompareResult.EQUAL, value=b"1")


def put_op(key: bytes, value: bytes = b"2") -> m.RequestOp:
    return m.RequestOp(request_put=m.PutRequest(key=key, value=value))


def range_op(key: bytes, **options: Any) -> m.RequestOp:
    return m.RequestOp(request_range=m.RangeRequest(key=key, **options))


TXN = m.TxnRequest(compare=[EQUAL], success=[put_op(b"b"), range_op(b"a")], failure=[put_op(b"c")])
READ_TXN = m.TxnRequest(compare=[EQUAL], success=[range_op(b"a")], failure=[range_op(b"b")])
LOCAL_READ_TXN = m.TxnRequest(compare=[EQUAL], success=[range_op(b"a", serializable=True)])

ALL: list[object] = [
    PUT,
    m.PutRequest(key=b"a", value=b"1", prev_kv=True),
    m.PutRequest(),
    m.PutRequest(key=b"none", ignore_value=True),
    m.PutRequest(key=b"a", lease=404),
    RANGE,
    LOCAL_RANGE,
    m.RangeRequest(),
    m.RangeRequest(key=b"a", revision=1000),
    TXN,
    READ_TXN,
    LOCAL_READ_TXN,
    m.TxnRequest(),
    m.TxnRequest(success=[put_op(b"d"), put_op(b"d")]),
    m.TxnRequest(success=[range_op(b"a")] * 129),
    DELETE,
    m.DeleteRangeRequest(),
    READ_TXN,
    m.CompactionRequest(revision=4),
    m.RangeRequest(key=b"a", revision=2),
    m.RangeRequest(key=b"a", revision=2, serializable=True),
    m.TxnRequest(success=[range_op(b"a", revision=2)]),
    m.TxnRequest(success=[put_op(b"e"), range_op(b"a", revision=2)]),
    RANGE,
]


class Heard:
    """A waiter that keeps what it hears."""

    def __init__(self) -> None:
        self.is_waiting = True
        self.values: list[object] = []
        self.errors: list[Exception] = []
        self.came = trio.Event()

    def wake(self, value: object) -> None:
        self.values.append(value)
        self._end()

    def fail(self, error: Exception) -> None:
        self.errors.append(error)
        self._end()

    def _end(self) -> None:
        self.is_waiting = False
        self.came.set()


def steps_of(member: MemoryMember, request: object) -> TwoSteps:
    steps = member.services.two_steps(_BY_REQUEST[type(request)])
    assert steps is not None
    return steps


def begin(member: MemoryMember, request: object, waiter: Waiter) -> bool:
    return steps_of(member, request).begin(request, CallContext(), waiter)


async def ask_in_two_steps(member: MemoryMember, request: object) -> object:
    """The response to a request, as a front end gets it without a task; or the ApiError."""
    if member.services.two_steps(_BY_REQUEST[type(request)]) is None:
        return await ask(member, request)
    heard = Heard()
    value = None
    if begin(member, request, heard):
        await heard.came.wait()
        if heard.errors:
            raise heard.errors[0]
        (value,) = heard.values
    return steps_of(member, request).finish(request, CallContext(), value)


async def test_the_calls_that_have_two_steps_are_those_that_clients_make_most(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        services = cluster.members[0].services
        assert [rpc.name for rpc in RPCS if services.two_steps(rpc) is not None] == [
            "Range",
            "Put",
            "DeleteRange",
            "Txn",
        ]


@pytest.mark.parametrize(("size", "who"), [(1, "leader"), (3, "leader"), (3, "follower")])
async def test_both_ways_give_the_same(autojump_clock: MockClock, size: int, who: str) -> None:
    found = []
    for way in (ask, ask_in_two_steps):
        async with MemoryCluster(size) as cluster:
            leader = await cluster.wait_leader()
            member = next(one for one in cluster.members if (one is leader) is (who == "leader"))
            answers: list[object] = []
            for request in ALL:
                try:
                    answers.append(await way(member, request))
                except ApiError as error:
                    answers.append((error.code, error.message))
            found.append(answers)
    assert found[0] == found[1]
    refused = [isinstance(answer, tuple) for answer in found[0]]
    assert sum(refused) == 12
    assert not refused[0]


async def test_only_what_needs_others_waits(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        waits = [begin(cluster.members[0], request, Heard()) for request in (RANGE, LOCAL_RANGE, READ_TXN)]
        assert waits == [False, False, False]
        assert [begin(cluster.members[0], request, Heard()) for request in (PUT, DELETE, TXN)] == [True, True, True]
    async with MemoryCluster(3) as cluster:
        member = await cluster.wait_leader()
        assert [begin(member, request, Heard()) for request in (RANGE, READ_TXN)] == [True, True]
        assert [begin(member, request, Heard()) for request in (LOCAL_RANGE, LOCAL_READ_TXN)] == [False, False]


async def test_what_is_refused_at_once_was_not_begun(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, max_request_bytes=1000) as cluster:
        (member,) = cluster.members
        large = m.PutRequest(key=b"a", value=b"v" * 2000)
        for request in (m.PutRequest(), large, m.DeleteRangeRequest(), m.TxnRequest(success=[put_op(b"d")] * 2)):
            heard = Heard()
            with pytest.raises(ApiError):
                begin(member, request, heard)
            assert member.parts.proposals.status().waiting == 0
            assert heard.is_waiting


# -- what takes longer


async def test_nothing_is_begun_while_auth_is_on(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, bcrypt_cost=4) as cluster:
        (member,) = cluster.members
        await set_up(member)
        for request in (PUT, RANGE, LOCAL_RANGE, DELETE, TXN, READ_TXN):
            with pytest.raises(TakesLonger):
                begin(member, request, Heard())
        assert member.parts.proposals.status().waiting == 0


async def test_auth_that_is_switched_on_before_the_second_step_of_a_read(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, bcrypt_cost=4) as cluster:
        member = await cluster.wait_leader()
        for request in (RANGE, READ_TXN):
            assert begin(member, request, Heard())
        await set_up(member)
        for request in (RANGE, READ_TXN):
            with pytest.raises(ApiError) as caught:
                steps_of(member, request).finish(request, CallContext(), None)
            assert caught.value == ApiError.of(ErrorKind.USER_EMPTY)


async def test_auth_that_is_switched_on_before_a_write_is_applied(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async with MemoryCluster(1, bcrypt_cost=4, disk_seconds=0.1) as cluster:
        (member,) = cluster.members
        await set_up(member)
        token = (await ask(member, m.AuthenticateRequest(name="root", password="rpw"))).token
        await ask(member, m.AuthDisableRequest(), token)
        nursery.start_soon(ask, member, m.AuthEnableRequest())
        await wait_all_tasks_blocked()
        heard = Heard()
        assert begin(member, PUT, heard)
        await heard.came.wait()
        assert heard.errors == [ApiError.of(ErrorKind.USER_EMPTY)]


async def test_writes_are_not_begun_while_there_may_be_no_room(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, quota_backend_bytes=10_000_000) as cluster:
        (member,) = cluster.members
        member.parts.quota.is_tight = True
        for request in (PUT, TXN, READ_TXN):
            with pytest.raises(TakesLonger):
                begin(member, request, Heard())
        assert member.parts.proposals.status().waiting == 0
        assert begin(member, DELETE, Heard())
        assert not begin(member, RANGE, Heard())
        assert (await ask(member, PUT)).header.revision == 2


# -- errors that come later, and nobody who hears them


async def test_a_member_that_is_cut_off_fails_what_it_began(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3) as cluster:
        member = await cluster.wait_leader()
        cluster.isolate(member)
        write, read = Heard(), Heard()
        assert begin(member, PUT, write)
        assert begin(member, RANGE, read)
        await trio.sleep(60)
        for heard in (write, read):
            assert heard.values == []
            assert [type(error) for error in heard.errors] == [ApiError]
        assert member.parts.proposals.status().failed == 1


async def test_what_was_abandoned_before_it_was_proposed_is_not_written(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1) as cluster:
        (member,) = cluster.members
        heard = Heard()
        assert begin(member, PUT, heard)
        heard.is_waiting = False
        assert (await ask(member, RANGE)).count == 0
        await trio.sleep(1)
        assert (await ask(member, RANGE)).count == 0
        assert heard.values == heard.errors == []
        assert member.parts.proposals.status().failed == 1


async def test_what_was_abandoned_later_is_written_and_told_to_nobody(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, disk_seconds=0.1) as cluster:
        (member,) = cluster.members
        await ask(member, DELETE)
        heard = Heard()
        assert begin(member, PUT, heard)
        await trio.sleep(0.05)
        assert member.parts.proposals.status().in_flight == 1
        heard.is_waiting = False
        await trio.sleep(1)
        assert (await ask(member, RANGE)).count == 1
        assert heard.values == heard.errors == []
        assert member.parts.proposals.status().failed == 1


# -- both steps as one


async def test_the_whole_waits_only_when_the_first_step_says_so() -> None:
    assert await whole(lambda _: False, lambda value: ("second", value)) == ("second", None)
    waiters: list[Waiter] = []

    def keep(waiter: Waiter) -> bool:
        waiters.append(waiter)
        return True

    async with trio.open_nursery() as nursery:

        async def wake() -> None:
            await wait_all_tasks_blocked()
            waiters[0].wake("value")

        nursery.start_soon(wake)
        assert await whole(keep, lambda value: ("second", value)) == ("second", "value")


async def test_a_whole_that_is_cancelled_waits_no_more() -> None:
    waiters: list[Waiter] = []

    def keep(waiter: Waiter) -> bool:
        waiters.append(waiter)
        return True

    with trio.move_on_after(0):
        await whole(keep, lambda _: pytest.fail("there was no result"))
    assert not waiters[0].is_waiting
    waiters[0].wake("too late")
