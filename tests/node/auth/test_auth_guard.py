"""Every RPC there is, as nobody, with a bad token, as a user without rights, and as root; and the guard itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.node.auth.auth_calls import ask, log_in, set_up
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.api.services import RPCS, Rpc
from trioetcd.node.auth.guard import Guard
from trioetcd.node.auth.rules import RULES, Rule
from trioetcd.node.service.context import CallContext
from trioetcd.testing.cluster import MemoryCluster
from trioetcd.testing.member import MemoryMember

LEADER = m.LeaderKey(name=b"e", key=b"e/3e7", rev=1, lease=999)

# What is asked, so that an answer would tell or change something. Other requests are empty.
REQUESTS: dict[str, object] = {
    "Range": m.RangeRequest(key=b"secret"),
    "Put": m.PutRequest(key=b"secret", value=b"v"),
    "DeleteRange": m.DeleteRangeRequest(key=b"nothing"),
    "Txn": m.TxnRequest(success=[m.RequestOp(request_range=m.RangeRequest(key=b"secret"))]),
    "Watch": m.WatchRequest(create_request=m.WatchCreateRequest(key=b"secret")),
    "LeaseRevoke": m.LeaseRevokeRequest(ID=999),
    "LeaseKeepAlive": m.LeaseKeepAliveRequest(ID=999),
    "LeaseTimeToLive": m.LeaseTimeToLiveRequest(ID=999, keys=True),
    "MemberAdd": m.MemberAddRequest(peerURLs=["http://other:2380"]),
    "Alarm": m.AlarmRequest(action=m.AlarmAction.DEACTIVATE, alarm=m.AlarmType.NOSPACE),
    "UserAdd": m.AuthUserAddRequest(name="bob", password="b"),
    "UserGet": m.AuthUserGetRequest(name="root"),
    "RoleAdd": m.AuthRoleAddRequest(name="more"),
    "RoleGet": m.AuthRoleGetRequest(role="r"),
    "Lock": m.LockRequest(name=b"l", lease=999),
    "Unlock": m.UnlockRequest(key=b"l/3e7"),
    "Campaign": m.CampaignRequest(name=b"e", lease=999, value=b"v"),
    "Proclaim": m.ProclaimRequest(leader=LEADER, value=b"v"),
    "Leader": m.LeaderRequest(name=b"e"),
    "Observe": m.LeaderRequest(name=b"e"),
    "Resign": m.ResignRequest(leader=LEADER),
}
# Without a right to any key: what does not tell of keys, and does not change what is others'.
ANY_USER = {"Authenticate", "LeaseGrant", "MemberList", "Status"}
ENDED = "ended without an answer"
REFUSALS = ("user name is empty", "invalid auth token", "permission denied", ENDED)


@pytest.fixture
async def member(autojump_clock: MockClock) -> AsyncIterator[MemoryMember]:
    async with MemoryCluster(1, bcrypt_cost=4) as cluster:
        member = cluster.members[0]
        await ask(member, m.LeaseGrantRequest(TTL=1000, ID=999))
        await ask(member, m.PutRequest(key=b"secret", value=b"v", lease=999))
        await set_up(member)
        yield member


async def refusal(member: MemoryMember, rpc: Rpc, token: str | None) -> str:
    """Which of the refusals a call meets; empty: it is served, or fails for another reason."""
    method = member.services.method(rpc)
    assert method is not None, rpc
    try:
        text = await _call(method, rpc, REQUESTS.get(rpc.name, rpc.request()), CallContext(token=token))
    except ApiError as error:
        text = error.message
    return next((word for word in REFUSALS if word in text), "")


async def _call(method: Any, rpc: Rpc, request: object, context: CallContext) -> str:
    if rpc.name == "Watch":
        async with method(context) as session:
            session.handle(request)
            reason: str = (await session.receive()).delivery.cancel_reason
            return reason
    if rpc.server_streaming and not rpc.client_streaming:
        async with AsyncExitStack() as stack:
            answers = method(request, context)
            stack.push_async_callback(answers.aclose)
            return "" if await anext(answers, None) is not None else ENDED
    await method(request, context)
    return ""


def test_every_rpc_has_a_rule_and_every_rule_an_rpc() -> None:
    assert set(RULES) == {rpc.grpc_path for rpc in RPCS}
    assert [path for path, rule in RULES.items() if rule is Rule.OPEN] == ["/etcdserverpb.Auth/Authenticate"]


async def test_nobody_is_refused_everything_but_to_log_in(member: MemoryMember) -> None:
    before = member.digest()
    found = {rpc.name: await refusal(member, rpc, None) for rpc in RPCS}
    assert found.pop("Observe") == ENDED, "as in etcd"
    assert {name for name, word in found.items() if not word} == {"Authenticate"}
    assert {name for name, word in found.items() if word == "permission denied"} == {"Watch"}, "etcd's word for it"
    assert member.digest() == before


async def test_a_token_that_is_none_is_refused_everything_but_to_log_in(member: MemoryMember) -> None:
    before = member.digest()
    found = {rpc.name: await refusal(member, rpc, "bogus.1") for rpc in RPCS}
    assert found.pop("Observe") == ENDED
    assert {name for name, word in found.items() if word != "invalid auth token"} == {"Authenticate"}
    assert member.digest() == before


async def test_a_user_without_rights_is_served_what_is_everybodys(member: MemoryMember) -> None:
    token = await log_in(member, "root", "rpw")
    await ask(member, m.AuthUserAddRequest(name="eve", password="e"), token)
    eve = await log_in(member, "eve", "e")
    found = {rpc.name: await refusal(member, rpc, eve) for rpc in RPCS}
    assert found.pop("Observe") == ENDED
    assert {name for name, word in found.items() if not word} == ANY_USER
    assert {word for name, word in found.items() if name not in ANY_USER} == {"permission denied"}


async def test_root_is_refused_nothing(member: MemoryMember) -> None:
    token = await log_in(member, "root", "rpw")
    last = {"AuthDisable", "MemberAdd", "MoveLeader"}  # after which there is no auth, or no leader
    rpcs = [rpc for rpc in RPCS if rpc.name not in last and rpc.name not in {"Observe", "Leader"}]
    rpcs += [rpc for rpc in RPCS if rpc.name == "AuthDisable"]
    assert {rpc.name for rpc in rpcs if await refusal(member, rpc, token)} == set()


async def test_users_see_themselves_and_their_roles(member: MemoryMember) -> None:
    alice = await log_in(member, "alice", "apw")
    assert (await ask(member, m.AuthUserGetRequest(name="alice"), alice)).roles == ["r"]
    assert len((await ask(member, m.AuthRoleGetRequest(role="r"), alice)).perm) == 1


async def test_while_auth_is_off_nobody_is_asked_and_tokens_are_not_looked_at(member: MemoryMember) -> None:
    await ask(member, m.AuthDisableRequest(), await log_in(member, "root", "rpw"))
    skipped = {"MemberAdd", "MoveLeader", "Observe", "Leader", "AuthEnable"}
    for token in (None, "bogus.1"):
        rpcs = [rpc for rpc in RPCS if rpc.name not in skipped]
        assert {rpc.name for rpc in rpcs if await refusal(member, rpc, token)} == set()


async def test_while_auth_is_off_nothing_waits_for_what_a_token_names(member: MemoryMember) -> None:
    """A client keeps its token when auth is turned off, or when the cluster is restored at an earlier entry."""
    await ask(member, m.AuthDisableRequest(), await log_in(member, "root", "rpw"))
    began = trio.current_time()
    for rpc in RPCS:
        if rpc.name in {"Watch", "Snapshot"}:
            assert not await refusal(member, rpc, "abcdefghijklmnop.99999999")
    assert trio.current_time() - began < 1


async def test_an_rpc_without_a_rule_is_nobodys(member: MemoryMember) -> None:
    async def served(request: object, context: CallContext) -> object:
        raise AssertionError("it must not come here")

    rpc = Rpc("etcdserverpb.KV", "Peek", m.RangeRequest, m.RangeResponse, ())
    method = Guard(authenticator=member.parts.authenticator).protect(rpc, served)
    root = await log_in(member, "root", "rpw")
    for token in (None, root):
        with pytest.raises(ApiError, match="permission denied"):
            await method(m.RangeRequest(), CallContext(token=token))
    await ask(member, m.AuthDisableRequest(), root)
    with pytest.raises(ApiError, match="permission denied"):
        await method(m.RangeRequest(), CallContext())


async def test_a_service_that_forgets_to_ask_does_not_answer(member: MemoryMember) -> None:
    async def forgetful(request: object, context: CallContext) -> m.RangeResponse:
        return m.RangeResponse(kvs=[m.KeyValue(key=b"secret", value=b"v")])

    (rpc,) = (rpc for rpc in RPCS if rpc.name == "Range")
    method = Guard(authenticator=member.parts.authenticator).protect(rpc, forgetful)
    alice = await log_in(member, "alice", "apw")
    for token, kind in ((None, ErrorKind.USER_EMPTY), (alice, ErrorKind.PERMISSION_DENIED)):
        with pytest.raises(ApiError) as refused:
            await method(m.RangeRequest(key=b"secret"), CallContext(token=token))
        assert refused.value == ApiError.of(kind)
    assert await method(m.RangeRequest(key=b"a"), CallContext(token=alice))


async def test_health_is_nobodys_business(member: MemoryMember) -> None:
    await member.view.probe_read(serializable=False)
    await member.view.probe_read(serializable=True)
