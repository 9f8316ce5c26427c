"""Where trioetcd answers otherwise on purpose, each with its reason. Nothing else may differ.

`ON_PURPOSE` names cases of the tables that come out otherwise; each is run, and has to differ still. `DELIBERATE` is
what etcd 3.5.1 cannot be asked, with the answer that trioetcd is held to.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.cases import Call, b64, get, op_delete, put, txn


@dataclass(frozen=True)
class Deliberate:
    """What is asked, what trioetcd answers last (status, and what its body contains), and why not as etcd 3.5.1."""

    name: str
    calls: tuple[Call, ...]
    status: int
    contains: str
    reason: str


ON_PURPOSE: dict[str, str] = {
    "request with a future watch": "a client would resume from there, before its start; etcd 3.6.2 holds it back too "
    "(its issues 19487 and 20221)",
    **dict.fromkeys(
        (
            *("closed to nobody: /v3/kv/compaction", "closed to nobody: /v3/lease/grant"),
            *("closed to nobody: /v3/lease/timetolive", "closed to nobody: /v3/lease/leases"),
            *("closed to nobody: /v3/lease/keepalive", "closed to nobody: /v3/lease/revoke"),
            *("closed to nobody: /v3/cluster/member/list", "closed to nobody: /v3/maintenance/status"),
            *("closed to nobody: /v3/maintenance/alarm", "closed to nobody: /v3/maintenance/transfer-leadership"),
            *("closed to nobody: /v3/maintenance/downgrade", "closed to alice: /v3/lease/timetolive"),
            *("closed to alice: /v3/lease/leases", "closed to alice: /v3/lease/keepalive"),
            *("closed to alice: /v3/kv/compaction", "closed to alice: /v3/maintenance/alarm"),
            *("closed to alice: /v3/maintenance/transfer-leadership", "closed to alice: /v3/maintenance/downgrade"),
        ),
        "with auth on, etcd 3.5.1 asks nothing of these callers; 3.5.28 and later do (CVE-2026-33413, CVE-2023-32082)",
    ),
    "a transaction in a transaction": "etcd 3.5.1 does not look inside; 3.5.28 and later do (CVE-2026-33343)",
    "alice's transaction in a transaction": "as above",
    "previous value of a put in a transaction": "it may not be read: closed in 3.5.30 (CVE-2026-44283)",
    "a lease for a put in a transaction": "to hang keys on another's lease: closed in 3.5.30 (CVE-2026-44283)",
    "a watch from a key on, of which the key alone may be read": "closed in 3.5.33 (CVE-2026-73499)",
    "a watch with a bad token": "the reason tells clients to log in again, as 3.5.5 and later do (etcd issue 12385)",
    "a refused watch beside one of its ID": "3.5.1 seems to end the other watch; later releases tell the ID -1",
    "a signed token whose revision is old": "3.5.1 forgot to translate it; clients of later releases know its words",
    "nobody's question about roles while the space is full": "the alarm makes etcd apply requests without asking auth: "
    "with it standing, nobody may add users; ours asks as ever",
    "Bearer": "the word before a token is what HTTP clients write; later releases of 3.5 take it too",
    "a token while auth is off": "3.5.1 refuses every token while none is needed; later releases do not look at it",
    "both alarms, one is taken back": "etcd 3.5 then does everything again, also in a corrupt cluster, until it is "
    "started anew; 3.6 goes on with the other one, and refuses by both while both stand",
    "what only reads, without any room": "etcd 3.5.1 refuses it, as if it needed some; 3.5.7 and later do not",
    "elected without its lease": "etcd tells a candidate whose key is gone that it was elected; a lock it refuses then",
    "locked by another's key": "etcd looks whether there is a key, not whether it is the one that waited: another "
    "call with the same lease may have made it, and others may be between the two",
    "a learner is moved": "etcd 3.5.1 makes it a voter in its list of members, which later releases of 3.5 do not",
    "enable a downgrade": "etcd 3.5.1 does it and never answers: the outcome is waited for in vain, until a timeout",
    "cancel a downgrade": "as above",
    "text instead of a message": "ours refuses a JSON string at its end; Go waits for the byte after it",
    "Expect on a path that is not there": "the body had come with the head, so the connection can stay",
}

ON_PURPOSE_WITH: dict[str, dict[str, str]] = {
    "--http-engine=h11": {
        "chunked, too large a size": "h11 takes sizes of up to 20 digits, and waits for as much",
        "chunked, bare line feeds": "h11 takes a lone LF in the framing of chunks too",
    },
}
"""By a flag of trioetcd's (see CONFORMANCE_FLAGS): what differs then, beside the above."""

DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate(
        "an unknown sort target",
        (get("k", "l", sort_target=9, sort_order="ASCEND"),),
        400,
        "etcdserver: invalid sort option",
        "etcd 3.5.1 panics and ends; later etcd answers so",
    ),
    *(
        Deliberate(
            f"a put with {keep} of a key that its own transaction deletes from a key on",
            (put("gone"), txn(success=(op_delete("gone", "\0"), {"request_put": {"key": b64("gone"), keep: True}}))),
            400,
            "etcdserver: key not found",
            "etcd 3.5.1 panics and ends: it looks for the key before the transaction, and then does not find it",
        )
        for keep in ("ignore_value", "ignore_lease")
    ),
    *(
        Deliberate(
            f"an alarm with an unknown {what}",
            (Call("/v3/maintenance/alarm", body),),
            400,
            "etcdserver: unknown alarm",
            "etcd 3.5.1 panics and ends",
        )
        for what, body in {"action": {"action": 7}, "kind": {"action": "ACTIVATE", "alarm": 7}}.items()
    ),
    Deliberate(
        "hashKV has a path of its own",
        (Call("/v3/maintenance/hashkv", {}),),
        200,
        '"hash":',
        "3.5.1 has no path for it (two RPCs shared one); later releases of 3.5 have this one",
    ),
    *(
        Deliberate(
            f"GET {path}",
            (Call(path, None, "GET"),),
            200,
            "ok",
            "3.5.1 has no such path; releases from 3.5.11 on do",
        )
        for path in ("/livez", "/livez/serializable_read", "/readyz", "/readyz/data_corruption")
    ),
    Deliberate(
        "/livez?verbose",
        (Call("/livez?verbose", None, "GET"),),
        200,
        "[+]serializable_read ok",
        "3.5.1 has no such path; releases from 3.5.11 on do",
    ),
)  # fmt: skip
