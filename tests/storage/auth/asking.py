"""A state machine that is asked by users, in as few words as possible."""

from __future__ import annotations

from typing import Any

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.auth.access import AuthInfo
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.memory_engine import MemoryEngine
from trioetcd.storage.requests import Proposal, RaftRequest, decode_proposal, encode_proposal

HASHED = "JDJhJDA0JA=="  # base64 of the beginning of a bcrypt hash
READ, WRITE, READWRITE = m.PermissionType.READ, m.PermissionType.WRITE, m.PermissionType.READWRITE


def new_machine() -> StateMachine:
    return StateMachine.open(engine=MemoryEngine())


def do(machine: StateMachine, op: object, user: str = "", revision: int | None = None) -> Any:
    """The result of one request in one entry, through the bytes of the log, asked by a user as of now."""
    if revision is None:
        revision = machine.auth.revision if user else 0
    index = machine.applied.index + 1
    proposal = decode_proposal(encode_proposal(Proposal(index, (RaftRequest(op, user, revision),))))
    results: list[object] = []
    machine.apply([Committed(index, 1, proposal)], tell=lambda _, found: results.extend(found))
    return results[0]


def refused(result: object) -> str:
    """The kind of a refusal; nothing if there was none."""
    if not isinstance(result, ApiError):
        return ""
    return next((kind.name for kind in ErrorKind if kind.value == (result.code, result.message)), result.message)


def now(machine: StateMachine, user: str) -> AuthInfo:
    return AuthInfo(user, machine.auth.revision)


def grant(role: str, kind: int, key: bytes, range_end: bytes = b"") -> m.AuthRoleGrantPermissionRequest:
    return m.AuthRoleGrantPermissionRequest(name=role, perm=m.Permission(kind, key, range_end))


def enable(machine: StateMachine, **grants: list[tuple[int, bytes, bytes]]) -> None:
    """Turn auth on, with root, and a user for each name that has its grants by a role of its own."""
    for name in ("root", *grants):
        do(machine, m.AuthUserAddRequest(name=name, hashedPassword=HASHED))
    do(machine, m.AuthUserGrantRoleRequest(user="root", role="root"))
    for name, granted in grants.items():
        do(machine, m.AuthRoleAddRequest(name=f"of-{name}"))
        do(machine, m.AuthUserGrantRoleRequest(user=name, role=f"of-{name}"))
        for kind, key, range_end in granted:
            do(machine, grant(f"of-{name}", kind, key, range_end))
    do(machine, m.AuthEnableRequest())
    assert machine.auth.enabled


def put(key: bytes, *, prev_kv: bool = False, lease: int = 0) -> m.PutRequest:
    return m.PutRequest(key=key, value=b"v", prev_kv=prev_kv, lease=lease)


def get(key: bytes, range_end: bytes = b"") -> m.RangeRequest:
    return m.RangeRequest(key=key, range_end=range_end)


def delete(key: bytes, range_end: bytes = b"", *, prev_kv: bool = False) -> m.DeleteRangeRequest:
    return m.DeleteRangeRequest(key=key, range_end=range_end, prev_kv=prev_kv)


def op_of(request: object) -> m.RequestOp:
    """A request as an operation of a transaction."""
    match request:
        case m.RangeRequest():
            return m.RequestOp(request_range=request)
        case m.PutRequest():
            return m.RequestOp(request_put=request)
        case m.DeleteRangeRequest():
            return m.RequestOp(request_delete_range=request)
        case m.TxnRequest():
            return m.RequestOp(request_txn=request)
    raise AssertionError(request)


def txn(*success: object, failure: tuple[object, ...] = ()) -> m.TxnRequest:
    return m.TxnRequest(success=[op_of(one) for one in success], failure=[op_of(one) for one in failure])


def nested(request: object, depth: int) -> m.TxnRequest:
    """A request at the bottom of transactions in transactions."""
    found = txn(request)
    for _ in range(depth):
        found = txn(found)
    return found
