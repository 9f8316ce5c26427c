"""Auth: users, roles and permissions while it is on, and what every call asks of nobody, a user, and root.

Each case logs in by itself: tokens are each server's own.
"""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance.cases import (
    Call,
    Case,
    Open,
    Send,
    Step,
    Take,
    b64,
    case,
    compact,
    compare,
    delete,
    get,
    op_delete,
    op_get,
    op_put,
    put,
    txn,
    watch,
)

pytestmark = pytest.mark.conformance
SERVER_FLAGS = ("--bcrypt-cost=4",)

PERMISSIONS = (("READWRITE", "foo", ""), ("READ", "k", "l"), ("WRITE", "w", "x"), ("WRITE", "w5", "\0"), ("READWRITE", "a", "c"), ("READWRITE", "c", "e"))  # fmt: skip
SIZES = ("dbSize", "dbSizeInUse", "raftIndex", "raftAppliedIndex", "raftTerm", "leader", "version")


def auth(path: str, **fields: object) -> Call:
    return Call(f"/v3/auth/{path}", fields)


def grant(role: str, kind: object, key: str, end: str = "") -> Call:
    return auth("role/grant", name=role, perm={"permType": kind, "key": b64(key), "range_end": b64(end)})


def revoke(role: str, key: str, end: str = "") -> Call:
    return auth("role/revoke", role=role, key=b64(key), range_end=b64(end))


def login(name: str, password: str, save: str = "") -> Call:
    return replace(
        auth("authenticate", name=name, password=password), hide=("token",), save={save: "token"} if save else {}
    )


ROOT = login("root", "rpw", "ROOT")
ALICE = login("alice", "apw", "ALICE")


def by(name: str, *steps: Any) -> tuple[Step, ...]:
    """The steps with a token in their headers."""
    return tuple(replace(step, headers={"Authorization": f"${name}"}) for step in steps)


def root(*steps: Any) -> tuple[Step, ...]:
    return by("ROOT", *steps)


def alice(*steps: Any) -> tuple[Step, ...]:
    return by("ALICE", *steps)


def bogus(*steps: Any) -> tuple[Step, ...]:
    return tuple(replace(step, headers={"Authorization": "bogus.1"}) for step in steps)


def lease(path: str, **fields: object) -> Call:
    return Call(f"/v3/lease/{path}", fields)


def watching(*messages: Any) -> Open:
    return Open(messages)


SETUP = case(
    "users, roles, keys, leases; then auth is on",
    *(put(key, "v") for key in ("foo", "k1", "k2", "secret", "w1", "a", "b", "c")),
    lease("grant", TTL=3600, ID=99),
    put("leased", lease=99),
    auth("user/add", name="root", password="rpw"),
    auth("user/grant", user="root", role="root"),
    auth("user/add", name="alice", password="apw"),
    auth("user/add", name="cert", options={"no_password": True}),
    auth("user/add", name="empty"),
    auth("role/add", name="r1"),
    auth("role/add", name="r2"),
    *(grant("r1", kind, key, end) for kind, key, end in PERMISSIONS),
    auth("user/grant", user="alice", role="r1"),
    auth("enable"),
)

KEYS: tuple[Call, ...] = (
    get("foo"), get("foo", serializable=True), get("foo", "foo\0"), get("secret"), get("nothing"), get("k1"), get("k", "l"), get("k", "l", count_only=True),
    get("k", "k5"), get("k5", "l"), get("j", "l"), get("k", "m"), get("k", "\0"), get("\0", "\0"), get("a", "e"), get("a", "c"), get("b", "d"), get("a", "f"), get("l", "k"), get("k", "k"), get("w", "x"), get("foo", "\0"),
    put("foo"), put("foo", prev_kv=True), put("k1"), put("w1"), put("w1", prev_kv=True), put("w9"), put("zzz"), put("x"), put("secret"), put("foo", ignore_value=True, value=""), put("", "v"), put("b", lease=12345),
    delete("foo"), put("foo"), delete("foo", prev_kv=True), put("foo"), delete("k1"), delete("w1"), delete("w1", prev_kv=True), delete("w", "x"), delete("w5", "\0"), delete("w", "\0"), delete("a", "e", prev_kv=True), delete("a", "f"), delete("\0", "\0"), put("a"), put("b"),
    txn(), txn(success=(op_get("foo"),)), txn(success=(op_put("foo"),)), txn(success=(op_put("secret"),)), txn(failure=(op_put("secret"),)), txn(success=(op_get("secret"),)), txn(failure=(op_get("secret"),)), txn(success=(op_delete("secret"),)), txn(failure=(op_delete("a", "z"),)),
    txn(compare("VERSION", "GREATER", "foo", version=0), success=(op_put("foo"),)), txn(compare("VERSION", "GREATER", "secret", version=0)), txn(compare("VERSION", "GREATER", "secret", version=0), success=(op_put("foo"),)), txn(compare("VERSION", "GREATER", "w1", version=0)), txn(compare("VERSION", "GREATER", "k", "l", version=0)), txn(compare("VERSION", "GREATER", "j", "l", version=0)),
    txn(success=(op_put("foo"), op_put("foo"))), txn(success=(op_put("foo"), op_get("k", "l"), op_delete("b"))), txn(success=(op_delete("w1", prev_kv=True),)), txn(success=(op_delete("foo", prev_kv=True), op_put("b", prev_kv=True))), put("foo"),
)  # fmt: skip
NESTED: tuple[Call, ...] = (
    txn(success=({"request_txn": {"success": [op_put("foo")]}},)), txn(success=({"request_txn": {"compare": [compare("VERSION", "GREATER", "foo", version=0)], "success": [op_get("foo")]}},)),
)  # fmt: skip

RULES_OF_KEYS = (
    *(case(f"nobody, keys {number}", call) for number, call in enumerate(KEYS)),
    *(case(f"a bad token, keys {number}", *bogus(call)) for number, call in enumerate(KEYS)),
    case("alice, keys", ALICE, *alice(*KEYS, *NESTED)),
    case("root, keys", ROOT, *root(*KEYS, *NESTED)),
    case("a user without a password to speak of", login("empty", "", "EMPTY"), *by("EMPTY", *KEYS)),
    case(
        "at a past revision",
        ALICE,
        *alice(
            get("k1", revision=2), get("secret", revision=2), get("secret", revision=99999), get("k1", revision=99999)
        ),
    ),
)

MEMBER_ADD = Call("/v3/cluster/member/add", {"peerURLs": ["http://127.0.0.1:31095"]})
SNAPSHOT = Call("/v3/maintenance/snapshot", {})
ADMINISTRATION: tuple[Call, ...] = (
    MEMBER_ADD, Call("/v3/cluster/member/remove", {"ID": 5}), Call("/v3/cluster/member/update", {"ID": 5, "peerURLs": ["http://127.0.0.1:31095"]}), Call("/v3/cluster/member/promote", {"ID": 5}),
    Call("/v3/maintenance/defragment", {}), Call("/v3/maintenance/hash", {}),
    auth("status"), auth("enable"), auth("user/add", name="bob", password="x"), auth("user/add"), auth("user/get", name="alice"), auth("user/get", name="root"), auth("user/get", name="none"), auth("user/get"), auth("user/list"), auth("user/delete", name="bob"), auth("user/delete", name="none"), auth("user/changepw", name="alice", password="x"), auth("user/changepw", name="none", password="x"),
    auth("user/grant", user="alice", role="r2"), auth("user/grant", user="alice", role="none"), auth("user/grant", user="none", role="r2"), auth("user/revoke", name="alice", role="r1"), auth("user/revoke", name="none", role="r1"),
    auth("role/add", name="r3"), auth("role/add"), auth("role/get", role="r1"), auth("role/get", role="r2"), auth("role/get", role="root"), auth("role/get", role="none"), auth("role/get"), auth("role/list"), auth("role/delete", role="r3"), auth("role/delete", role="none"), grant("r2", "READ", "z"), grant("none", "READ", "z"), auth("role/grant", name="r2"), revoke("r2", "z"), revoke("none", "z"), auth("disable"),
)  # fmt: skip

RULES_OF_ADMINISTRATION = (
    *(case(f"nobody, {call.path} {number}", call) for number, call in enumerate(ADMINISTRATION)),
    *(case(f"a bad token, {call.path} {number}", *bogus(call)) for number, call in enumerate(ADMINISTRATION)),
    *(case(f"alice, {call.path} {number}", ALICE, *alice(call)) for number, call in enumerate(ADMINISTRATION)),
    *(case(f"a member with bad URLs, of {who}", *before, *who_asks(*(Call("/v3/cluster/member/add", body) for body in ({}, {"peerURLs": ["bad"]})))) for who, before, who_asks in (("nobody", (), lambda *steps: steps), ("a bad token", (), bogus), ("alice", (ALICE,), alice), ("root", (ROOT,), root))),
    case("snapshot of nobody's", SNAPSHOT),
    case("snapshot of alice's", ALICE, *alice(SNAPSHOT)),
    case("snapshot with a bad token", *bogus(SNAPSHOT)),
    case("root looks", ROOT, *root(auth("status"), auth("user/get", name="alice"), auth("user/get", name="none"), auth("user/list"), auth("role/get", role="r1"), auth("role/get", role="none"), auth("role/list"), auth("role/get", role="root"), Call("/v3/maintenance/alarm", {}), Call("/v3/cluster/member/list", {}, hide=("ID",)), Call("/v3/maintenance/status", {}, hide=SIZES))),
    case("root may not end itself", ROOT, *root(auth("user/delete", name="root"), auth("user/revoke", name="root", role="root"), auth("role/delete", role="root"), auth("enable"), auth("status"))),
    case("health", Call("/health", None, "GET"), Call("/version", None, "GET", hide=("etcdserver",))),
)  # fmt: skip

TOKENS = (
    *(case(f"log in as {name!r}", login(name, password)) for name, password in (("root", "rpw"), ("root", "no"), ("root", ""), ("none", "x"), ("", ""), ("cert", ""), ("cert", "x"), ("empty", ""), ("empty", "x"))),
    case("log in with a token of no use", *bogus(login("root", "rpw"))),
    case("a token in other fields", ALICE, *(replace(get("foo"), headers=headers) for headers in ({"authorization": "$ALICE"}, {"Grpc-Metadata-Token": "$ALICE"}, {"Grpc-Metadata-Authorization": "$ALICE"}, {"Grpc-Metadata-Token": "$ALICE", "Authorization": "bogus.1"}, {"Grpc-Metadata-Token": "bogus.1", "Authorization": "$ALICE"}, {"Authorization": ""}, {"Grpc-Metadata-Token": ""}, {"Grpc-Metadata-Token": "", "Authorization": "$ALICE"}, {"Authorization": "$ALICE "}, {"Authorization": "$ALICEx"}, {"Authorization": "basic $ALICE"}))),
    *(case(f"a token that is none: {token!r}", replace(get("foo"), headers={"Authorization": token})) for token in ("bogus", "a.b", "a.1.2", "x.-1", ".1", "1.", "a.0", "a." + "9" * 30)),
    case("tokens outlive changes that are not theirs", ALICE, ROOT, *root(auth("role/add", name="tmp"), auth("role/delete", role="tmp")), *alice(get("foo")), *root(get("foo"))),
    case("a new password ends tokens", ROOT, *root(auth("user/add", name="carol", password="one")), login("carol", "one", "CAROL"), *by("CAROL", get("foo"), auth("user/get", name="carol")), *root(auth("user/changepw", name="carol", password="two")), *by("CAROL", get("foo"), auth("user/get", name="carol")), login("carol", "one"), login("carol", "two", "CAROL"), *by("CAROL", auth("user/get", name="carol")), *root(auth("user/delete", name="carol")), *by("CAROL", get("foo"))),
    case("a user that is there again", ROOT, *root(auth("user/add", name="dave", password="one")), login("dave", "one", "DAVE"), *root(auth("user/delete", name="dave"), auth("user/add", name="dave", password="one")), *by("DAVE", get("foo")), login("dave", "one", "DAVE"), *by("DAVE", get("foo")), *root(auth("user/delete", name="dave"))),
    case("roles come and go", ROOT, *root(auth("user/add", name="erin", password="e")), login("erin", "e", "ERIN"), *by("ERIN", get("foo")), *root(auth("user/grant", user="erin", role="r1")), *by("ERIN", get("foo"), put("foo"), get("z")), *root(auth("role/add", name="rz"), grant("rz", "READ", "z"), auth("user/grant", user="erin", role="rz")), *by("ERIN", get("z"), put("z")), *root(grant("rz", "WRITE", "z")), *by("ERIN", get("z"), put("z")), *root(grant("rz", 2, "z")), *by("ERIN", get("z"), put("z")), *root(revoke("rz", "z")), *by("ERIN", get("z")), *root(grant("rz", "READ", "z", "zz"), auth("role/delete", role="rz"), auth("user/get", name="erin")), *by("ERIN", get("z")), *root(auth("user/revoke", name="erin", role="r1")), *by("ERIN", get("foo")), *root(auth("user/grant", user="erin", role="root")), *by("ERIN", get("z"), put("z"), auth("user/list"), auth("user/delete", name="erin"), get("z"))),
    case("passwords", ROOT, *root(auth("user/add", name="p1", password="x" * 73)), login("p1", "x" * 73), login("p1", "x" * 72), login("p1", "x" * 71), login("p1", "x" * 100), *root(auth("user/changepw", name="p1", password="a\0b")), login("p1", "a\0b"), login("p1", "a\0c"), login("p1", "a"), *root(auth("user/changepw", name="p1", password="päß€")), login("p1", "päß€"), *root(auth("user/changepw", name="p1")), login("p1", ""), login("p1", "päß€"), *root(auth("user/changepw", name="p1", hashedPassword="YWJj")), login("p1", ""), login("p1", "abc"), *root(auth("user/add", name="p2", hashedPassword="YWJj")), login("p2", ""), *root(auth("user/add", name="p3", password="x", options={"no_password": True})), login("p3", "x"), *root(auth("user/changepw", name="p3", password="y")), login("p3", "y"), *root(auth("user/delete", name="p1"), auth("user/delete", name="p2"), auth("user/delete", name="p3"))),
)  # fmt: skip

WATCHES = (
    case("a watch of nobody's", watching(watch("foo")), Take()),
    case("watches of alice's", ALICE, *alice(watching(watch("foo", watch_id=4), watch("secret"), watch("k", "l", watch_id=7), watch("j", "l", watch_id=9), watch("a", "e", watch_id=12), watch("w5", "\0", watch_id=13), watch("foo"))), Take(7)),
    *(case(f"alice watches {key!r} to {end!r}", ALICE, *alice(watching(watch(key, end))), Take()) for key, end in (("foo", None), ("secret", None), ("k", "l"), ("k", "k5"), ("k", "m"), ("j", "l"), ("k5", "k"), ("k", "k"), ("", None), ("", "\0"), ("\0", "\0"), ("w", "x"), ("w5", "\0"), ("fop", "foo"), ("foo", "foo\0"), ("foo", "foo\0\0"))),
    case("a refused watch leaves the others", ALICE, ROOT, *alice(watching(watch("foo", watch_id=5))), Take(), Send(watch("secret", watch_id=6)), Take(), *root(put("secret"), put("foo")), Take(), Send({"cancel_request": {"watch_id": 5}}), Take()),
    case("a watch goes on when its right ends", ALICE, ROOT, *alice(watching(watch("k1"))), Take(), *root(auth("user/revoke", name="alice", role="r1"), put("k1")), Take(), Send(watch("k1", watch_id=3)), Take(), *root(auth("user/grant", user="alice", role="r1"))),
    case("root watches", ROOT, *root(watching(watch("\0", "\0"), watch("secret"))), Take(2)),
)  # fmt: skip

LEASES = (
    case("leases of alice's", ALICE, *alice(lease("grant", TTL=1000, ID=500), put("foo", lease=500), lease("timetolive", ID=500, keys=True), lease("timetolive", ID=7), lease("revoke", ID=500), lease("revoke", ID=500), lease("grant", TTL=1000, ID=99)), Call("/v3/lease/keepalive", {"ID": 501}, headers={"Authorization": "$ALICE"})),
    case("leases of root's", ROOT, *root(lease("grant", TTL=1000, ID=600), put("secret2", lease=600), lease("timetolive", ID=600, keys=True), lease("leases"), lease("revoke", ID=600))),
    case("a lease that holds what is not alice's", ALICE, ROOT, *root(put("leased", lease=99)), *alice(lease("revoke", ID=99), put("foo", lease=99)), *root(get("leased"))),
)  # fmt: skip

CONCURRENCY = tuple(
    case(f"{who}, {path} {number}", *before, *who_asks(Call(path, body)))
    for who, before, who_asks in (("nobody", (), lambda *steps: steps), ("a bad token", (), bogus), ("alice", (ALICE,), alice))
    for number, (path, body) in enumerate(
        (
            ("/v3/lock/lock", {"name": b64("l"), "lease": 99}),
            ("/v3/lock/unlock", {"key": b64("l/63")}),
            ("/v3/election/campaign", {"name": b64("e"), "lease": 99, "value": b64("v")}),
            ("/v3/election/leader", {"name": b64("e")}),
            ("/v3/election/proclaim", {"leader": {"name": b64("e"), "key": b64("e/63"), "rev": 1, "lease": 99}, "value": b64("v")}),
            ("/v3/election/observe", {"name": b64("e")}),
            ("/v3/election/resign", {"leader": {"name": b64("e"), "key": b64("e/63"), "rev": 1, "lease": 99}}),
        )
    )
)  # fmt: skip

# What etcd 3.5.1 lets everybody do, or says otherwise, and later releases of 3.5 do not: each case is in ON_PURPOSE.
CLOSED = (
    *(case(f"closed to nobody: {call.path}", call) for call in (
        compact(2), lease("grant", TTL=1000, ID=700), lease("timetolive", ID=99, keys=True), lease("timetolive", ID=99), lease("leases"), lease("keepalive", ID=99), lease("revoke", ID=701), Call("/v3/cluster/member/list", {}, hide=("ID",)), Call("/v3/maintenance/status", {}, hide=SIZES), Call("/v3/maintenance/alarm", {}),
        Call("/v3/maintenance/transfer-leadership", {"targetID": 5}), Call("/v3/maintenance/downgrade", {"action": "VALIDATE", "version": "3.4.0"}),
    )),
    *(case(f"closed to alice: {call.path}", ALICE, ROOT, *root(put("leased", lease=99)), *alice(call)) for call in (
        lease("timetolive", ID=99, keys=True), lease("leases"), lease("keepalive", ID=99), compact(1), Call("/v3/maintenance/alarm", {"action": "DEACTIVATE", "alarm": "NOSPACE"}), Call("/v3/maintenance/transfer-leadership", {"targetID": 5}), Call("/v3/maintenance/downgrade", {"action": "VALIDATE", "version": "3.4.0"}),
    )),
    case("a transaction in a transaction", txn(success=({"request_txn": {"success": [op_get("secret")]}},))),
    case("alice's transaction in a transaction", ALICE, *alice(txn(success=({"request_txn": {"failure": [op_get("secret")]}},)))),
    case("Bearer", ALICE, replace(get("foo"), headers={"Authorization": "Bearer $ALICE"})),
    case("a watch with a bad token", *bogus(watching(watch("foo"))), Take()),
    case("a watch from a key on, of which the key alone may be read", ALICE, *alice(watching(watch("foo", "\0"))), Take()),
    case("a refused watch beside one of its ID", ALICE, *alice(watching(watch("foo"), watch("secret"))), Take(2)),
    case("previous value of a put in a transaction", ALICE, *alice(txn(success=(op_put("w1", prev_kv=True),)))),
    case("a lease for a put in a transaction", ALICE, *alice(txn(success=(op_put("foo", lease=99),)))),
    case("nobody's question about roles while the space is full", ROOT, *root(Call("/v3/maintenance/alarm", {"action": "ACTIVATE", "alarm": "NOSPACE"})), auth("role/list")),
)  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [*RULES_OF_KEYS, *RULES_OF_ADMINISTRATION, *TOKENS, *WATCHES, *LEASES, *CONCURRENCY],
    ids=lambda case: case.name,
)
def test_auth(check: Callable[[Case], None], case: Case) -> None:
    check(case)


def test_off_and_on(check: Callable[[Case], None]) -> None:
    """All tokens end when auth is turned off."""
    off = (ALICE, ROOT, *root(auth("disable")), auth("status"), get("secret"), auth("disable"), put("foo"))
    on = (auth("enable"), *alice(get("foo")), ALICE, *alice(get("foo")), ROOT, *root(auth("status")))
    check(case("off and on", *off, *on))


@pytest.mark.parametrize("case", CLOSED, ids=lambda case: case.name)
def test_what_is_closed_in_later_releases(check: Callable[[Case], None], case: Case) -> None:
    """Last: what etcd 3.5.1 lets through, it does."""
    check(case)
