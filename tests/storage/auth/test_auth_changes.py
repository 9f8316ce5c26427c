"""Changes of users and roles: etcd's answers and revisions, as a real etcd 3.5.1 gave them."""

from __future__ import annotations

import pytest

from tests.storage.auth.asking import HASHED, READ, READWRITE, WRITE, do, enable, grant, new_machine, refused
from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError
from trioetcd.storage.machine import StateMachine

NO_PASSWORD = "auth: authentication failed, password was given for no password user"


@pytest.fixture
def machine() -> StateMachine:
    return new_machine()


def user(name: str, *, no_password: bool = False, hashed: str = HASHED) -> m.AuthUserAddRequest:
    options = m.UserAddOptions(no_password=True) if no_password else None
    return m.AuthUserAddRequest(name=name, options=options, hashedPassword=hashed)


def password(name: str, hashed: str = HASHED) -> m.AuthUserChangePasswordRequest:
    return m.AuthUserChangePasswordRequest(name=name, hashedPassword=hashed)


def give(name: str, role: str) -> m.AuthUserGrantRoleRequest:
    return m.AuthUserGrantRoleRequest(user=name, role=role)


def take(name: str, role: str) -> m.AuthUserRevokeRoleRequest:
    return m.AuthUserRevokeRoleRequest(name=name, role=role)


def revoke(role: str, key: bytes, range_end: bytes = b"") -> m.AuthRoleRevokePermissionRequest:
    return m.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=range_end)


def add_role(name: str) -> m.AuthRoleAddRequest:
    return m.AuthRoleAddRequest(name=name)


def delete_role(name: str) -> m.AuthRoleDeleteRequest:
    return m.AuthRoleDeleteRequest(role=name)


def delete_user(name: str) -> m.AuthUserDeleteRequest:
    return m.AuthUserDeleteRequest(name=name)


# The request, what refuses it, the revision afterwards.
STORY: list[tuple[object, str, int]] = [
    (m.AuthDisableRequest(), "", 1),
    (m.AuthEnableRequest(), "ROOT_USER_NOT_EXIST", 1),
    (add_role("r"), "", 2),
    (add_role("r"), "ROLE_ALREADY_EXIST", 2),
    (add_role(""), "ROLE_EMPTY", 2),
    (grant("r", READ, b"k"), "", 3),
    (grant("r", READ, b"k"), "", 4),
    (m.AuthRoleGrantPermissionRequest(name="none"), "PERMISSION_NOT_GIVEN", 4),
    (m.AuthRoleGrantPermissionRequest(name="none", perm=m.Permission()), "ROLE_NOT_FOUND", 4),
    (m.AuthRoleGrantPermissionRequest(name="r", perm=m.Permission()), "", 5),
    (grant("r", READ, b"z", b"a"), "", 6),
    (grant("r", 7, b"q"), "", 7),
    (revoke("r", b"k"), "", 8),
    (revoke("r", b"k"), "PERMISSION_NOT_GRANTED", 8),
    (revoke("r", b"z", b"b"), "PERMISSION_NOT_GRANTED", 8),
    (revoke("none", b"k"), "ROLE_NOT_FOUND", 8),
    (user(""), "USER_EMPTY", 8),
    (user("u"), "", 9),
    (user("u"), "USER_ALREADY_EXIST", 9),
    (user("np", no_password=True, hashed="!!"), "", 10),
    (user("other", hashed="!!"), NO_PASSWORD, 10),
    (password("u", "!!"), NO_PASSWORD, 10),
    (password("u", "JDJhJDA0"), "", 11),
    (password("u", "JDJh\r\nJDA0"), "", 12),
    (password("u", "Pfä"), NO_PASSWORD, 12),
    (password("u", ""), "", 13),
    (password("np", "!!"), "", 14),
    (password("none"), "USER_NOT_FOUND", 14),
    (give("u", "r"), "", 15),
    (give("u", "r"), "", 15),
    (give("none", "x"), "USER_NOT_FOUND", 15),
    (give("u", "x"), "ROLE_NOT_FOUND", 15),
    (give("", ""), "USER_NOT_FOUND", 15),
    (take("u", "x"), "ROLE_NOT_GRANTED", 15),
    (take("none", "x"), "USER_NOT_FOUND", 15),
    (delete_role("r"), "", 16),
    (delete_role("r"), "ROLE_NOT_FOUND", 16),
    (take("u", "r"), "ROLE_NOT_GRANTED", 16),
    (add_role("root"), "", 17),
    (delete_role("root"), "", 18),
    (delete_user("none"), "USER_NOT_FOUND", 18),
    (delete_user("np"), "", 19),
    (user("root"), "", 20),
    (m.AuthEnableRequest(), "ROOT_ROLE_NOT_EXIST", 20),
    (give("root", "root"), "", 21),
    (m.AuthEnableRequest(), "", 21),
    (m.AuthEnableRequest(), "", 21),
    (delete_user("root"), "INVALID_AUTH_MGMT", 21),
    (take("root", "root"), "INVALID_AUTH_MGMT", 21),
    (take("root", "x"), "ROLE_NOT_GRANTED", 21),
    (delete_role("root"), "INVALID_AUTH_MGMT", 21),
    (give("u", "root"), "", 22),
    (take("u", "root"), "", 23),
    (m.AuthDisableRequest(), "", 24),
    (m.AuthDisableRequest(), "", 24),
    (take("root", "root"), "", 25),
    (delete_user("root"), "", 26),
]


def test_every_change_is_refused_or_counted_as_by_etcd(machine: StateMachine) -> None:
    for step, (request, refusal, revision) in enumerate(STORY):
        result = do(machine, request, "root" if machine.auth.enabled else "")
        assert (refused(result), machine.auth.revision) == (refusal, revision), (step, request)
        assert machine.auth.status().authRevision == revision


def test_what_is_refused_changes_nothing(machine: StateMachine) -> None:
    for request, refusal, _ in STORY:
        before = machine.digest()
        do(machine, request, "root" if machine.auth.enabled else "")
        if refusal:
            assert machine.digest() == before, request


def test_an_answer_has_the_revision_of_the_keys(machine: StateMachine) -> None:
    do(machine, m.PutRequest(key=b"k"))
    assert do(machine, add_role("r")).header == m.ResponseHeader(revision=2)


def grants_of(machine: StateMachine, role: str) -> list[tuple[int, bytes, bytes]]:
    return [(one.permType, one.key, one.range_end) for one in machine.auth.role_get(role).perm]


def test_grants_stand_in_etcds_order_and_only_the_first_of_a_key_is_replaced(machine: StateMachine) -> None:
    do(machine, add_role("r"))
    kl, km = (b"k", b"l"), (b"k", b"m")
    steps: list[tuple[tuple[int, bytes, bytes], list[tuple[int, bytes, bytes]]]] = [
        ((READ, *kl), [(READ, *kl)]),
        ((READ, *km), [(READ, *kl), (READ, *km)]),
        ((WRITE, *km), [(READ, *kl), (READ, *km), (WRITE, *km)]),
        ((WRITE, *kl), [(WRITE, *kl), (READ, *km), (WRITE, *km)]),
        ((READ, b"k", b""), [(WRITE, *kl), (READ, *km), (WRITE, *km), (READ, b"k", b"")]),
        ((READ, b"a", b"b"), [(READ, b"a", b"b"), (WRITE, *kl), (READ, *km), (WRITE, *km), (READ, b"k", b"")]),
    ]
    for (kind, key, range_end), expected in steps:
        do(machine, grant("r", kind, key, range_end))
        assert grants_of(machine, "r") == expected
    do(machine, revoke("r", *km))
    assert grants_of(machine, "r") == [(READ, b"a", b"b"), (WRITE, *kl), (READ, b"k", b"")]


def test_lists_and_roles_are_sorted(machine: StateMachine) -> None:
    for name in ("b", "é", "a"):
        do(machine, user(name))
        do(machine, add_role(name))
    for role in ("b", "root", "a"):
        do(machine, give("é", role))
    assert machine.auth.user_list().users == ["a", "b", "é"]
    assert machine.auth.role_list().roles == ["a", "b", "é"]
    assert machine.auth.user_get("é").roles == ["a", "b", "root"]
    do(machine, delete_role("b"))
    assert machine.auth.user_get("é").roles == ["a", "root"]


def test_what_is_not_there_cannot_be_read(machine: StateMachine) -> None:
    with pytest.raises(ApiError, match="user name not found"):
        machine.auth.user_get("u")
    with pytest.raises(ApiError, match="role name not found"):
        machine.auth.role_get("root")


def test_the_root_role_shows_what_it_was_granted_not_what_it_may(machine: StateMachine) -> None:
    do(machine, add_role("root"))
    assert grants_of(machine, "root") == []
    do(machine, grant("root", READWRITE, b"x"))
    assert grants_of(machine, "root") == [(READWRITE, b"x", b"")]


def test_a_password_is_asked_for_in_etcds_order(machine: StateMachine) -> None:
    auth = machine.auth
    with pytest.raises(ApiError, match="authentication is not enabled"):
        auth.password_hash("nobody")
    enable(machine, u=[])
    do(machine, user("np", no_password=True), "root")
    do(machine, password("u", ""), "root")
    with pytest.raises(ApiError, match="invalid user ID or password"):
        auth.password_hash("nobody")
    with pytest.raises(ApiError, match="password was given for no password user"):
        auth.password_hash("np")
    assert auth.password_hash("u") == b""
    assert auth.password_hash("root") == b"$2a$04$"


def test_a_password_in_the_clear_is_not_looked_at(machine: StateMachine) -> None:
    enable(machine, u=[])
    do(machine, m.AuthUserChangePasswordRequest(name="u", password="secret"), "root")
    assert machine.auth.password_hash("u") == b""
