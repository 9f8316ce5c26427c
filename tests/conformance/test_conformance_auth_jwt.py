"""Signed tokens (`--auth-token jwt,...`): the same ones are shown to both servers, which have the same secret."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest

from tests.conformance.cases import Call, Case, Open, Take, case, delete, get, put, txn, watch
from tests.conformance.test_conformance_auth import ALICE, ROOT, alice, auth, grant, login, root

pytestmark = pytest.mark.conformance
SECRET = b"known to both servers, and to whoever reads this: at least as long as a hash"
KEY = Path(tempfile.mkdtemp(prefix="trioetcd-jwt-")) / "key"
KEY.write_bytes(SECRET)
SERVER_FLAGS = ("--bcrypt-cost=4", f"--auth-token=jwt,sign-method=HS256,priv-key={KEY},ttl=1h")
FAR = 4_000_000_000
REVISION = 7
"""Of the auth store, once SETUP is done."""

SETUP = case(
    "users and a role; then auth is on",
    put("foo", "bar"),
    put("secret", "s"),
    auth("user/add", name="root", password="rpw"),
    auth("user/grant", user="root", role="root"),
    auth("user/add", name="alice", password="apw"),
    auth("role/add", name="r1"),
    grant("r1", "READWRITE", "foo"),
    auth("user/grant", user="alice", role="r1"),
    auth("enable"),
)


def signed(method: str = "HS256", secret: bytes | None = SECRET, **claims: Any) -> dict[str, str]:
    return {"Authorization": jwt.PyJWS().encode(orjson.dumps(claims), secret, method)}


def made(name: str = "alice", revision: float = REVISION, **claims: Any) -> dict[str, str]:
    return signed(username=name, revision=revision, exp=FAR, **claims)


TOKENS: tuple[tuple[str, dict[str, str]], ...] = (
    ("as it should be", made()),
    ("root's", made("root")),
    ("a user's that is not there", made("none")),
    ("with more claims", made(aud="x", sub=5, more=[1])),
    ("not yet", made(nbf=FAR)),
    ("made later", made(iat=FAR)),
    ("long over", signed(username="alice", revision=REVISION, exp=1_000_000_000)),
    ("of another secret", signed(secret=b"x" * 64, username="alice", revision=REVISION, exp=FAR)),
    ("of another method", signed("HS512", username="alice", revision=REVISION, exp=FAR)),
    ("not signed", signed("none", None, username="alice", revision=REVISION, exp=FAR)),
    ("no token", {"Authorization": "a.b.c"}),
)
CALLS = (get("foo"), get("secret"), get("foo", serializable=True), put("foo"), put("secret"), delete("secret"), txn(), auth("user/list"), auth("user/get", name="alice"))  # fmt: skip


def with_headers(call: Call, headers: dict[str, str]) -> Call:
    return Call(call.path, call.body, headers=headers)


CASES = (
    case("log in", login("alice", "apw"), login("alice", "no"), login("none", "x"), ALICE, *alice(*CALLS), ROOT, *root(*CALLS)),
    *(case(name, *(with_headers(call, headers) for call in CALLS)) for name, headers in TOKENS),
    case("administration at an earlier revision", *(with_headers(call, made(revision=1)) for call in CALLS[-2:])),
    case("a signed token whose revision is old", *(with_headers(call, made(revision=1)) for call in CALLS)),
    case("a watch", Open((watch("foo"),), headers=made()), Take()),
    case("a watch of one who is not there", Open((watch("foo"),), headers=made("none")), Take()),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_signed_tokens(check: Callable[[Case], None], case: Case) -> None:
    check(case)


def test_a_change_ends_what_a_signed_token_may_do_with_keys(check: Callable[[Case], None]) -> None:
    """Last: it moves the auth store's revision."""
    changed = (
        *root(auth("role/add", name="more"), auth("user/list"), auth("status")),
        *alice(auth("user/get", name="alice")),
    )
    check(case("a change", ALICE, ROOT, *changed, ALICE, *alice(get("foo"))))
