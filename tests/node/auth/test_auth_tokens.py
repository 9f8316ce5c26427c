"""Simple tokens: chosen by chance, kept until they are not used any more."""

from __future__ import annotations

import re
from random import Random

import pytest

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.auth.simple import KeptTokens
from trioetcd.node.auth.tokens import NoTokens
from trioetcd.storage.auth.access import AuthInfo


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def kept(clock: Clock, ttl_seconds: float = 10) -> KeptTokens:
    return KeptTokens(secrets=Random(1), clock=clock, ttl_seconds=ttl_seconds)


def test_sixteen_letters_are_chosen_anew_each_time(clock: Clock) -> None:
    tokens = kept(clock)
    chosen = [tokens.choose() for _ in range(50)]
    assert len(set(chosen)) == 50
    assert all(re.fullmatch("[a-zA-Z]{16}", one) for one in chosen)


def test_a_token_is_its_users_at_the_revision_of_now(clock: Clock) -> None:
    tokens = kept(clock)
    tokens.keep("alice", "a.1")
    assert tokens.issue("a.1", "alice", 5) == "a.1"
    assert tokens.find("a.1", 7) == AuthInfo("alice", 7)
    assert tokens.find("a.2", 7) is None


def test_use_begins_its_time_anew(clock: Clock) -> None:
    tokens = kept(clock, 10)
    tokens.keep("alice", "used.1")
    tokens.keep("alice", "idle.2")
    for _ in range(5):
        clock.now += 9
        assert tokens.find("used.1", 1) is not None
    assert tokens.find("idle.2", 1) is None
    clock.now += 10
    assert tokens.find("used.1", 1) is None, "at the end of its time it is over"


def test_what_has_expired_takes_no_memory(clock: Clock) -> None:
    tokens = kept(clock, 10)
    for number in range(100):
        tokens.keep("alice", f"a.{number}")
        clock.now += 1
    assert len(tokens._kept) <= 10  # what it keeps is of interest here, not what it answers


def test_no_time_to_live_is_etcds_default(clock: Clock) -> None:
    tokens = kept(clock, 0)
    tokens.keep("alice", "a.1")
    clock.now += 299
    assert tokens.find("a.1", 1) is not None


def test_the_tokens_of_one_user_or_of_all_are_dropped(clock: Clock) -> None:
    tokens = kept(clock)
    for user in ("alice", "bob"):
        for number in range(3):
            tokens.keep(user, f"{user}.{number}")
    tokens.drop_user("alice")
    assert [tokens.find(f"alice.{number}", 1) for number in range(3)] == [None] * 3
    assert tokens.find("bob.1", 1) == AuthInfo("bob", 1)
    tokens.drop_all()
    assert tokens.find("bob.1", 1) is None


@pytest.mark.parametrize(
    ("token", "index"),
    [("abc.17", 17), ("abc.0", 0), ("abc", 0), ("", 0), (".17", 0), ("a.b", 0), ("a.1.2", 0), ("a.-1", 0), ("a.+1", 0)],
)
def test_a_token_names_the_entry_that_tells_of_it(clock: Clock, token: str, index: int) -> None:
    assert kept(clock).awaited_index(token) == index


def test_without_tokens_nobody_logs_in() -> None:
    tokens = NoTokens()
    assert tokens.find("a.1", 1) is None
    with pytest.raises(ApiError) as refused:
        tokens.issue("", "root", 1)
    assert refused.value == ApiError.of(ErrorKind.AUTH_FAILED)


def test_what_is_replayed_after_a_start_is_over(clock: Clock) -> None:
    tokens = KeptTokens(secrets=Random(1), clock=clock, ttl_seconds=10, replayed_index=20)
    tokens.keep("alice", "old.20")
    tokens.keep("alice", "new.21")
    assert tokens.find("old.20", 1) is None
    assert tokens.find("new.21", 1) is not None
