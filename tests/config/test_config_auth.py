from __future__ import annotations

from pathlib import Path

import pytest

from trioetcd.config import ConfigError, MemberConfig
from trioetcd.config.auth import SIMPLE, JwtTokens, NoTokens, parse_auth_token


def test_simple_tokens_and_none() -> None:
    assert parse_auth_token("simple") == SIMPLE
    assert parse_auth_token("simple,x=y") == SIMPLE, "etcd passes over its options"
    assert parse_auth_token("") == NoTokens()


def test_signed_tokens() -> None:
    assert parse_auth_token("jwt,sign-method=RS256,priv-key=a.key,pub-key=a.pub,ttl=1h30m") == JwtTokens(
        "RS256", Path("a.key"), Path("a.pub"), 5400.0
    )
    assert parse_auth_token("jwt,sign-method=ES384,pub-key=a.pub") == JwtTokens("ES384", None, Path("a.pub"), 300.0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("none", "'none' is not one of simple, jwt"),
        ("simple,x", "'x' is not NAME=VALUE"),
        ("jwt", "sign-method='' is not one of RS256"),
        ("jwt,sign-method=none,priv-key=k", "sign-method='none' is not one of"),
        ("jwt,sign-method=RS256", "there is no key; add priv-key=FILE"),
        ("jwt,sign-method=HS256,pub-key=k", "there is no key; add priv-key=FILE"),
        ("jwt,sign-method=RS256,priv-key=a,priv-key=b", "'priv-key=b' is not NAME=VALUE, or is there twice"),
        ("jwt,sign-method=RS256,priv-key=a,bogus=b", "'bogus' is not one of pub-key, priv-key, sign-method, ttl"),
        ("jwt,sign-method=RS256,priv-key=a,ttl=xyz", "'xyz' is not a duration"),
        ("jwt,sign-method=RS256,priv-key=a,ttl=0", "ttl must be 1s or more"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_auth_token(text)


@pytest.mark.parametrize(("cost", "reason"), [(3, "too small; expected 4 or more"), (32, "too large; expected 31")])
def test_bcrypts_cost_has_bounds(cost: int, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        MemberConfig(bcrypt_cost=cost)
