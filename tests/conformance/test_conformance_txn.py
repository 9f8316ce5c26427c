"""Transactions: every compare, every operation, nesting, and what is refused."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.cases import (
    Call,
    Case,
    b64,
    case,
    compare,
    delete,
    get,
    op_delete,
    op_get,
    op_put,
    put,
    txn,
    txn_body,
)

pytestmark = pytest.mark.conformance

SETUP = case(
    "t1 with two versions, tl with a lease, w1 to w3",
    put("t1", "w"),  # 2
    put("t1", "x"),  # 3
    Call("/v3/lease/grant", {"TTL": 3600, "ID": 77}),
    put("tl", "leased", lease=77),  # 4
    put("w1", "a"),
    put("w2", "b"),
    put("w3", "a"),
)

# The field of the union, and a value that is equal for t1, one below, one above.
TARGETS: dict[str, tuple[str, Any, Any, Any]] = {
    "VERSION": ("version", "2", "1", "3"),
    "CREATE": ("create_revision", "2", "1", "3"),
    "MOD": ("mod_revision", "3", "2", "4"),
    "VALUE": ("value", "x", "w", "y"),
    "LEASE": ("lease", "0", "-1", "5"),
}
RESULTS = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL")
ABSENT: tuple[tuple[str, dict[str, Any]], ...] = tuple(
    (f"{target} {result} {'zero' if zero else 'one'}", compare(target, result, "nokey", None, **{field: value}))
    for target, (field, *_) in TARGETS.items()
    for result in RESULTS
    for zero in (True, False)
    for value in [{True: "", False: "z"}[zero] if target == "VALUE" else int(not zero)]
)

SEEN: dict[str, Any] = {"success": (op_get("t1", keys_only=True),), "failure": (op_get("w1", keys_only=True),)}


def nested(*body: Any, **branches: Any) -> dict[str, Any]:
    """An operation that is a transaction."""
    return {"request_txn": txn_body(body, **branches)}


def nest(depth: int, innermost: dict[str, Any]) -> dict[str, Any]:
    """An operation inside so many transactions."""
    return innermost if depth == 0 else nested(success=(nest(depth - 1, innermost),))


def gets(count: int, prefix: str = "x") -> tuple[dict[str, Any], ...]:
    return tuple(op_get(f"{prefix}{number}", count_only=True) for number in range(count))


COMPARE = (
    *(
        case(f"{target} {result} {which}", txn(compare(target, result, "t1", **{TARGETS[target][0]: TARGETS[target][position]}), **SEEN))
        for target in TARGETS
        for result in RESULTS
        for position, which in ((1, "equal"), (2, "lower"), (3, "higher"))
    ),
    *(case(f"missing key, {name}", txn(absent)) for name, absent in ABSENT),
    *(
        case(f"range w, {target} {result}", txn(compare(target, result, "w", "x", **{TARGETS[target][0]: "a" if target == "VALUE" else 1})))
        for target in TARGETS
        for result in RESULTS
    ),
    *(
        case(f"empty range, {target} {result}", txn(compare(target, result, "zzz", "zzzz", **{TARGETS[target][0]: "a" if target == "VALUE" else 0})))
        for target in TARGETS
        for result in RESULTS
    ),
    case("range from a key on", txn(compare("VERSION", "GREATER", "t1", "\0", version=0))),
    case("all keys", txn(compare("VERSION", "LESS", "\0", "\0", version=9))),
    case("inverted range", txn(compare("VERSION", "EQUAL", "z", "a", version=0))),
    case("lease of a leased key", txn(compare("LEASE", "EQUAL", "tl", lease=77))),
    case("lease as a string", txn(compare("LEASE", "EQUAL", "tl", lease="77"))),
    case("in camel case", Call("/v3/kv/txn", {"compare": [{"result": "EQUAL", "target": "CREATE", "key": b64("t1"), "createRevision": "2"}], "success": [{"requestRange": {"key": b64("t1"), "keysOnly": True}}]})),
    case("target in lower case", Call("/v3/kv/txn", {"compare": [{"target": "version", "key": b64("t1"), "version": "1"}]})),
    case("result in lower case", Call("/v3/kv/txn", {"compare": [{"result": "equal", "key": b64("t1"), "version": "1"}]})),
    case("target and field differ", txn({"target": "VERSION", "key": b64("t1"), "value": b64("x")})),
    case("target and field differ, missing key", txn({"target": "MOD", "key": b64("nokey"), "version": 3})),
    case("value target, no value field", txn({"target": "VALUE", "key": b64("t1"), "version": 2})),
    case("no union", txn({"target": "VERSION", "key": b64("t1")})),
    case("no union, missing key", txn({"key": b64("nokey")})),
    case("two fields of the union", txn({"target": "VERSION", "key": b64("t1"), "version": 2, "value": b64("x")})),
    case("unknown result", txn({"target": "VERSION", "result": 9, "key": b64("t1"), "version": "1"})),
    case("unknown result, missing value", txn({"target": "VALUE", "result": 9, "key": b64("nokey"), "value": b64("z")})),
    case("unknown target", txn({"target": 9, "result": "EQUAL", "key": b64("t1"), "version": "1"})),
    case("unknown target, GREATER", txn({"target": 9, "result": "GREATER", "key": b64("t1"), "version": "1"})),
    case("no key", txn({"target": "VERSION", "version": "1"})),
    case("an empty compare", txn({})),
    case("a null compare", Call("/v3/kv/txn", b'{"compare":[null]}')),
    case("two compares, both true", txn(compare("VERSION", "EQUAL", "t1", version=2), compare("VALUE", "EQUAL", "w1", value="a"), **SEEN)),
    case("two compares, one false", txn(compare("VERSION", "EQUAL", "t1", version=2), compare("VALUE", "EQUAL", "w1", value="b"), **SEEN)),
    case("numbers as text and as numbers", txn({"target": 0, "result": 0, "key": b64("t1"), "version": 2})),
    case("an unknown field within", Call("/v3/kv/txn", {"compare": [{"key": b64("t1"), "nosuch": 1}]})),
)  # fmt: skip

OPERATIONS = (
    case("empty", Call("/v3/kv/txn", {})),
    case("null branches", Call("/v3/kv/txn", b'{"compare":null,"success":null,"failure":null}')),
    case("put, range, delete, nested", txn(success=(op_put("t2", "a", prev_kv=True), op_get("t2"), op_delete("t1", prev_kv=True), nested({"target": "VERSION", "key": b64("t3"), "version": "0"}, success=(op_put("t3", "n"),))))),
    case("read only", txn(success=(op_get("t2"),))),
    case("an empty branch", txn(compare("VERSION", "EQUAL", "t2", version=99), success=(op_put("t2", "z"),))),
    case("the failure branch", txn(compare("VERSION", "EQUAL", "t2", version=99), failure=(op_put("t2", "z", prev_kv=True), op_get("t2")))),
    case("the same key twice", txn(success=(op_put("d", "1"), op_put("d", "2"))), get("d")),
    case("the same key twice in the branch not taken", txn(failure=(op_put("d", "1"), op_put("d", "2")))),
    case("put and a delete that overlaps", txn(success=(op_put("d", "1"), op_delete("a", "z")))),
    case("a delete that overlaps, then put", txn(success=(op_delete("a", "z"), op_put("d", "1")))),
    case("delete and put of one key", txn(success=(op_delete("d"), op_put("d", "1")))),
    case("put below the range deleted", txn(success=(op_delete("x", "z"), op_put("d5", "1")))),
    case("put at the end of the range deleted", txn(success=(op_delete("d6", "d7"), op_put("d7", "1")))),
    case("put above a delete from a key on", txn(success=(op_delete("y", "\0"), op_put("z5", "1")))),
    case("two deletes of one key", txn(success=(op_delete("zz1"), op_delete("zz1")))),
    case("two deletes, the key exists", put("zz1"), txn(success=(op_delete("zz1", prev_kv=True), op_delete("zz1", prev_kv=True)))),
    case("put and nested put of one key", txn(success=(op_put("d", "1"), nested(success=(op_put("d", "2"),))))),
    case("nested puts in both branches", txn(success=(nested(success=(op_put("d", "1"),), failure=(op_put("d", "2"),)),))),
    case("put and nested delete", txn(success=(op_put("d", "1"), nested(success=(op_delete("a", "z"),))))),
    case("nested delete, then put", txn(success=(nested(failure=(op_delete("a", "z"),)), op_put("d", "1")))),
    case("two nested put one key", txn(success=(nested(success=(op_put("d", "1"),)), nested(success=(op_put("d", "2"),))))),
    case("a put in success and in failure", txn(success=(op_put("d", "1"),), failure=(op_put("d", "2"),))),
    case("an empty operation", txn(success=({},))),
    case("an empty operation in the branch not taken", txn(failure=({},))),
    case("a put, then an empty operation", put("eo", "0"), txn(success=(op_put("eo", "1"), {})), get("eo")),
    case("a put without a key", txn(success=({"request_put": {"value": b64("1")}},))),
    case("a range without a key", txn(success=({"request_range": {}},))),
    case("a delete without a key", txn(success=({"request_delete_range": {}},))),
    case("a nested put without a key", txn(success=(nested(success=({"request_put": {}},)),))),
    case("a nested compare without a key", txn(success=(nested({"target": "VERSION"}),))),
    case("a put with an unknown lease", put("q", "0"), txn(success=(op_put("q", "1", lease=5),)), get("q")),
    case("an unknown lease in the branch not taken", txn(failure=(op_put("q", "1", lease=5),))),
    case("a good put, then an unknown lease", txn(success=(op_put("q1", "1"), op_put("q2", "1", lease=5))), get("q1")),
    case("a put with a lease", txn(success=(op_put("q", "1", lease=77), op_get("q")))),
    case("ignore_lease", txn(success=(op_put("q", "2", ignore_lease=True, prev_kv=True),)), get("q")),
    case("ignore_value", txn(success=({"request_put": {"key": b64("q"), "ignore_value": True, "prev_kv": True}},)), get("q")),
    case("ignore_value of a missing key", txn(success=({"request_put": {"key": b64("qqq"), "ignore_value": True}},))),
    case("ignore_value with a value", txn(success=(op_put("q", "1", ignore_value=True),))),
    case("ignore_lease with a lease", txn(success=(op_put("q", "1", ignore_lease=True, lease=77),))),
    case("ignore_value of a key put before it", txn(success=(op_delete("q"), nested(success=()),)), txn(success=({"request_put": {"key": b64("q"), "ignore_value": True}},))),
    case("a future revision", txn(success=(op_get("t2", revision=99999),))),
    case("a future revision after a put", txn(success=(op_put("fr", "1"), op_get("t2", revision=99999))), get("fr")),
    case("a past revision", txn(success=(op_get("t1", revision=2), op_get("t1", revision=3)))),
    case("a past revision after a put", txn(success=(op_put("t1", "now"), op_get("t1", revision=2), op_get("t1", revision="$REV")))),
    case("a negative revision", txn(success=(op_get("t1", revision=-1),))),
    case("a nested future revision", txn(success=(nested(success=(op_get("t2", revision=99999),)),))),
    case("put, then read and delete it", txn(success=(op_put("tt", "1", prev_kv=True), op_get("tt"))), txn(success=(op_get("tt"), op_delete("tt", prev_kv=True), op_get("tt")))),
    case("a range sorted and limited", txn(success=(op_get("w", "x", sort_target="VALUE", sort_order="DESCEND", limit=2),))),
    case("count and keys", txn(success=(op_get("w", "x", count_only=True), op_get("w", "x", keys_only=True)))),
    case("a delete of nothing does not count", txn(success=(op_delete("nokey"),)), get("t1", keys_only=True)),
    case("a delete of something counts", put("dd"), txn(success=(op_delete("dd"), op_put("de", "1"))), get("de")),
    case("two members of the operation", txn(success=({"request_range": {"key": b64("t2")}, "request_put": {"key": b64("t9"), "value": b64("1")}},))),
    case("two members, the other order", Call("/v3/kv/txn", {"success": [{"request_put": {"key": b64("t9"), "value": b64("1")}, "request_range": {"key": b64("t2")}}]})),
    case("a member that is null", Call("/v3/kv/txn", b'{"success":[{"request_put":null}]}')),
    case("operations of wrong types", Call("/v3/kv/txn", b'{"success":{"request_put":{}}}')),
    case("an operation that is a list", Call("/v3/kv/txn", b'{"success":[[]]}')),
    case("128 operations", txn(success=gets(128))),
    case("129 operations", txn(success=gets(129))),
    case("129 in the branch not taken", txn(failure=gets(129))),
    case("128 compares", txn(*(compare("VERSION", "EQUAL", f"x{number}", version=0) for number in range(128)))),
    case("129 compares", txn(*(compare("VERSION", "EQUAL", f"x{number}", version=0) for number in range(129)))),
    case("nested, 127 within", txn(success=(nested(success=gets(127)),))),
    case("nested, 128 within", txn(success=(nested(success=gets(128)),))),
    case("two nested, 100 each", txn(success=(nested(success=gets(100)), nested(success=gets(100))))),
    case("nested ten deep", txn(success=(nest(10, op_put("deep", "1")),)), get("deep")),
    case("nested with a compare on what was written", txn(success=(op_put("nw", "1"), nested(compare("VALUE", "EQUAL", "nw", value="1"), success=(op_put("nx", "yes"),), failure=(op_put("nx", "no"),)))), get("nx")),
    case("nested, the failure branch", txn(success=(nested(compare("VERSION", "EQUAL", "t1", version=99), failure=(op_get("t1", keys_only=True),)),))),
    case("all or nothing", txn(success=(op_put("aa", "1"), op_put("ab", "1", ignore_value=True))), get("aa")),
    case("headers within", txn(success=(op_put("h1"), op_get("h1"), op_delete("h1"), nested(success=(op_get("h1"),))))),
    case("too large", txn(success=(op_put("l1", "x" * 800_000), op_put("l2", "x" * 800_000)))),
    case("what is left", get("\0", "\0", keys_only=True), delete("\0", "\0")),
)  # fmt: skip


@pytest.mark.parametrize("case", COMPARE, ids=lambda case: case.name)
def test_compare(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", OPERATIONS, ids=lambda case: case.name)
def test_operations(check: Callable[[Case], None], case: Case) -> None:
    check(case)
