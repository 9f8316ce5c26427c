"""Tokens: what a client is given for its password, and shows from then on. There are three kinds (`--auth-token`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Protocol

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.config import MemberConfig
from trioetcd.config.auth import JwtTokens, SimpleTokens
from trioetcd.node.auth.simple import KeptTokens
from trioetcd.storage.auth.access import AuthInfo


class TokenProvider(Protocol):
    """Makes tokens, and knows whose they are."""

    def find(self, token: str, revision: int) -> AuthInfo | None:
        """Whose a token is; None if it is nobody's, or has expired. `revision` is the auth store's of now."""
        ...

    def choose(self) -> str:
        """What is to be chosen by chance of a new token and kept by all members; empty where nothing is kept."""
        ...

    def issue(self, kept: str, username: str, revision: int) -> str:
        """The token to answer with: `kept` is what the members keep, `revision` the one the password was checked at.

        Raises `ApiError` where none can be made.
        """
        ...

    def awaited_index(self, token: str) -> int:
        """The index of the entry that tells members of a token; 0 if none does. A member may not be so far yet."""
        ...

    def keep(self, username: str, token: str) -> None:
        """A token was granted."""
        ...

    def drop_user(self, username: str) -> None:
        """The tokens of a user count no more."""
        ...

    def drop_all(self) -> None:
        """No token counts any more."""
        ...


class NoTokens:
    """With `--auth-token=` nobody gets a token."""

    def find(self, token: str, revision: int) -> AuthInfo | None:  # noqa: ARG002 # the protocol's
        """Nobody's."""
        return None

    def choose(self) -> str:
        """Nothing."""
        return ""

    def issue(self, kept: str, username: str, revision: int) -> str:  # noqa: ARG002 # the protocol's
        """Refuse as etcd does."""
        raise ApiError.of(ErrorKind.AUTH_FAILED)

    def awaited_index(self, token: str) -> int:  # noqa: ARG002 # the protocol's
        """None."""
        return 0

    def keep(self, username: str, token: str) -> None:
        """Nothing is kept."""

    def drop_user(self, username: str) -> None:
        """Nothing is kept."""

    def drop_all(self) -> None:
        """Nothing is kept."""


def make_tokens(
    config: MemberConfig,
    *,
    replayed_index: int,
    secrets: Random,
    clock: Callable[[], float],
    wall_seconds: Callable[[], float],
    read_file: Callable[[Path], bytes],
) -> TokenProvider:
    """The provider that `--auth-token` asks for. Raises `StartRefused` for keys that cannot be read or used.

    `replayed_index` is how far the log goes that the start has found.
    """
    kind = config.auth_token
    if isinstance(kind, SimpleTokens):
        return KeptTokens(
            secrets=secrets,
            clock=clock,
            ttl_seconds=config.auth_token_ttl_seconds,
            replayed_index=replayed_index,
        )
    if isinstance(kind, JwtTokens):
        from trioetcd.node.auth.jwt import SignedTokens  # noqa: PLC0415 # its libraries load for 0.1 s, and few use them

        return SignedTokens(kind, wall_seconds=wall_seconds, read_file=read_file)
    return NoTokens()
