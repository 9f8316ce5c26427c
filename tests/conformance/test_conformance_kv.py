"""Put, range, delete, and compaction: every option and every refusal."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.cases import (
    Call,
    Case,
    b64,
    case,
    compact,
    delete,
    get,
    op_put,
    put,
    put_body,
    txn,
)

pytestmark = pytest.mark.conformance

SETUP = case(
    "revisions 2 to 16: a key with history, five keys below k, one that was deleted and made anew",
    put("foo", "one"),  # 2
    put("foo", "two"),  # 3
    put("foo", "three"),  # 4
    put("k0", "v9"),
    put("k1", "v1"),
    put("k2", "v7"),
    put("k3", "v6"),
    put("k4", "v5"),
    put("k1", "v1b"),  # 10
    put("gone", "first"),  # 11
    delete("gone"),  # 12
    put("gone", "second"),  # 13
    delete("gone"),  # 14
    put("empty", ""),  # 15
    put(b"\x00bin\xff", b"\x00\x01\xfe\xff"),  # 16
    Call("/v3/lease/grant", {"TTL": 3600, "ID": 4242}),
)

PUT = (
    case("a new key", put("p1", "bar")),
    case("prev_kv of an existing key", put("p1", "bar2", prev_kv=True)),
    case("prevKv in camel case", Call("/v3/kv/put", {"key": b64("p1"), "value": b64("x"), "prevKv": True})),
    case("prev_kv of a new key", put("p2", "1", prev_kv=True)),
    case("prev_kv of a deleted key", put("gone2", "1"), delete("gone2"), put("gone2", "2", prev_kv=True)),
    case("ignore_value", Call("/v3/kv/put", {"key": b64("foo"), "ignore_value": True}), get("foo")),
    case("ignore_value with prev_kv", Call("/v3/kv/put", {"key": b64("foo"), "ignore_value": True, "prev_kv": True})),
    case("ignore_value and a value", put("foo", "x", ignore_value=True)),
    case("ignore_value of a missing key", Call("/v3/kv/put", {"key": b64("nokey"), "ignore_value": True})),
    case("ignore_value of a deleted key", Call("/v3/kv/put", {"key": b64("gone"), "ignore_value": True})),
    case("ignore_lease", put("foo", "x", ignore_lease=True), get("foo")),
    case("ignore_lease and a lease", put("foo", "x", lease="5", ignore_lease=True)),
    case("ignore_lease of a missing key", put("nokey", "x", ignore_lease=True)),
    case(
        "ignore_value and ignore_lease",
        Call("/v3/kv/put", {"key": b64("foo"), "ignore_value": True, "ignore_lease": True}),
    ),
    case("ignore_value, ignore_lease, both given", put("foo", "x", lease=5, ignore_value=True, ignore_lease=True)),
    case("with a lease", put("leased", "x", lease=4242), get("leased")),
    case("ignore_lease keeps the lease", put("leased", "y", ignore_lease=True), get("leased")),
    case("without a lease drops the lease", put("leased", "z"), get("leased")),
    case("lease as a string", put("leased", "x", lease="4242"), get("leased"), put("leased", "x")),
    case("an unknown lease", put("foo", "x", lease="12345"), get("foo")),
    case("a negative unknown lease", put("foo", "x", lease=-7)),
    case("no key", Call("/v3/kv/put", {"value": b64("x")})),
    case("an empty key", put("", "x")),
    case("no key, ignore_value and a value", put("", "x", ignore_value=True)),
    case("no value", Call("/v3/kv/put", {"key": b64("ev")}), get("ev")),
    case("an empty message", Call("/v3/kv/put", {})),
    case("bytes that are not text", put(b"\xff\x00\xfe", b"\x80" * 40), get(b"\xff\x00\xfe")),
    case("a long key", put("long" * 500, "x"), get("long" * 500, keys_only=True)),
    case("a value of 100 kB", put("big", "x" * 100_000), get("big"), put("big", "")),
    case("just below the largest request", put("big", b"x" * 1_572_800), put("big", "")),
    case("the largest request", put("big", b"x" * 1_572_837), put("big", "")),
    case("a byte more than the largest request", put("big", b"x" * 1_572_839), put("big", "")),
    case("a request that is too large", put("big", b"x" * 1_600_000), get("big")),
    case("a request beyond the gateway", put("big", b"x" * 3_145_728), get("big")),
)

RANGE = (
    case("one key", get("foo")),
    case("a missing key", get("nokey")),
    case("a deleted key", get("gone")),
    case("no key", Call("/v3/kv/range", {})),
    case("no key but a range_end", Call("/v3/kv/range", {"range_end": b64("z")})),
    case("a prefix", get("k", "l")),
    case("rangeEnd in camel case", Call("/v3/kv/range", {"key": b64("k"), "rangeEnd": b64("l"), "limit": 1})),
    case("from a key on", get("k3", b"\0", keys_only=True)),
    case("all keys", get(b"\0", b"\0", keysOnly=True)),
    case("an inverted range", get("z", "a")),
    case("an empty interval", get("k1", "k1")),
    case("binary", get(b"\0bin\xff")),
    *(case(f"limit {limit}", get("k", "l", limit=limit, keys_only=True)) for limit in (0, 1, "2", 4, 5, 6, -1, 2**62)),
    case("count_only", get("k", "l", count_only=True)),
    case("count_only of nothing", get("q", "r", count_only=True)),
    case("count_only with a limit", get("k", "l", count_only=True, limit=2)),
    case("count_only with keys_only", get("k", "l", count_only=True, keys_only=True)),
    case("count_only at a revision", get("k", "l", count_only=True, revision=6)),
    case("count_only with a filter", get("k", "l", count_only=True, min_mod_revision=8)),
    case("keys_only", get("foo", keys_only=True)),
    case("serializable", get("foo", serializable=True)),
    case("serializable at a revision", get("foo", serializable=True, revision=3)),
    *(
        case(f"sorted by {target}, {order}", get("k", "l", sort_target=target, sort_order=order))
        for target in ("KEY", "VERSION", "CREATE", "MOD", "VALUE")
        for order in ("NONE", "ASCEND", "DESCEND")
    ),
    *(
        case(f"sorted by {target} with a limit", get("k", "l", sort_target=target, sort_order="DESCEND", limit=2))
        for target in ("KEY", "VERSION", "CREATE", "MOD", "VALUE")
    ),
    case("sorted by value, keys only", get("k", "l", sort_target="VALUE", sort_order="ASCEND", keys_only=True)),
    case("sort given in numbers", get("k", "l", sort_order=2, sort_target=3, keys_only=True, limit=1)),
    case("sort given in digits as text", get("k", "l", sort_order="2")),
    case("sort order in lower case", get("k", "l", sort_order="descend")),
    case("sort target in lower case", get("k", "l", sort_target="key")),
    case("an unknown sort order", get("k", "l", sort_order=7, keys_only=True, limit=1)),
    case("an unknown sort order and a target", get("k", "l", sort_order=7, sort_target="MOD", keys_only=True)),
    *(case(f"foo at revision {revision}", get("foo", revision=revision)) for revision in (1, 2, 3, 4, "5", 16, -5)),
    *(case(f"gone at revision {revision}", get("gone", revision=revision)) for revision in (10, 11, 12, 13, 14)),
    case("a prefix at a past revision", get("k", "l", revision=7)),
    case("a future revision", get("foo", revision=2000)),
    case("the next revision", get("foo"), get("foo", revision="$REV+1")),
    case("a future revision, serializable", get("foo", revision=2000, serializable=True)),
    case("min_mod_revision", get("k", "l", min_mod_revision=9, keys_only=True)),
    case("max_mod_revision", get("k", "l", max_mod_revision=8, keys_only=True)),
    case("min_create_revision", get("k", "l", min_create_revision=8, keys_only=True)),
    case("max_create_revision", get("k", "l", max_create_revision=6, keys_only=True, limit=1)),
    case("all four filters", get("k", "l", min_mod_revision=6, max_mod_revision=9, min_create_revision=6,
                                 max_create_revision=8, keys_only=True)),
    case("filters that exclude all", get("k", "l", min_mod_revision=9, max_mod_revision=2)),
    case("negative filters", get("k", "l", min_mod_revision=-1, max_mod_revision=-1, keys_only=True)),
    case("a filter with a limit", get("k", "l", min_mod_revision=7, limit=1, keys_only=True)),
    case("a filter, a sort, a limit", get("k", "l", min_mod_revision=6, limit=2, sort_target="MOD", sort_order="DESCEND")),
    case("a filter of one key", get("foo", min_mod_revision=100)),
)  # fmt: skip

DELETE = (
    case("one key", put("d1"), delete("d1"), get("d1")),
    case("a missing key", delete("nokey")),
    case("a key deleted before", delete("gone")),
    case("prev_kv", put("d1", "a"), put("d1", "b"), delete("d1", prev_kv=True)),
    case("prev_kv of a missing key", delete("nokey", prev_kv=True)),
    case("a range with prev_kv", put("d1", "a"), put("d2", "b"), put("d3", "c"), delete("d", "e", prev_kv=True)),
    case("a range", put("d1", "a"), put("d2", "b"), delete("d", "e"), get("d", "e")),
    case("an inverted range", delete("z", "a")),
    case("no key", Call("/v3/kv/deleterange", {})),
    case("no key but a range_end", Call("/v3/kv/deleterange", {"range_end": b64("z")})),
    case("prevKv and rangeEnd in camel case", put("d1"), Call("/v3/kv/deleterange", {"key": b64("d"), "rangeEnd": b64("e"), "prevKv": True})),
    case("from a key on", put("zz1"), put("zz2"), delete("zz1", b"\0"), get("zz", b"\0")),
    case("a leased key", put("d1", lease=4242), delete("d1"), put("d1", "x"), get("d1")),
    case("a new generation", put("d1"), delete("d1"), put("d1", "again"), put("d1", "more"), get("d1"), delete("d1")),
    case("a key written anew, in the past", put("d9", "a"), delete("d9"), put("d9", "b"), get("d9", revision="$REV-2"), get("d9", revision="$REV-1")),
)  # fmt: skip

COMPACTION = (
    case("compaction", put("foo", "before"), compact("$REV-2")),
    case("the same revision again", get("foo"), compact("$REV-2")),
    case("a lower one", compact("2")),
    case("a future one", compact("1024")),
    case("the next one", get("foo"), compact("$REV+1")),
    case("zero", Call("/v3/kv/compaction", {})),
    case("a negative one", compact("-1")),
    case("a read below", get("foo", revision=2)),
    case("a read below, of a missing key", get("nokey", revision=2)),
    case("a read below, counted", get("foo", "fop", revision=2, count_only=True)),
    case("a read just below", get("foo"), get("foo", revision="$REV-3")),
    case("a read at it", get("foo"), get("foo", revision="$REV-2")),
    case("reads of all above", get(b"\0", b"\0", revision="$REV-1")),
    case("a transaction that reads below", txn(success=({"request_range": {"key": b64("foo"), "revision": 2}},))),
    case("physical", put("foo", "x"), compact("$REV-1", physical=True)),
    case("at the present revision", put("foo", "y"), compact("$REV"), get("foo"), get("foo", revision="$REV"), put("foo", "z")),
    case("at a tombstone", put("t1"), delete("t1"), compact("$REV"), get("t1"), get("t1", revision="$REV")),
    case("a deleted key made anew", put("t2"), delete("t2"), put("t2", "new"), compact("$REV"), get("t2"), delete("t2", prev_kv=True)),
    case("twice in a row", put("t3"), put("t3"), put("t3"), compact("$REV-1"), compact("$REV"), get("t3", revision="$REV")),
    case("revision as text that is none", compact("abc")),
    case("what is left", get(b"\0", b"\0", keys_only=True)),
)  # fmt: skip


@pytest.mark.parametrize("case", PUT, ids=lambda case: case.name)
def test_put(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", RANGE, ids=lambda case: case.name)
def test_range(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", DELETE, ids=lambda case: case.name)
def test_delete(check: Callable[[Case], None], case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", COMPACTION, ids=lambda case: case.name)
def test_compaction(check: Callable[[Case], None], case: Case) -> None:
    check(case)


def test_many_keys_in_one_answer(check: Callable[[Case], None]) -> None:
    """An answer of some 50 kB, with a limit and without."""
    fill = [put(f"many{number:04d}", "x" * 100, prev_kv=True) for number in range(200)]
    check(
        case(
            "200 keys", *fill, get("many", "mano"), get("many", "mano", limit=150), delete("many", "mano", prev_kv=True)
        )
    )


@pytest.mark.parametrize("count", [8, 14, 45])
def test_equals_in_a_sort(check: Callable[[Case], None], count: int) -> None:
    """Go's sort is not stable: which of the equals comes first is decided by its algorithm, and by how many there are."""
    fill = [txn(success=tuple(op_put(f"s{number:02d}", "abc"[number % 3]) for number in range(count)))]
    again = [put(f"s{number:02d}", "b") for number in range(0, count, 4)]
    asked = [
        get("s", "t", sort_target=target, sort_order=order, limit=limit, keys_only=True)
        for target in ("VERSION", "CREATE", "MOD", "VALUE")
        for order in ("NONE", "ASCEND", "DESCEND")
        for limit in (0, 5)
    ]
    check(case(f"{count} keys", *fill, *again, *asked, delete("s", "t")))


def test_put_body_is_what_is_sent() -> None:
    assert put_body("a", "b", lease=1) == {"key": "YQ==", "value": "Yg==", "lease": 1}
