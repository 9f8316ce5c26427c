"""Watches over HTTP and over WebSocket: what is sent, in which order, and in which chunk."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.cases import (
    Call,
    Case,
    Finish,
    Open,
    Quiet,
    Raw,
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
from tests.conformance.wire import BodyStream, WebSocketStream, encode_request

pytestmark = pytest.mark.conformance

SERVER_FLAGS = ("--experimental-watch-progress-notify-interval=300ms",)

SETUP = case(
    "revisions 2 to 11: history of h1 and h2, with a transaction and deletes; 2 is compacted",
    put("h1", "a"),  # 2
    put("h1", "b"),  # 3
    put("h2", "c"),  # 4
    delete("h1"),  # 5
    put("h1", "d"),  # 6
    txn(success=(op_put("h1", "e"), op_put("h2", "f"), op_put("h3", "g"))),  # 7
    delete("h", "i"),  # 8
    put("h1", "h"),  # 9
    put("other", "x"),  # 10
    put("h1", "i"),  # 11
    compact(3),
    Call("/v3/lease/grant", {"TTL": 3600, "ID": 11}),
)

CREATED, EVENT = Take(), Take()


def stop(number: int = 0) -> dict[str, object]:
    """A WatchRequest that cancels a watch."""
    return {"cancel_request": {"watch_id": number}}


PROGRESS: dict[str, object] = {"progress_request": {}}
CHANGES = (put("w1", "a"), EVENT, put("w1", "b"), EVENT, delete("w1"), EVENT)

LIVE = (
    case("create and events", Open((watch("w1"),)), CREATED, *CHANGES, Quiet()),
    case("in camel case, prev_kv", Open(({"createRequest": {"key": b64("w1"), "prevKv": True}},)), CREATED, *CHANGES),
    case("prev_kv", Open((watch("w1", prev_kv=True),)), CREATED, *CHANGES),
    case("filter NOPUT", Open((watch("w1", filters=["NOPUT"]),)), CREATED, put("w1"), put("w1"), delete("w1"), EVENT, Quiet()),
    case("filter NODELETE in numbers", Open((watch("w1", filters=[1]),)), CREATED, put("w1"), EVENT, delete("w1"), put("w1"), EVENT, Quiet()),
    case("both filters", Open((watch("w1", filters=["NOPUT", "NODELETE"]),)), CREATED, put("w1"), delete("w1"), Quiet()),
    case("the same filter twice", Open((watch("w1", filters=[0, "NOPUT"]),)), CREATED, put("w1"), delete("w1"), EVENT),
    case("an unknown filter", Open((watch("w1", filters=[7]),)), CREATED, put("w1"), EVENT),
    case("an unknown filter name", Open((watch("w1", filters=["X"]),)), Take()),
    case("a filter that is no list", Open((watch("w1", filters="NOPUT"),)), Take()),
    case("a prefix", Open((watch("w", "x"),)), CREATED, put("w1"), EVENT, put("x"), put("w2"), EVENT, delete("w", "x"), EVENT, Quiet()),
    case("from a key on", Open((watch("w2", b"\0"),)), CREATED, put("w1"), put("w2"), EVENT, put("z"), EVENT),
    case("all keys", Open((watch(b"\0", b"\0"),)), CREATED, put(b"\0"), EVENT, put("a"), EVENT),
    case("empty key, all keys", Open(({"create_request": {"range_end": "AA=="}},)), CREATED, put("a"), EVENT),
    case("empty key", Open(({"create_request": {}},)), CREATED, put("a"), put(b"\0"), EVENT, Quiet()),
    case("empty key with a range_end", Open(({"create_request": {"range_end": b64("b")}},)), CREATED, put("a"), EVENT, put("b"), Quiet()),
    case("an inverted range", Open((watch("z", "a"),)), Take(), Quiet()),
    case("an empty interval", Open((watch("a", "a"),)), Take(), Quiet()),
    case("a transaction's events in one message", Open((watch("w", "x"),)), CREATED, txn(success=(op_put("w1"), op_put("w2"), op_put("v"), op_put("w3"))), EVENT, Quiet()),
    case("a transaction that writes and deletes", put("w9"), Open((watch("w", "x", prev_kv=True),)), CREATED, txn(success=(op_put("w1", "n"), op_delete("w9"), op_get("w1"), op_put("w2", "m"))), EVENT),
    case("a transaction that deletes and rewrites", put("w9", "0"), Open((watch("w9", prev_kv=True),)), CREATED, txn(compare("VERSION", "GREATER", "w9", version=0), success=(op_delete("w9"),), failure=()), EVENT, txn(success=({"request_txn": {"success": [op_put("w9", "1")]}},)), EVENT),
    case("two watches of one key", Open((watch("w1"), watch("w1"))), Take(2), Quiet()),
    case("many watches on a stream", Open(tuple(watch(f"w{number}") for number in range(6))), Take(6), *(step for number in (3, 1, 5) for step in (put(f"w{number}"), EVENT))),
    case("created later on the same stream", Open((watch("w1"),)), CREATED, put("w1"), EVENT, Send(watch("w2")), Take(), put("w2"), EVENT),
    case("two streams", Open((watch("w1"),)), CREATED, Open((watch("w1"),), stream="two"), Take(stream="two"), put("w1"), EVENT, Take(stream="two")),
    case("a lease's end", put("wl", lease=11), Open((watch("wl", prev_kv=True),)), CREATED, Call("/v3/lease/revoke", {"ID": 11}), EVENT, Call("/v3/lease/grant", {"TTL": 3600, "ID": 11})),
    case("a leased put", Open((watch("wl"),)), CREATED, put("wl", lease=11), EVENT),
    case("empty values, a put without a change", put("w1", ""), Open((watch("w1", prev_kv=True),)), CREATED, put("w1", ""), EVENT),
    case("events of a large value", Open((watch("w1"),)), CREATED, put("w1", "x" * 300_000), EVENT, put("w1", "")),
)  # fmt: skip

IDS = (
    case("an own id", Open((watch("w1", watch_id=7),)), CREATED, put("w1"), EVENT),
    case("an own id as text", Open((watch("w1", watch_id="7"),)), CREATED),
    case("a negative id", Open((watch("w1", watch_id=-7),)), CREATED, put("w1"), EVENT),
    case("an id given twice", Open((watch("w1", watch_id=7), watch("w1", watch_id=7))), Take(2), put("w1"), EVENT, Quiet()),
    case("id -1", Open((watch("w1", watch_id=-1),)), CREATED, put("w1"), EVENT),
    case("own, then given", Open((watch("w1", watch_id=1), watch("w2"), watch("w3"))), Take(3)),
    case("own zero is given", Open((watch("w1", watch_id=0), watch("w2", watch_id=0))), Take(2)),
    case("given, then its id asked for", Open((watch("w1"), watch("w2", watch_id=0), watch("w3", watch_id=1), watch("w4"))), Take(4)),
    case("an id after its cancel", Open((watch("w1", watch_id=5),)), CREATED, Send(stop(5)), Take(), Send(watch("w1", watch_id=5)), Take(), put("w1"), EVENT),
    case("the largest id", Open((watch("w1", watch_id=2**63 - 1),)), CREATED),
)  # fmt: skip

CANCEL = (
    case("cancel", Open((watch("w1"),)), CREATED, Send(stop()), Take(), put("w1"), Quiet()),
    case("cancel twice", Open((watch("w1"),)), CREATED, Send(stop()), Take(), Send(stop()), Quiet()),
    case("cancel of an unknown watch", Open((watch("w1"),)), CREATED, Send(stop(55)), Quiet(), put("w1"), EVENT),
    case("cancel of one of two", Open((watch("w1"), watch("w1"))), Take(2), Send(stop(1)), Take(), put("w1"), EVENT, Quiet()),
    case("cancel in camel case", Open((watch("w1", watch_id=3),)), CREATED, Send({"cancelRequest": {"watchId": "3"}}), Take()),
    case("create and cancel in one piece", Open((b'{"create_request":{"key":"dzE="}}{"cancel_request":{"watch_id":"0"}}',)), Take(2)),
    case("cancel alone", Open((stop(),)), Quiet()),
    case("cancel with nothing in it", Open((watch("w1"),)), CREATED, Send({"cancel_request": {}}), Take()),
    case("a cancelled and a living watch", Open((watch("w1"),)), CREATED, Send(stop()), Take(), Send(watch("w1")), Take(), put("w1"), EVENT),
)  # fmt: skip

HISTORY = (
    case("from a past revision", Open((watch("h1", start_revision=4),)), Take(2), Quiet(), put("h1", "now"), EVENT),
    case("from the compacted revision", Open((watch("h", "i", start_revision=3),)), Take(2)),
    case("as text", Open((watch("h", "i", start_revision="5"),)), Take(2)),
    case("with prev_kv", Open((watch("h", "i", start_revision=4, prev_kv=True),)), Take(2)),
    case("prev_kv at the compacted revision", Open((watch("h", "i", start_revision=3, prev_kv=True),)), Take(2)),
    case("with filters", Open((watch("h", "i", start_revision=4, filters=["NODELETE"]),)), Take(2)),
    case("only deletes", Open((watch("h", "i", start_revision=4, filters=["NOPUT"]),)), Take(2)),
    case("of a key without history", Open((watch("nokey", start_revision=4),)), CREATED, Quiet(), put("h1"), Quiet()),
    case("at the last revision", put("w1"), Open((watch("w1", start_revision="$REV"),)), Take(2)),
    case("at the next revision", get("w1"), Open((watch("w1", start_revision="$REV+1"),)), CREATED, Quiet(), put("w1"), EVENT),
    case("in the future", get("w1"), Open((watch("w1", start_revision="$REV+3"),)), CREATED, put("w1", "1"), put("w1", "2"), Quiet(), put("w1", "3"), EVENT, put("w1", "4"), EVENT),
    case("in the far future", Open((watch("w1", start_revision=10**9),)), CREATED, put("w1"), Quiet()),
    case("compacted", Open((watch("h1", start_revision=1),)), Take(2), Quiet()),
    case("compacted, own id", Open((watch("h1", start_revision=2, watch_id=9),)), Take(2)),
    case("compacted, then another on the stream", Open((watch("h1", start_revision=1),)), Take(2), Send(watch("w1")), Take(), put("w1"), EVENT),
    case("compacted, then its cancel", Open((watch("h1", start_revision=1),)), Take(2), Send(stop()), Quiet()),
    case("compacted, its id again", Open((watch("h1", start_revision=1),)), Take(2), Send(watch("w1", watch_id=0)), Take()),
    case("compacted, own id again", Open((watch("h1", start_revision=1, watch_id=4),)), Take(2), Send(watch("w1", watch_id=4)), Take(), Send(watch("w1")), Take()),
    case("two from the past", Open((watch("h1", start_revision=6),)), Take(2), Send(watch("h2", start_revision=4)), Take(2)),
    case("zero is now", Open((watch("h1", start_revision=0),)), CREATED, Quiet(), put("h1"), EVENT),
)  # fmt: skip

PROGRESS_CASES = (
    case("request", Open((watch("w1"),)), CREATED, Send(PROGRESS), Take()),
    case("request alone", Open((PROGRESS,)), Take()),
    case("request in camel case", Open(({"progressRequest": {}},)), Take()),
    case("request after events", Open((watch("w1"),)), CREATED, put("w1"), EVENT, Send(PROGRESS), Take(), put("other"), Send(PROGRESS), Take()),
    case("two requests", Open((watch("w1"),)), CREATED, Send(PROGRESS), Take(), Send(PROGRESS), Take()),
    case("request with a future watch", get("w1"), Open((watch("w1", start_revision="$REV+5"),)), CREATED, Send(PROGRESS), Quiet()),
    case("request after a cancel", Open((watch("w1"),)), CREATED, Send(stop()), Take(), Send(PROGRESS), Take()),
    case("notify", Open((watch("nothing", progress_notify=True),)), CREATED, Take(), put("other"), Take(hide=("revision",)), Take()),
    case("notify of two", Open((watch("nothing", progress_notify=True, watch_id=4), watch("nothing"))), Take(2), Take()),
)  # fmt: skip

BAD = (
    case("an empty object", Open(({},)), Quiet()),
    case("an empty body", Open(), Finish(), Quiet()),
    case("null", Open((b"null",)), Quiet()),
    case("white space", Open((b" \n ",)), Finish(), Quiet()),
    case("bad JSON", Open((b"{bad",)), Take(2)),
    case("JSON that ends early", Open((b'{"create_request":',)), Finish(), Take(2)),
    case("an array", Open((b"[]",)), Take(2)),
    case("text instead of a message", Open((b'"x"',)), Quiet()),
    case("a number", Open((b"1",)), Quiet()),
    case("a bad key", Open(({"create_request": {"key": "!"}},)), Take(2)),
    case("a bad revision", Open(({"create_request": {"key": b64("a"), "start_revision": "x"}},)), Take(2)),
    case("create as text", Open(({"create_request": "x"},)), Take(2)),
    case("create is null", Open((b'{"create_request":null}',)), Quiet()),
    case("an unknown field", Open(({"create_request": {"key": b64("w1"), "nosuch": 1}, "nosuch": 2},)), CREATED),
    case("an unknown request", Open(({"nosuch_request": {}},)), Quiet()),
    case("two requests in one", Open(({"create_request": {"key": b64("w1")}, "progress_request": {}},)), Take()),
    case("a bad second message", Open((watch("w1"),)), CREATED, Send(b"{bad"), Quiet(), put("w1"), EVENT),
    case("a good third after a bad second", Open((watch("w1"),)), CREATED, Send(b"{bad}"), Send(watch("w2")), Quiet()),
    case("messages without anything between", Open((b'{"create_request":{"key":"dzE="}}{"create_request":{"key":"dzI="}}',)), Take(2)),
    case("messages apart by new lines", Open((b'{"create_request":{"key":"dzE="}}\n\n{"create_request":{"key":"dzI="}}\n',)), Take(2)),
    case("a message in three pieces", Open((b'{"create_req', b'uest":{"key":"dz', b'E="}}')), CREATED, put("w1"), EVENT),
    case("the end of the requests does not end it", Open((watch("w1"),)), CREATED, Finish(), put("w1"), EVENT),
)  # fmt: skip

ONE_BODY = (
    case("with a length, HTTP only", Raw(encode_request("POST", "/v3/watch", b"[]"))),
    case("bad JSON with a length", Raw(encode_request("POST", "/v3/watch", b"{bad"))),
    case("watch over v3beta", Open((watch("w1"),), path="/v3beta/watch"), CREATED, put("w1"), EVENT),
    case("hasleader", Open((watch("w1"),), headers={"Grpc-Metadata-hasleader": "true"}), CREATED, put("w1"), EVENT),
)

FRAGMENTS: tuple[Step, ...] = (
    *(put(f"frag{number}", "x" * 700_000) for number in range(4)),
    Open((watch("frag", "frah", start_revision="$REV-3"),)),
    Take(2),
    Open((watch("frag", "frah", start_revision="$REV-3", fragment=True),), stream="fragments"),
    Take(3, stream="fragments"),
    Open((watch("frag", "frah", fragment=True, watch_id=3),), stream="live"),
    Take(stream="live"),
    put("frag0", "small"),
    Take(stream="live"),
    delete("frag", "frah"),
    Take(stream="live"),
    Quiet("fragments"),
)

EVERYWHERE = (*LIVE, *IDS, *CANCEL, *HISTORY, *PROGRESS_CASES)


@pytest.mark.parametrize("case", [*EVERYWHERE, *BAD, *ONE_BODY], ids=lambda case: case.name)
def test_watch(check: Callable[[Case], None], case: Case) -> None:
    check(case)


# A request that is complete with its length, as curl and the client libraries send it.
IN_ONE_BODY = [case for case in EVERYWHERE if not any(isinstance(step, Send | Finish) for step in case.steps)][::2]


@pytest.mark.parametrize("case", IN_ONE_BODY, ids=lambda case: case.name)
def test_watch_in_one_body(check: Callable[..., None], case: Case) -> None:
    check(case, transport=BodyStream)


# A WebSocket has no half close, and what breaks a stream closes it with words of the proxy's own.
OVER_WEBSOCKET = [
    *LIVE[:6],
    *LIVE[9:13],
    LIVE[18],
    *IDS,
    *CANCEL,
    *HISTORY,
    *PROGRESS_CASES,
    *(case for case in BAD if case.name in {"an empty object", "null", "an unknown field", "two requests in one", "a bad second message", "bad JSON", "an array"}),
]  # fmt: skip


@pytest.mark.parametrize("case", OVER_WEBSOCKET, ids=lambda case: case.name)
def test_watch_over_websocket(check: Callable[..., None], case: Case) -> None:
    check(case, transport=WebSocketStream)


def test_compaction_while_watching(check: Callable[[Case], None]) -> None:
    steps = (Open((watch("w1"),)), CREATED, put("w1"), EVENT, compact("$REV"), put("w1"), EVENT)
    past = (Open((watch("w1", start_revision="$REV-1"),), stream="past"), Take(2, stream="past"))
    check(case("compaction while watching", *steps, *past))


def test_fragments(check: Callable[[Case], None]) -> None:
    check(case("four values of 700 kB", *FRAGMENTS))
