"""Auth on three members: what one decides all decide, after changes, restarts and snapshots."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.node.auth.auth_calls import ask, log_in, set_up
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.config import LogConfig
from trioetcd.config.auth import JwtTokens
from trioetcd.log import make_logger, open_sink
from trioetcd.node.service.context import CallContext
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

OLD_REVISION = ApiError.of(ErrorKind.AUTH_OLD_REVISION)
BAD_TOKEN = ApiError.of(ErrorKind.INVALID_AUTH_TOKEN)
DENIED = ApiError.of(ErrorKind.PERMISSION_DENIED)
EMPTY = ApiError.of(ErrorKind.USER_EMPTY)
FAILED = ApiError.of(ErrorKind.AUTH_FAILED)
READ_A, READ_Z = m.RangeRequest(key=b"a"), m.RangeRequest(key=b"z")
PUT_A, PUT_Z = m.PutRequest(key=b"a", value=b"v"), m.PutRequest(key=b"z", value=b"v")


async def outcome(member: MemoryMember, request: object, token: str | None) -> ApiError | None:
    try:
        await ask(member, request, token)
    except ApiError as error:
        return error
    return None


async def outcomes(cluster: MemoryCluster, token: str | None) -> list[list[ApiError | None]]:
    """How each member decides on the same requests."""
    requests = (READ_A, READ_Z, PUT_A, PUT_Z)
    return [[await outcome(member, request, token) for request in requests] for member in cluster.members]


async def test_a_token_counts_on_every_member_at_once(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, bcrypt_cost=4) as cluster:
        await set_up(cluster.members[0])
        for giver in cluster.members:
            alice = await log_in(giver, "alice", "apw")
            for member in cluster.members:  # whether it has heard of the token yet or not
                assert await outcome(member, READ_A, alice) is None
        assert await outcomes(cluster, alice) == [[None, DENIED, None, DENIED]] * 3
        assert await outcomes(cluster, None) == [[EMPTY] * 4] * 3
        await cluster.wait_converged()
        assert len({member.digest() for member in cluster.members}) == 1


async def test_after_a_restart_who_logs_in_again_may_do_the_same(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, bcrypt_cost=4) as cluster:
        await set_up(cluster.members[0])
        before = await log_in(cluster.members[0], "alice", "apw")
        for member in cluster.members:
            await member.kill()
        await cluster.start_all()
        await cluster.wait_leader()
        assert [await outcome(member, READ_A, before) for member in cluster.members] == [BAD_TOKEN] * 3
        after = await log_in(cluster.members[1], "alice", "apw")
        assert await outcomes(cluster, after) == [[None, DENIED, None, DENIED]] * 3
        assert await outcomes(cluster, None) == [[EMPTY] * 4] * 3


async def test_a_snapshot_brings_users_and_ends_tokens(autojump_clock: MockClock) -> None:
    settings = {"snapshot_count": 5, "snapshot_catchup_entries": 2, "bcrypt_cost": 4}
    async with MemoryCluster(3, **settings) as cluster:
        leader = await cluster.wait_leader()
        behind = next(member for member in cluster.members if member is not leader)
        await set_up(leader)
        root, alice = await log_in(leader, "root", "rpw"), await log_in(leader, "alice", "apw")
        assert await outcome(behind, READ_A, alice) is None
        cluster.isolate(behind)
        await ask(leader, m.AuthUserChangePasswordRequest(name="alice", password="other"), root)
        await ask(leader, m.AuthUserAddRequest(name="bob", password="bpw"), root)
        await ask(leader, m.AuthUserGrantRoleRequest(user="bob", role="r"), root)
        for _ in range(20):
            await ask(leader, PUT_Z, root)
        for member in cluster.members:
            cluster.network.drop_connections(member.name, behind.name)
        cluster.heal()
        await cluster.wait_converged()
        assert await outcome(behind, READ_A, alice) == BAD_TOKEN, "it is of the password before"
        assert await outcome(behind, READ_A, root) is None
        bob = await log_in(behind, "bob", "bpw")
        assert await outcomes(cluster, bob) == [[None, DENIED, None, DENIED]] * 3


async def test_changes_count_for_the_tokens_there_are(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, bcrypt_cost=4) as cluster:
        first, second, third = cluster.members
        await set_up(first)
        root, alice = await log_in(first, "root", "rpw"), await log_in(first, "alice", "apw")
        await ask(second, m.AuthUserRevokeRoleRequest(name="alice", role="r"), root)
        await cluster.wait_converged()
        assert await outcomes(cluster, alice) == [[DENIED] * 4] * 3
        await ask(third, m.AuthUserGrantRoleRequest(user="alice", role="root"), root)
        await cluster.wait_converged()
        assert await outcomes(cluster, alice) == [[None] * 4] * 3
        await ask(second, m.AuthUserDeleteRequest(name="alice"), root)
        await cluster.wait_converged()
        assert await outcomes(cluster, alice) == [[BAD_TOKEN] * 4] * 3


async def test_a_token_ends_when_it_is_not_used(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, bcrypt_cost=4, auth_token_ttl_seconds=60) as cluster:
        member = cluster.members[0]
        await set_up(member)
        alice = await log_in(member, "alice", "apw")
        for _ in range(4):
            await trio.sleep(50)
            assert await outcome(member, READ_A, alice) is None
        await trio.sleep(61)
        assert await outcome(member, READ_A, alice) == BAD_TOKEN


@pytest.mark.parametrize("waiting", [m.LockRequest, m.CampaignRequest])
async def test_who_waits_in_line_needs_the_token_only_to_enter(
    autojump_clock: MockClock, waiting: type[m.LockRequest | m.CampaignRequest]
) -> None:
    """Else the key would stay in the line of a call that has failed, and its turn would come."""
    async with MemoryCluster(1, bcrypt_cost=4, auth_token_ttl_seconds=20) as cluster:
        (member,) = cluster.members
        await set_up(member)
        alice = await log_in(member, "alice", "apw")
        line = m.RangeRequest(key=b"a/", range_end=b"a0", keys_only=True)
        for lease in (11, 12, 13):
            await ask(member, m.LeaseGrantRequest(TTL=1000, ID=lease), alice)
        await ask(member, waiting(name=b"a", lease=11), alice)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, member, waiting(name=b"a", lease=12), alice)
            await trio.sleep(30)
            await ask(member, m.UnlockRequest(key=b"a/b"), await log_in(member, "alice", "apw"))
        alice = await log_in(member, "alice", "apw")
        with trio.move_on_after(30) as given_up:
            await ask(member, waiting(name=b"a", lease=13), alice)
        assert given_up.cancelled_caught
        root = await log_in(member, "root", "rpw")
        assert [kv.key for kv in (await ask(member, line, root)).kvs] == [b"a/c"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(denied, member, waiting(name=b"a", lease=13), await log_in(member, "alice", "apw"))
            await trio.sleep(1)
            await ask(member, m.AuthUserRevokeRoleRequest(name="alice", role="r"), root)
            await ask(member, m.LeaseRevokeRequest(ID=12), root)


async def denied(member: MemoryMember, request: object, token: str) -> None:
    with pytest.raises(ApiError, match="permission denied"):
        await ask(member, request, token)


async def test_a_token_from_the_future_is_waited_for_and_then_refused(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, bcrypt_cost=4) as cluster:
        member = cluster.members[0]
        await set_up(member)
        started = trio.current_time()
        assert await outcome(member, PUT_A, "abcdefghijklmnop.99999999") == BAD_TOKEN
        assert 0 < trio.current_time() - started <= member.config.request_timeout_seconds


async def test_a_password_that_changes_while_it_is_checked_is_checked_again(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, bcrypt_cost=4, disk_seconds=1.0) as cluster:  # so long takes what is done in a thread
        member = cluster.members[0]
        await set_up(member)
        root = await log_in(member, "root", "rpw")
        results: list[ApiError | None] = []

        async def with_the_old_password() -> None:
            results.append(await outcome(member, m.AuthenticateRequest(name="alice", password="apw"), None))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, member, m.AuthUserChangePasswordRequest(name="alice", hashedPassword="eA=="), root)
            await trio.sleep(0.1)
            nursery.start_soon(with_the_old_password)
        assert results == [FAILED]


async def test_a_stream_that_was_open_before_auth_was_on_is_asked_too(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, bcrypt_cost=4) as cluster:
        member = cluster.members[0]
        watch = member.services.watch
        create = m.WatchRequest(create_request=m.WatchCreateRequest(key=b"z"))
        async with watch.open(CallContext()) as session:
            session.handle(create)
            assert not (await session.receive()).delivery.canceled
            await set_up(member)
            session.handle(create)
            refused = (await session.receive()).delivery
            assert refused.canceled
            assert refused.cancel_reason == "rpc error: code = PermissionDenied desc = etcdserver: permission denied"


async def test_a_lease_does_not_tell_of_keys_that_may_not_be_read(autojump_clock: MockClock) -> None:
    async with MemoryCluster(3, bcrypt_cost=4) as cluster:
        await set_up(cluster.members[0])
        root, alice = await log_in(cluster.members[0], "root", "rpw"), await log_in(cluster.members[0], "alice", "apw")
        await ask(cluster.members[0], m.LeaseGrantRequest(TTL=1000, ID=5), root)
        for key in (b"a", b"z"):
            await ask(cluster.members[0], m.PutRequest(key=key, lease=5), root)
        for member in cluster.members:
            assert await outcome(member, m.LeaseTimeToLiveRequest(ID=5, keys=True), alice) == DENIED
            assert (await ask(member, m.LeaseTimeToLiveRequest(ID=5), alice)).keys == []
            assert await outcome(member, m.LeaseLeasesRequest(), alice) == DENIED
            assert await outcome(member, m.LeaseKeepAliveRequest(ID=5), alice) == DENIED
            assert await outcome(member, m.LeaseRevokeRequest(ID=5), alice) == DENIED
            assert sorted((await ask(member, m.LeaseTimeToLiveRequest(ID=5, keys=True), root)).keys) == [b"a", b"z"]


async def test_signed_tokens_outlive_restarts_and_not_changes(autojump_clock: MockClock, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"a secret that all members have, and nobody else does")
    kind = JwtTokens("HS256", tmp_path / "key", None, 30.0)
    async with MemoryCluster(3, bcrypt_cost=4, auth_token=kind) as cluster:
        first = cluster.members[0]
        await set_up(first)
        alice = await log_in(first, "alice", "apw")
        await cluster.wait_converged()
        assert await outcomes(cluster, alice) == [[None, DENIED, None, DENIED]] * 3
        await first.kill()
        await first.start()
        await cluster.wait_converged()
        assert await outcomes(cluster, alice) == [[None, DENIED, None, DENIED]] * 3
        await ask(first, m.AuthRoleAddRequest(name="new"), await log_in(first, "root", "rpw"))
        await cluster.wait_converged()
        assert await outcomes(cluster, alice) == [[OLD_REVISION] * 4] * 3
        assert await outcome(first, m.MemberListRequest(), alice) is None, "what is not about keys goes on"
        again = await log_in(first, "alice", "apw")
        await trio.sleep(31)
        assert await outcome(first, READ_A, again) == BAD_TOKEN


async def test_a_member_that_is_not_so_far_does_not_read_by_a_later_token(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(b"a secret that all members have, and nobody else does")
    kind = JwtTokens("HS256", tmp_path / "key", None, 300.0)
    async with MemoryCluster(3, bcrypt_cost=4, auth_token=kind) as cluster:
        leader = await cluster.wait_leader()
        behind = next(member for member in cluster.members if member is not leader)
        await set_up(leader)
        await cluster.wait_converged()
        cluster.isolate(behind)
        await ask(leader, m.AuthUserRevokeRoleRequest(name="alice", role="r"), await log_in(leader, "root", "rpw"))
        alice = await log_in(leader, "alice", "apw")
        stale = m.RangeRequest(key=b"a", serializable=True)
        assert await outcome(leader, stale, alice) == DENIED
        assert await outcome(behind, stale, alice) == OLD_REVISION


@pytest.mark.parametrize("restart", [False, True])
async def test_no_password_and_no_token_is_written_down(
    autojump_clock: MockClock, tmp_path: Path, restart: bool
) -> None:
    passwords = ("first-pass", "second-pass", "wrong-pass")
    path = tmp_path / "log"
    log = make_logger(LogConfig(level="debug", outputs=(str(path),)), sink=open_sink((str(path),)))
    async with MemoryCluster(1, bcrypt_cost=4, log=log) as cluster:
        member = cluster.members[0]
        await set_up(member)
        root = await log_in(member, "root", "rpw")
        await ask(member, m.AuthUserAddRequest(name="bob", password=passwords[0]), root)
        unused = m.AuthUserAddRequest(name="eve", password=passwords[2], options=m.UserAddOptions(no_password=True))
        await ask(member, unused, root)
        token = await log_in(member, "bob", passwords[0])
        await ask(member, m.AuthUserChangePasswordRequest(name="bob", password=passwords[1]), root)
        assert await outcome(member, m.AuthenticateRequest(name="bob", password=passwords[2]), None) == FAILED
        if restart:
            await member.stop()
            await member.start()
            await cluster.wait_leader()
        written = b"".join(_files(member))
        assert b"bob" in written
        assert [one for one in passwords if one.encode() in written] == []
        logged = path.read_text()
        assert "invalid authentication was requested" in logged
        assert [one for one in (*passwords, root, token) if one in logged] == []


def _files(member: MemoryMember) -> list[bytes]:
    """Everything on a member's disk."""
    config, disk = member.config, member.filesystem
    directories = (config.data_dir, config.data_dir / "member", config.wal_directory, config.snapshot_directory)
    return [disk.content(directory / name) for directory in directories for name in disk.list_directory(directory)]


def test_what_is_secret_does_not_show_in_repr() -> None:
    shown = repr(
        [
            m.AuthenticateRequest(name="bob", password="s3cret"),
            m.AuthenticateResponse(token="s3cret"),
            m.AuthUserAddRequest(name="bob", password="s3cret", hashedPassword="s3cret"),
            m.AuthUserChangePasswordRequest(name="bob", password="s3cret", hashedPassword="s3cret"),
            CallContext(token="s3cret"),
        ]
    )
    assert "s3cret" not in shown
    assert "bob" in shown
