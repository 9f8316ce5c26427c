"""A few seeds of the random sequences; and proof that the comparison finds differences and that nothing is hidden."""

from __future__ import annotations

import pytest

from tests.conformance.cases import Case, Session, case, get, put
from tests.conformance.conftest import PairKeeper
from tests.conformance.pair import observe, subject_kind
from tests.conformance.random import Generator, Watched, differs, events, shrink

pytestmark = pytest.mark.conformance


@pytest.mark.parametrize("seed", range(3))
def test_random_sequence(keeper: PairKeeper, seed: int) -> None:
    difference = differs(Generator(seed).sequence(300), subject_kind())
    assert difference is None, f"seed {seed}, 300 operations\n{difference}"


def test_etcd_equals_itself(keeper: PairKeeper) -> None:
    """So what the comparison ignores is all that differs from run to run."""
    assert differs(Generator(1000).sequence(200), "etcd") is None


def test_a_difference_is_found(keeper: PairKeeper) -> None:
    pair = keeper.pair()
    pair.difference(case("on one side only", put("k", "v")))
    pair.reference, reference = pair.subject, pair.reference
    pair.subject = pair.reference
    assert pair.difference(case("the same server twice", put("k", "v"))) is not None, "revisions are compared"
    pair.reference, pair.parted = reference, True


def test_a_watch_is_compared_by_its_events() -> None:
    head = '{"result":{"header":{"revision":"9"},"watch_id":"7","events":['
    one, other = '{"kv":{"key":"YQ=="},"prev_kv":{"key":"YQ=="}}', '{"type":"DELETE","kv":{"key":"Yg=="}}'
    apart = f"{head}{one}]}}}}\n{head}{other},{one}]}}}}\n"
    assert events(apart) == events(f"{head}{one},{other},{one}]}}}}\n")
    assert len(events(apart)) == 3


def test_a_watch_that_differs_is_found(keeper: PairKeeper) -> None:
    """Of two servers with the same keys, one has another past."""
    pair = keeper.pair()
    values = iter("ab")
    for server in (pair.reference, pair.subject):
        session = Session(server)
        observe(put("w", next(values)), session)
        observe(put("w", "same"), session)
    difference = pair.difference(Case("watch", (get("w"), Watched(get("w").body, "w", back=1))))  # type: ignore[arg-type] # runs like one
    pair.parted = True
    assert difference is not None
    assert "events" not in difference.expected[-1]


def test_a_sequence_is_made_from_its_seed_alone() -> None:
    assert Generator(5).sequence(50) == Generator(5).sequence(50)
    assert Generator(5).sequence(50) != Generator(6).sequence(50)


def test_shrinking_keeps_what_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = [get(f"k{number}") for number in range(20)]
    culprits = {sequence[3].body["key"], sequence[17].body["key"]}
    monkeypatch.setattr(
        "tests.conformance.random.differs",
        lambda calls, subject: culprits <= {call.body["key"] for call in calls},
    )
    assert shrink(sequence, "etcd", 10.0) == [sequence[3], sequence[17]]
