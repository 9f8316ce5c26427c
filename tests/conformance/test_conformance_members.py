"""Changes of the members of a lone member's cluster: what is taken, in which form, and what is refused in which words."""

# ruff: noqa: E501 - a case is a row of its table
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.cases import Call, Case, case, put
from tests.conformance.conftest import PairKeeper

pytestmark = pytest.mark.conformance

SETUP = case("one key", put("foo", "bar"))

# etcd drops a change of members without a word that comes right after another: a put lets the first one settle.
SETTLE = put("settle")
NOWHERE = "http://127.0.0.1:31095"


def members(path: str, **fields: object) -> Call:
    return Call(f"/v3/cluster/member/{path}", fields, hide=("ID",), unordered=("members",))


def add(*urls: str, save: str = "ADDED", learner: bool = True) -> Call:
    """Add a learner, which a lone member can lose again; its ID is saved when it is taken."""
    fields = {"peerURLs": urls, "isLearner": learner}
    return Call("/v3/cluster/member/add", fields, hide=("ID",), unordered=("members",), save={save: "member.ID"})


def refused(*urls: str, learner: bool = True) -> Call:
    """An addition that is refused."""
    return members("add", peerURLs=urls, isLearner=learner)


def come_and_go(*urls: str) -> Case:
    return case(f"URLs {urls}", SETTLE, add(*urls), SETTLE, members("list"), members("remove", ID="$ADDED"), SETTLE)


SELF = Call("/v3/cluster/member/list", {}, hide=("ID",), save={"SELF": "members.0.ID"})
ITSELF = "http://127.0.0.1:1"

REFUSED = (
    *(
        case(f"{rpc} of {what}", SETTLE, members(rpc, **fields))
        for rpc in ("remove", "update", "promote")
        for what, fields in (
            ("nobody", {"ID": "55"}),
            ("no ID", {}),
            ("the ID 0", {"ID": 0}),
            ("the highest ID", {"ID": "18446744073709551615"}),
            ("a negative ID", {"ID": "-1"}),
            ("an ID beyond 64 bits", {"ID": "18446744073709551616"}),
            ("an ID in hexadecimal", {"ID": "8e9e05c52164694d"}),
            ("an empty ID", {"ID": ""}),
            ("null", {"ID": None}),
        )
    ),
    case("update of nobody, to bad URLs", SETTLE, members("update", ID="55", peerURLs=["bad", ""])),
    case("removal of the last", SELF, SETTLE, members("remove", ID="$SELF")),
    case("promotion of a voter", SELF, members("promote", ID="$SELF")),
    case("the names in snake case", members("add", peer_urls=[NOWHERE], is_learner=True)),
    case("no URL", members("add")),
    case("no URL, as a learner", members("add", isLearner=True)),
    case("null", members("add", peerURLs=None)),
    case("URLs that are one text", members("add", peerURLs=NOWHERE)),
    case("URLs that are numbers", members("add", peerURLs=[1])),
    case("a URL among bad ones", refused(NOWHERE, "bad")),
    case("a learner that is a text", members("add", peerURLs=["bad"], isLearner="true")),
    *(
        case(f"the URL {url!r}", refused(url))
        for url in (
            *("", " ", "bad", "127.0.0.1:31095", "http:", "http://", "http://h", "http:h:80", "//h:80", "://h:1"),
            *("http://h:80/", "http://h/:80", "http://h:abc", "http://h:-1", "http://h:1:2", "http://::1:80"),
            *("ftp://h:1", "1http://h:1", "http+unix://h:1", "unix:///tmp/x:1", "unix://a", "unixs://a"),
            *("http://a b:80", "http://h%41:80", "http://%zz:80", "http://h:80;x", "http://h|:1", "http://h\\:1"),
            *("http://[::1]", "http://[::1]x:1", "http://[fe80::1%lo]:80", "http://a[b:1", "http://u%zz@h:1"),
            *("http://h\t:1", "http://h\u007f:1", "http://h:1#%zz", "http://h:1*", "http:///h:1"),
        )
    ),
)  # fmt: skip

TAKEN = (
    come_and_go(NOWHERE),
    come_and_go("HTTP://Host.Example:1"),
    come_and_go(" http://h1:1 "),
    come_and_go("http://h2:"),
    come_and_go("http://:80"),
    come_and_go("http://h3:99999"),
    come_and_go("https://h4:80"),
    come_and_go("unix://h5:1"),
    come_and_go("http://u:p@h6:80?x=1#f"),
    come_and_go("http://[::1]:81"),
    come_and_go("http://[::1%25lo]:82"),
    come_and_go("http://h\u00e9:80"),
    come_and_go("http://b:2", "http://a:1", "http://a:1"),
)

MOVED = (
    case(
        "a member is moved",
        SELF,
        *(
            step
            for urls in (
                ["http://q:9", "http://a:3"],
                ["http://a:3", "http://a:3"],
                [],
                ["bad"],
                ["HTTP://Q:1/x"],
                [ITSELF],
            )
            for step in (members("update", ID="$SELF", peerURLs=urls), SETTLE)
        ),
        members("list", linearizable=True),
    ),
    case(
        "to where another one is",
        SELF,
        add("http://n:1", "http://n:2"),
        SETTLE,
        members("update", ID="$SELF", peerURLs=["http://z:1", "http://n:2"]),
        SETTLE,
        members("update", ID="$ADDED", peerURLs=[ITSELF]),
        SETTLE,
        refused("http://z:1", "http://n:1", learner=False),
        SETTLE,
        members("remove", ID="$ADDED"),
        SETTLE,
    ),
)

LEARNERS = (
    case(
        "a learner comes and goes",
        add("http://l:1"),
        SETTLE,
        refused("http://l:2"),
        SETTLE,
        refused("http://l:0", "http://l:1"),
        SETTLE,
        members("promote", ID="$ADDED"),
        members("list"),
        Call("/v3/maintenance/transfer-leadership", {"targetID": "$ADDED"}),
        put("a learner is no part of the quorum"),
        members("remove", ID="$ADDED"),
        SETTLE,
        members("remove", ID="$ADDED"),
        SETTLE,
        members("update", ID="$ADDED", peerURLs=["http://l:3"]),
        SETTLE,
        members("promote", ID="$ADDED"),
        SETTLE,
    ),
    case("a learner is moved", add("http://l:4"), SETTLE, members("update", ID="$ADDED", peerURLs=["http://l:5"])),
)  # fmt: skip


@pytest.mark.parametrize("case", [*REFUSED, *TAKEN, *MOVED, *LEARNERS], ids=lambda case: case.name)
def test_members(check: Callable[[Case], None], case: Case) -> None:
    check(case)


def test_a_second_voter_that_never_starts(keeper: PairKeeper) -> None:
    """It takes part in the quorum, so nothing is decided any more: a pair of its own, of no use afterwards."""
    keeper.close()
    keeper.pair().check(
        case(
            "a second voter",
            SELF,
            add("http://v:1", learner=False),
            refused("http://v:2", learner=False),
            members("list"),
            members("remove", ID="$SELF"),
        )
    )
