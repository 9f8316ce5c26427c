"""What is not built yet, path by path. It is refused by name, never answered wrongly; the list only shrinks.

A case that needs one of these paths is not compared: instead trioetcd has to answer 501, code 12, and name the call.
"""

from __future__ import annotations

from typing import Protocol

from tests.conformance.cases import Case
from tests.conformance.pair import Pair, subject_kind
from tests.conformance.wire import Answer, Connection

NOT_BUILT: frozenset[str] = frozenset()


class Keeper(Protocol):
    """Hands out a pair of servers (see conftest)."""

    def pair(self) -> Pair: ...


def check_or_refused(keeper: object, case: Case) -> None:
    """Compare the case; where trioetcd has not built one of its calls, see that it refuses that by name."""
    __tracebackhide__ = True
    assert hasattr(keeper, "pair")
    pair: Pair = keeper.pair()
    missing = sorted(case.paths & NOT_BUILT)
    if subject_kind() != "trioetcd" or not missing:
        pair.check(case)
        return
    for path in missing:
        check_refused(pair, path)


def check_refused(pair: Pair, path: str) -> None:
    """Trioetcd answers 501, code 12, and says which call it does not have."""
    __tracebackhide__ = True
    with Connection(pair.subject.address) as connection:
        answer: Answer = connection.request("POST", path, b"{}")
    assert answer.status == 501, f"{path} is listed as not built, but was answered {answer.status} {answer.body!r}"
    assert b'code":12' in answer.body, answer.body  # "code", or "grpc_code" where the answer is a stream
    assert b"unknown" in answer.body, answer.body
