"""Where trioetcd answers otherwise on purpose, each with its reason. Nothing else may differ.

The cases of these names are not compared; `test_conformance_differences.py` holds trioetcd to the answer given here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.cases import Call, get


@dataclass(frozen=True)
class Deliberate:
    """One request, what trioetcd answers (status, and what its body contains), and why etcd 3.5.1 is not followed."""

    name: str
    call: Call
    status: int
    contains: str
    reason: str


DELIBERATE: tuple[Deliberate, ...] = (
    Deliberate(
        "an unknown sort target",
        get("k", "l", sort_target=9, sort_order="ASCEND"),
        400,
        "etcdserver: invalid sort option",
        "etcd 3.5.1 panics and ends; later etcd answers so",
    ),
    Deliberate(
        "hashKV has a path of its own",
        Call("/v3/maintenance/hashkv", {}),
        200,
        '"hash":',
        "3.5.1 has no path for it (two RPCs shared one); later releases of 3.5 have this one",
    ),
    *(
        Deliberate(
            f"GET {path}",
            Call(path, None, "GET"),
            200,
            "ok",
            "3.5.1 has no such path; releases from 3.5.11 on do",
        )
        for path in ("/livez", "/livez/serializable_read", "/readyz", "/readyz/data_corruption")
    ),
    Deliberate(
        "/livez?verbose",
        Call("/livez?verbose", None, "GET"),
        200,
        "[+]serializable_read ok",
        "3.5.1 has no such path; releases from 3.5.11 on do",
    ),
)  # fmt: skip
