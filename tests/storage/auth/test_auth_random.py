"""Random requests by random users are decided as by a plain model, alike on a member that restarts and reloads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.storage.auth.asking import (
    HASHED,
    READ,
    READWRITE,
    WRITE,
    delete,
    do,
    enable,
    get,
    grant,
    new_machine,
    op_of,
    put,
    refused,
)
from tests.storage.auth.test_auth_machine import copy_of
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.storage.auth.access import AuthInfo
from trioetcd.storage.machine import StateMachine

USERS = ["u", "v", "w"]
ROLES = ["of-u", "of-v", "of-w", "root"]
KEYS = [b"a", b"b", b"c", b"d"]
ENDS = [b"", b"", b"\0", b"b", b"c", b"d", b"e", b"a"]
LEASES = [1, 2, 404]
POINTS = [key + tail for key in [*KEYS, b"e"] for tail in (b"", b"\0")]  # whatever differs, differs at one of them
STEPS = 600

Need = tuple[str, bytes, bytes]  # "read" or "write", key, range end


class Model:
    """Users, roles and keys on leases, as lists that are walked."""

    def __init__(self) -> None:
        self.roles_of: dict[str, set[str]] = {"root": {"root"}, **{name: {f"of-{name}"} for name in USERS}}
        self.grants: dict[str, dict[tuple[bytes, bytes], int]] = {f"of-{name}": {} for name in USERS}
        self.lease_of: dict[bytes, int] = {}
        self.leases: set[int] = set()

    # -- what is expected

    def verdict(self, info: AuthInfo, revision: int, op: object) -> str:
        match op:
            case m.LeaseGrantRequest() | m.LeaseRevokeRequest():
                if info.username not in self.roles_of:
                    return "PERMISSION_DENIED" if info.username else "USER_EMPTY"
            case m.CompactionRequest() | m.AuthUserListRequest():
                return self._of_root(info)
        needs = list(self.needs(op))
        if not needs:
            return ""
        if not info.revision:
            return "USER_EMPTY"
        if info.revision < revision:
            return "AUTH_OLD_REVISION"
        return "" if all(self.may(info.username, need) for need in needs) else "PERMISSION_DENIED"

    def _of_root(self, info: AuthInfo) -> str:
        if not info.username:
            return "USER_EMPTY"
        if info.username not in self.roles_of:
            return "USER_NOT_FOUND"
        return "" if "root" in self.roles_of[info.username] else "PERMISSION_DENIED"

    def needs(self, op: object) -> Iterator[Need]:
        match op:
            case m.RangeRequest() | m.Compare() | m.WatchCreateRequest():
                yield "read", op.key, op.range_end
            case m.PutRequest():
                yield "write", op.key, b""
                yield from self._writes_of_lease(op.lease)
                if op.prev_kv:
                    yield "read", op.key, b""
            case m.DeleteRangeRequest():
                yield "write", op.key, op.range_end
                if op.prev_kv:
                    yield "read", op.key, op.range_end
            case m.LeaseRevokeRequest():
                yield from self._writes_of_lease(op.ID)
            case m.TxnRequest():
                for guard in op.compare:
                    yield from self.needs(guard)
                for one in (*op.success, *op.failure):
                    yield from self.needs(
                        one.request_range or one.request_put or one.request_delete_range or one.request_txn
                    )

    def _writes_of_lease(self, lease: int) -> Iterator[Need]:
        return (("write", key, b"") for key, its_lease in self.lease_of.items() if 0 != lease == its_lease)

    def may(self, user: str, need: Need) -> bool:
        roles = self.roles_of.get(user, set())
        if "root" in roles:
            return True
        side, key, range_end = need
        kinds = (READWRITE, READ if side == "read" else WRITE)
        ranges = [place for role in roles for place, kind in self.grants.get(role, {}).items() if kind in kinds]
        asked = [point for point in POINTS if _holds(key, range_end, point)] or [key]
        return all(any(_holds(*one, point) for one in ranges) for point in asked)

    # -- what happened

    def note(self, op: Any, response: Any) -> None:
        match op:
            case m.AuthUserAddRequest():
                self.roles_of[op.name] = set()
            case m.AuthUserDeleteRequest():
                del self.roles_of[op.name]
            case m.AuthUserGrantRoleRequest():
                self.roles_of[op.user].add(op.role)
            case m.AuthUserRevokeRoleRequest():
                self.roles_of[op.name].remove(op.role)
            case m.AuthRoleAddRequest():
                self.grants[op.name] = {}
            case m.AuthRoleDeleteRequest():
                del self.grants[op.role]
                for roles in self.roles_of.values():
                    roles.discard(op.role)
            case m.AuthRoleGrantPermissionRequest() if op.perm is not None:
                self.grants[op.name][op.perm.key, op.perm.range_end] = op.perm.permType
            case m.AuthRoleRevokePermissionRequest():
                del self.grants[op.role][op.key, op.range_end]
            case m.LeaseRevokeRequest():
                self.lease_of = {key: lease for key, lease in self.lease_of.items() if lease != op.ID}
            case m.PutRequest():
                self.lease_of[op.key] = op.lease
            case m.DeleteRangeRequest():
                self.lease_of = {
                    key: lease for key, lease in self.lease_of.items() if not _holds(op.key, op.range_end, key)
                }
            case m.TxnRequest():
                for one in op.success if response.succeeded else op.failure:
                    inner = one.request_put or one.request_delete_range
                    if inner is not None:
                        self.note(inner, None)


def _holds(start: bytes, range_end: bytes, key: bytes) -> bool:
    if not range_end:
        return key == start
    return start <= key and (range_end == b"\0" or key < range_end)


class Generator:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def key_op(self) -> Any:
        pick, key = self._chance.choice, self._chance.choice(KEYS)
        kind = self._chance.randrange(8)
        if kind < 2:
            return put(key, prev_kv=pick([True, False]), lease=pick([0, 0, *LEASES]))
        if kind < 4:
            return delete(key, pick(ENDS), prev_kv=pick([True, False]))
        if kind < 5:
            return get(key, pick(ENDS))
        return self._txn(2)

    def _txn(self, depth: int) -> m.TxnRequest:
        pick = self._chance.choice
        guards = [m.Compare(key=pick(KEYS), range_end=pick(ENDS), target=m.CompareTarget.LEASE, lease=pick([0, 1]))]
        branches = [[op_of(self._in_txn(depth)) for _ in range(self._chance.randrange(2))] for _ in range(2)]
        return m.TxnRequest(compare=pick([guards, []]), success=branches[0], failure=branches[1])

    def _in_txn(self, depth: int) -> Any:
        """What writes a key is not put into a nested transaction: the model does not follow which branch is taken."""
        if not depth:
            return get(self._chance.choice(KEYS), self._chance.choice(ENDS))
        if self._chance.random() < 0.3:
            return self._txn(0)
        pick, key = self._chance.choice, self._chance.choice(KEYS)
        return pick([put(key, prev_kv=pick([True, False]), lease=pick([0, 1, 2])), delete(key), get(key, pick(ENDS))])

    def lease_op(self) -> Any:
        lease = self._chance.choice(LEASES[:2])
        return self._chance.choice([m.LeaseGrantRequest(ID=lease, TTL=99), m.LeaseRevokeRequest(ID=lease)])

    def auth_op(self) -> Any:
        pick = self._chance.choice
        user, role, key, end = pick(USERS), pick(ROLES), pick(KEYS), pick(ENDS)
        return pick(
            [
                m.AuthUserAddRequest(name=user, hashedPassword=HASHED),
                m.AuthUserAddRequest(name=user, hashedPassword=HASHED),
                m.AuthUserDeleteRequest(name=user),
                m.AuthUserGrantRoleRequest(user=user, role=role),
                m.AuthUserGrantRoleRequest(user=user, role=f"of-{user}"),
                m.AuthUserRevokeRoleRequest(name=user, role=role),
                m.AuthRoleAddRequest(name=role),
                m.AuthRoleDeleteRequest(role=role),
                m.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=end),
                *[grant(role, pick([READ, WRITE, READWRITE]), key, end)] * 5,
            ]
        )


@pytest.mark.parametrize("seed", range(12))
def test_random_requests_of_random_users(seed: int) -> None:
    chance = random.Random(seed)
    generator, model = Generator(chance), Model()
    steady, moved = new_machine(), new_machine()
    for machine in (steady, moved):
        enable(machine, **{name: [] for name in USERS})
    for step in range(STEPS):
        moved = _move(moved, chance)
        revision = steady.auth.revision
        op, info = _next(generator, chance, model, revision)
        result = do(steady, op, *info)
        assert do(moved, op, *info) == result, (seed, step, info, op)
        if not isinstance(op, _BY_ROOT):
            _compare(result, model.verdict(info, revision, op), (seed, step, info, op))
        if not isinstance(result, ApiError):
            model.note(op, result)
        _compare_reads(steady, moved, model, chance)
    assert moved.digest() == steady.digest()


_BY_ROOT = (
    m.AuthUserAddRequest,
    m.AuthUserDeleteRequest,
    m.AuthUserGrantRoleRequest,
    m.AuthUserRevokeRoleRequest,
    m.AuthRoleAddRequest,
    m.AuthRoleDeleteRequest,
    m.AuthRoleGrantPermissionRequest,
    m.AuthRoleRevokePermissionRequest,
)


def _next(generator: Generator, chance: random.Random, model: Model, revision: int) -> tuple[Any, AuthInfo]:
    if chance.random() < 0.3:
        return _distinct(generator.auth_op(), model), AuthInfo("root", revision)
    op = generator.lease_op() if chance.random() < 0.2 else generator.key_op()
    while isinstance(op, m.RangeRequest):  # is answered, not logged
        op = generator.key_op()
    info = AuthInfo(chance.choice([*USERS, *USERS, "root"]), chance.choice([revision] * 9 + [revision - 1]))
    return op, chance.choice([info] * 9 + [AuthInfo("", 0)])


def _distinct(op: Any, model: Model) -> Any:
    """Let no two grants of a role have one key: etcd replaces the first alone, which the model does not."""
    if isinstance(op, m.AuthRoleGrantPermissionRequest) and op.perm is not None:
        ends = [end for key, end in model.grants.get(op.name, {}) if key == op.perm.key]
        if ends:
            return grant(op.name, op.perm.permType, op.perm.key, ends[0])
    return op


def _compare(result: object, expected: str, where: object) -> None:
    """Beside refusals of auth there are those of the request itself, which come after."""
    found = refused(result)
    assert found == expected or (not expected and found in ("LEASE_NOT_FOUND", "LEASE_EXIST")), where


def _compare_reads(steady: StateMachine, moved: StateMachine, model: Model, chance: random.Random) -> None:
    revision = steady.auth.revision
    info = AuthInfo(chance.choice([*USERS, "root"]), revision)
    key, end = chance.choice(KEYS), chance.choice(ENDS)
    for op in (get(key, end), m.WatchCreateRequest(key=key, range_end=end), m.AuthUserListRequest()):
        expected = model.verdict(info, revision, op)
        for machine in (steady, moved):
            try:
                machine.auth.check_op(info, op)
                found = ""
            except ApiError as refusal:
                found = refused(refusal)
            assert found == expected, (info, op)


def _move(machine: StateMachine, chance: random.Random) -> StateMachine:
    """Now and then, restart the member or give it a snapshot of itself."""
    moment = chance.random()
    if moment < 0.02:
        return StateMachine.open(engine=copy_of(machine))
    if moment < 0.04:
        machine.reload(copy_of(machine))
    return machine
