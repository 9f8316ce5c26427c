"""Calls to a member by its services' one door, with a token, as a front end makes them."""

from __future__ import annotations

from typing import Any

from trioetcd.api import messages as m
from trioetcd.api.services import RPCS
from trioetcd.node.service.context import CallContext
from trioetcd.testing.member import MemoryMember

_BY_REQUEST = {rpc.request: rpc for rpc in RPCS if not (rpc.server_streaming and not rpc.client_streaming)}


async def ask(member: MemoryMember, request: object, token: str | None = None) -> Any:
    """The response to a request, or the ApiError."""
    method = member.services.method(_BY_REQUEST[type(request)])
    assert method is not None
    return await method(request, CallContext(token=token))


async def log_in(member: MemoryMember, name: str, password: str) -> str:
    token: str = (await ask(member, m.AuthenticateRequest(name=name, password=password))).token
    return token


async def set_up(member: MemoryMember) -> None:
    """Root and alice, who may read and write `a` to `b` and nothing else; auth is on."""
    everything = [
        m.AuthUserAddRequest(name="root", password="rpw"),
        m.AuthUserGrantRoleRequest(user="root", role="root"),
        m.AuthUserAddRequest(name="alice", password="apw"),
        m.AuthRoleAddRequest(name="r"),
        m.AuthRoleGrantPermissionRequest(name="r", perm=m.Permission(m.PermissionType.READWRITE, b"a", b"b")),
        m.AuthUserGrantRoleRequest(user="alice", role="r"),
        m.AuthEnableRequest(),
    ]
    for request in everything:
        await ask(member, request)
