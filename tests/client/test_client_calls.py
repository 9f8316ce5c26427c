"""Unary calls: what is sent, what comes back, and what happens when members are away."""

from __future__ import annotations

import pytest
import trio

from tests.client.fake_cluster import Call, cluster_of
from trioetcd import client as etcd
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind

HEADER = m.ResponseHeader(revision=7)


async def test_calls_carry_what_was_asked() -> None:
    seen: list[object] = []
    pair = m.KeyValue(key=b"k", value=b"v")
    answers = {
        "/v3/kv/put": (m.PutRequest, m.PutResponse(header=HEADER)),
        "/v3/kv/range": (m.RangeRequest, m.RangeResponse(header=HEADER, kvs=[pair], count=1)),
        "/v3/kv/deleterange": (m.DeleteRangeRequest, m.DeleteRangeResponse(deleted=3)),
        "/v3/kv/txn": (m.TxnRequest, m.TxnResponse(succeeded=True)),
        "/v3/kv/compaction": (m.CompactionRequest, m.CompactionResponse(header=HEADER)),
        "/v3/maintenance/status": (m.StatusRequest, m.StatusResponse(version="3.5.1")),
        "/v3/lease/grant": (m.LeaseGrantRequest, m.LeaseGrantResponse(ID=1, TTL=10)),
    }  # fmt: skip

    async def handle(call: Call) -> None:
        cls, answer = answers[call.path]
        seen.append(await call.read(cls))
        await call.answer(answer)

    async with cluster_of(handle) as (client, cluster):
        assert await client.put("k\u00e9", b"\xff", lease=5, prev_kv=True) == m.PutResponse(header=HEADER)
        assert (await client.get("a", prefix=True, limit=2, serializable=True)).kvs[0].value == b"v"
        assert (await client.delete(b"a", range_end="b")).deleted == 3
        put, get = etcd.put_op("k", "v"), etcd.get_op("", prefix=True, limit=1)
        nested = etcd.txn_op(m.TxnRequest(success=[etcd.delete_op("d")]))
        compare = [etcd.version_of("k") == 0, etcd.value_of("k", prefix=True) != "v", etcd.lease_of("k") > 3]
        assert (await client.txn(compare=compare, success=[put], failure=[get, nested])).succeeded
        await client.compact(5, physical=True)
        assert (await client.status()).version == "3.5.1"
        assert (await client.call(m.LeaseGrantRequest(TTL=10))).ID == 1
        assert cluster.dials == ["one"], "one connection was enough"
    assert seen == [
        m.PutRequest(key="k\u00e9".encode(), value=b"\xff", lease=5, prev_kv=True),
        m.RangeRequest(key=b"a", range_end=b"b", limit=2, serializable=True),
        m.DeleteRangeRequest(key=b"a", range_end=b"b"),
        m.TxnRequest(
            compare=[
                m.Compare(result=0, target=0, key=b"k", version=0),
                m.Compare(result=3, target=3, key=b"k", range_end=b"l", value=b"v"),
                m.Compare(result=1, target=4, key=b"k", lease=3),
            ],
            success=[m.RequestOp(request_put=m.PutRequest(key=b"k", value=b"v"))],
            failure=[
                m.RequestOp(request_range=m.RangeRequest(key=b"\0", range_end=b"\0", limit=1)),
                m.RequestOp(
                    request_txn=m.TxnRequest(success=[m.RequestOp(request_delete_range=m.DeleteRangeRequest(key=b"d"))])
                ),
            ],
        ),
        m.CompactionRequest(revision=5, physical=True),
        m.StatusRequest(),
        m.LeaseGrantRequest(TTL=10),
    ]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (ErrorKind.COMPACTED, etcd.Compacted),
        (ErrorKind.FUTURE_REV, etcd.FutureRevision),
        (ErrorKind.LEASE_NOT_FOUND, etcd.LeaseNotFound),
        (ErrorKind.KEY_NOT_FOUND, etcd.KeyNotFound),
        (ErrorKind.EMPTY_KEY, etcd.InvalidArgument),
        (ErrorKind.NO_SPACE, etcd.NoSpace),
        (ErrorKind.PERMISSION_DENIED, etcd.PermissionDenied),
        (ErrorKind.TIMEOUT, etcd.Unavailable),
        (ErrorKind.PROPOSAL_DEADLINE, etcd.DeadlineExceeded),
        (ErrorKind.LEASE_EXIST, etcd.FailedPrecondition),
        (ErrorKind.REQUEST_TOO_MANY_REQUESTS, etcd.EtcdError),
    ],
)
async def test_refusals_become_exceptions_of_one_tree(kind: ErrorKind, error: type[etcd.EtcdError]) -> None:
    async def handle(call: Call) -> None:
        await call.refuse(ApiError.of(kind))

    async with cluster_of(handle) as (client, _):
        with pytest.raises(etcd.EtcdError) as refusal:
            await client.put("k", "v")
    assert type(refusal.value) is error
    assert (refusal.value.code, refusal.value.message) == kind.value


async def test_an_answer_that_is_not_etcds_is_said_to_be_so() -> None:
    async def handle(call: Call) -> None:
        await call._connection.respond(404, [], b"Not Found\n")  # what a proxy says in etcd's stead

    async with cluster_of(handle) as (client, _):
        with pytest.raises(etcd.ProtocolError, match="HTTP 404 with b'Not Found"):
            await client.get("k")


async def test_members_that_are_away_are_passed_over_and_the_one_that_answers_is_kept(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handle(call: Call) -> None:
        await call.answer(m.PutResponse())

    async with cluster_of(handle) as (client, cluster):
        cluster.mute.add("one")
        cluster.down.add("two")
        await client.put("k", "v")
        await client.put("k", "v")
        assert cluster.dials == ["one", "two", "three"]
        assert trio.current_time() < 3


async def test_nobody_there_is_told_with_every_reason(autojump_clock: trio.testing.MockClock) -> None:
    async def handle(call: Call) -> None:
        raise AssertionError("nobody is there")

    async with cluster_of(handle) as (client, cluster):
        cluster.down.update({"one", "two"})
        cluster.mute.add("three")
        with pytest.raises(etcd.Unavailable, match=r"http://one:2379: cannot connect: .*refused.*three:2379"):
            await client.put("k", "v")


async def test_a_read_goes_on_elsewhere_when_its_connection_breaks_and_a_write_does_not() -> None:
    members: list[str] = []

    async def handle(call: Call) -> None:
        members.append(call.member)
        if call.member == "one":
            await call.hang_up()
        else:
            await call.answer(m.RangeResponse(count=1))

    async with cluster_of(handle) as (client, _):
        with pytest.raises(etcd.Unavailable, match="may or may not have taken effect"):
            await client.put("k", "v")
        assert members == ["one"]
        assert (await client.get("k")).count == 1
        assert members == ["one", "one", "two"]


async def test_a_read_goes_on_elsewhere_when_a_member_has_no_leader_and_a_write_does_not() -> None:
    members: list[str] = []

    async def handle(call: Call) -> None:
        members.append(call.member)
        if call.member == "two":
            await call.answer(m.TxnResponse())
        else:
            await call.refuse(ApiError.of(ErrorKind.NO_LEADER))

    async with cluster_of(handle) as (client, _):
        with pytest.raises(etcd.Unavailable, match=r"^etcdserver: no leader$"):
            await client.txn(success=[etcd.put_op("k", "v")])
        members.clear()
        await client.txn(success=[etcd.get_op("k")])
        assert members == ["two"], "the member that had no leader is not the first choice any more"


async def test_a_cancelled_call_closes_its_connection(autojump_clock: trio.testing.MockClock) -> None:
    async def handle(call: Call) -> None:
        await call.read(m.PutRequest)
        if len(cluster.dials) == 1:
            await trio.sleep(5)
        await call.answer(m.PutResponse())

    async with cluster_of(handle) as (client, cluster):
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await client.put("k", "v")
        await client.put("k", "v")
        assert cluster.dials == ["one", "one"]


async def test_a_connection_that_has_been_idle_for_long_is_not_used_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def handle(call: Call) -> None:
        await call.answer(m.PutResponse())

    async with cluster_of(handle) as (client, cluster):
        await client.put("k", "v")
        await trio.sleep(61)
        await client.put("k", "v")
        assert cluster.dials == ["one", "one"]


async def test_calls_beyond_the_bound_wait() -> None:
    busy = most = 0

    async def handle(call: Call) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await trio.testing.wait_all_tasks_blocked()
        busy -= 1
        await call.answer(m.PutResponse())

    async with cluster_of(handle, connections_max=3) as (client, cluster):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(client.put, "k", "v")
        assert most == len(cluster.dials) == 3


async def test_a_token_is_fetched_once_and_again_when_it_is_refused() -> None:
    tokens: list[bytes] = []

    async def handle(call: Call) -> None:
        token = call.headers.get(b"authorization")
        if call.path == "/v3/auth/authenticate":
            assert await call.read(m.AuthenticateRequest) == m.AuthenticateRequest(name="alice", password="secret")
            tokens.append(b"token%d" % len(tokens))
            await call.answer(m.AuthenticateResponse(token=tokens[-1].decode()))
        elif token != tokens[-1] or len(tokens) == 1:
            await call.refuse(ApiError.of(ErrorKind.INVALID_AUTH_TOKEN))
        else:
            await call.answer(m.PutResponse())

    async with cluster_of(handle, credentials=("alice", "secret")) as (client, _):
        await client.put("k", "v")
        await client.put("k", "v")
    assert tokens == [b"token0", b"token1"]


async def test_an_exception_of_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError):
        async with etcd.connect(["http://one:2379"]):
            raise KeyError


async def test_a_closed_client_does_not_connect_again() -> None:
    async with etcd.connect(["http://one:2379"]) as client:
        pass
    with pytest.raises(RuntimeError, match="this client is closed"):
        await client.get("k")


def test_every_operand_makes_its_guard() -> None:
    assert (etcd.create_revision_of("k") < 3) == m.Compare(result=2, target=1, key=b"k", create_revision=3)
    assert (etcd.mod_revision_of(b"k") != 3) == m.Compare(result=3, target=2, key=b"k", mod_revision=3)


@pytest.mark.parametrize("endpoints", [[], "http://one:2379", ["ftp://one"], ["http://"], ["http://one/path"]])
async def test_endpoints_are_checked(endpoints: list[str]) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        async with etcd.connect(endpoints):
            pass


async def test_only_unary_requests_can_be_called() -> None:
    async with etcd.connect(["one"]) as client:
        with pytest.raises(TypeError, match="WatchRequest is not the request of a unary call"):
            await client.call(m.WatchRequest())
        with pytest.raises(ValueError, match="give one of them"):
            await client.get("k", prefix=True, range_end="l")


@pytest.mark.parametrize(("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0")])
def test_the_end_of_a_prefix(prefix: bytes, end: bytes) -> None:
    assert etcd.prefix_end(prefix) == end


def sockets() -> tuple[trio.abc.Stream, trio.abc.Stream]:
    ours, theirs = trio.socket.socketpair()
    return trio.SocketStream(ours), trio.SocketStream(theirs)


async def answer_once(call: Call) -> None:
    """A member that closes each connection after its first answer, without having said so."""
    await call.answer(m.PutResponse())
    await call.hang_up()


async def test_a_kept_connection_that_the_server_closed_is_not_used_again() -> None:
    async with cluster_of(answer_once) as (client, cluster):
        cluster.make_streams = sockets
        for _ in range(3):
            await client.put("k", "v")
            await trio.testing.wait_all_tasks_blocked()
        assert cluster.dials == ["one"] * 3


async def test_a_read_on_a_kept_connection_that_breaks_is_sent_again_to_the_same_member() -> None:
    async with cluster_of(answer_once) as (client, cluster):  # of these streams nobody can see that they ended
        cluster.down.update({"two", "three"})
        for _ in range(3):
            await client.call(m.RangeRequest(key=b"k"))
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(etcd.Unavailable, match="may or may not have taken effect"):
            await client.put("k", "v")
        assert cluster.dials == ["one"] * 3
