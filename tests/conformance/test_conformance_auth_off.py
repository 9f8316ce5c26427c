"""Auth before it is on: users and roles are made, and nobody is asked who they are; then it is turned on."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.conformance.cases import Call, Case, b64, case, delete, get, put, txn
from tests.conformance.test_conformance_auth import auth, grant, revoke

pytestmark = pytest.mark.conformance
SERVER_FLAGS = ("--bcrypt-cost=4",)
SETUP = case("a key", put("foo", "bar"))

PERMISSION = {"permType": "READWRITE", "key": b64("foo")}
AUTH = (
    case("status", auth("status")),
    case("enable without root", auth("enable")),
    case("authenticate while disabled", auth("authenticate", name="root", password="x")),
    case("disable while disabled", auth("disable")),
    case("a token while auth is off", replace(get("foo"), headers={"Authorization": "bogus.1"})),
    case("users", auth("user/add", password="x"), auth("user/add", name="nopw"), auth("user/add", name="cert", options={"no_password": True}), auth("user/add", name="root", password="rpw"), auth("user/add", name="root", password="rpw"), auth("user/add", name="alice", password="apw"), auth("user/list"), auth("user/get", name="alice"), auth("user/get", name="nobody"), auth("user/changepw", name="alice", password="apw2"), auth("user/changepw", name="nobody", password="x"), auth("user/delete", name="nopw"), auth("user/delete", name="nopw")),
    case("enable before root has its role", auth("enable")),
    case("roles", auth("role/add", name="r1"), auth("role/add", name="r1"), auth("role/add"), auth("role/add", name="root"), auth("role/grant", name="r1", perm=PERMISSION), auth("role/grant", name="r1", perm={"permType": 0, "key": b64("k"), "range_end": b64("l")}), auth("role/grant", name="r1"), auth("role/grant", name="nope", perm=PERMISSION), auth("role/get", role="r1"), auth("role/get", role="nope"), auth("role/list"), auth("role/revoke", role="r1", key=b64("nope"))),
    case("odd permissions", auth("role/add", name="odd"), *(grant("odd", kind, key, end) for kind, key, end in (("READ", "", ""), ("READ", "", "\0"), ("READ", "z", "a"), ("READ", "b", "b"), ("WRITE", "b", "\0"), ("READWRITE", "b", "\0"), ("READ", "b", "c"), ("READ", "b", ""), ("WRITE", "b", "c"), ("WRITE", "a", ""), ("READ", "a", ""), (3, "x", ""), (-1, "y", ""))), auth("role/get", role="odd"), revoke("odd", "b", "c"), revoke("odd", "b", "c"), revoke("odd", "b"), revoke("odd", "b", "\0"), revoke("odd", "none"), revoke("odd", ""), auth("role/get", role="odd"), auth("role/grant", name="odd", perm={}), auth("role/get", role="odd"), auth("role/grant", name="odd", perm={"permType": "NONE", "key": b64("q")}), auth("role/delete", role="odd"), auth("role/delete", role="odd"), auth("role/get", role="odd")),
    case("odd names", *(auth("user/add", name=name, password="x") for name in ("é", "a b", "0", "root ", "\0", "x" * 300)), auth("user/list"), *(auth("user/delete", name=name) for name in ("é", "a b", "0", "root ", "\0", "x" * 300)), *(auth("role/add", name=name) for name in ("é", "0", "\0")), auth("role/list"), *(auth("role/delete", role=name) for name in ("é", "0", "\0"))),
    case("no fields at all", *(auth(path) for path in ("user/get", "user/delete", "user/changepw", "user/grant", "user/revoke", "role/get", "role/delete", "role/grant", "role/revoke"))),
    case("wrong fields", *(Call(f"/v3/auth/{path}", body) for path, body in (("user/add", b'{"name": 5}'), ("user/add", b"{"), ("user/add", b'{"name": "n", "options": 5}'), ("role/grant", b'{"name": "r1", "perm": {"permType": "read"}}'), ("role/grant", b'{"name": "r1", "perm": {"key": "?"}}'), ("authenticate", b"[]"), ("authenticate", None)))),
    case("the root role as another", auth("role/delete", role="root"), auth("user/grant", user="alice", role="root"), auth("role/add", name="root"), grant("root", "READ", "x"), auth("role/get", role="root"), auth("role/delete", role="root"), auth("role/get", role="root"), auth("user/get", name="root")),
    case("grants", auth("user/grant", user="alice", role="nope"), auth("user/grant", user="nobody", role="root"), auth("user/grant", user="root", role="root"), auth("user/grant", user="alice", role="r1"), auth("user/get", name="alice"), auth("user/revoke", name="alice", role="nope")),
    case("enabled", auth("enable"), auth("status"), get("foo"), put("foo"), delete("foo"), txn(), auth("user/list"), auth("authenticate", name="root", password="no"), auth("authenticate", name="nobody", password="no"), Call("/v3/auth/authenticate", {"name": "alice", "password": "apw2"}, hide=("token",), save={"TOKEN": "token"}), Call("/health", None, "GET")),
)  # fmt: skip


@pytest.mark.parametrize("case", AUTH, ids=lambda case: case.name)
def test_before_auth(check: Callable[[Case], None], case: Case) -> None:
    check(case)
