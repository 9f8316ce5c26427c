"""`--auth-token`: how tokens are made and checked, read as etcd reads it.

simple                                     kept by the members, and as good as the member that is asked
jwt,sign-method=RS256,priv-key=FILE,...    signed; also pub-key=FILE (to check alone) and ttl=10m
(empty)                                    none at all: with auth on nobody can log in
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from trioetcd.config.errors import ConfigError
from trioetcd.config.values import duration_seconds

SIGN_METHODS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "HS256", "HS384", "HS512", "EdDSA"),
)
_JWT_TTL: Final = "5m"
_JWT_OPTIONS: Final = ("pub-key", "priv-key", "sign-method", "ttl")


class SimpleTokens(NamedTuple):
    """Tokens that the members keep; how long they live is `--auth-token-ttl`."""


class NoTokens(NamedTuple):
    """No tokens at all."""


class JwtTokens(NamedTuple):
    """Signed tokens. With a private key alone it is the public one too; with a public one alone nothing is signed."""

    sign_method: str
    private_key: Path | None
    public_key: Path | None
    ttl_seconds: float


TokenConfig = SimpleTokens | NoTokens | JwtTokens
SIMPLE: Final = SimpleTokens()


def parse_auth_token(text: str) -> TokenConfig:
    """What `--auth-token` says. Raises `ConfigError`."""
    kind, *options = text.split(",")
    values: dict[str, str] = {}
    for option in options:
        name, separator, value = option.partition("=")
        if not separator or "=" in value or name in values:
            raise ConfigError(f"--auth-token={text}: {option!r} is not NAME=VALUE, or is there twice")
        values[name] = value
    if kind == "simple":
        return SIMPLE
    if kind == "jwt":
        return _jwt(text, values)
    if kind:
        raise ConfigError(f"--auth-token={text}: {kind!r} is not one of simple, jwt")
    return NoTokens()


def _jwt(text: str, values: dict[str, str]) -> JwtTokens:
    for name in values:
        if name not in _JWT_OPTIONS:
            raise ConfigError(f"--auth-token={text}: {name!r} is not one of {', '.join(_JWT_OPTIONS)}")
    method = values.get("sign-method", "")
    if method not in SIGN_METHODS:
        raise ConfigError(f"--auth-token={text}: sign-method={method!r} is not one of {', '.join(SIGN_METHODS)}")
    private, public = (Path(path) if (path := values.get(name)) else None for name in ("priv-key", "pub-key"))
    if private is None and (public is None or method.startswith("HS")):
        raise ConfigError(f"--auth-token={text}: there is no key; add priv-key=FILE")
    ttl_seconds = duration_seconds(values.get("ttl") or _JWT_TTL)
    if ttl_seconds < 1:
        raise ConfigError(f"--auth-token={text}: ttl must be 1s or more")
    return JwtTokens(method, private, public, ttl_seconds)
