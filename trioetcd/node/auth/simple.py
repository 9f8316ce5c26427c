"""Simple tokens: sixteen letters chosen by chance, a dot, and the index of the entry that tells all members of them.

They are in memory alone, and end with the member. Each member measures by itself how long one was not used there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from random import Random
from string import ascii_letters
from typing import Final, NamedTuple

from trioetcd.storage.auth.access import AuthInfo

LETTERS: Final = 16
TTL_SECONDS_DEFAULT: Final = 300
"""etcd's, also for `--auth-token-ttl=0`."""
_INDEX_MAX: Final = 2**64 - 1


class _Kept(NamedTuple):
    username: str
    expires_at: float


class KeptTokens:
    """Keeps the tokens that the log has granted, each until it has not been used for the time to live."""

    def __init__(
        self, *, secrets: Random, clock: Callable[[], float], ttl_seconds: float, replayed_index: int = 0
    ) -> None:
        self._secrets = secrets
        self._clock = clock
        self._replayed_index = replayed_index
        self._ttl_seconds = ttl_seconds or TTL_SECONDS_DEFAULT
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # what was used longest ago comes first

    def find(self, token: str, revision: int) -> AuthInfo | None:
        """Whose a token is; its time to live begins anew."""
        kept = self._kept.get(token)
        if kept is None:
            return None
        now = self._clock()
        if kept.expires_at <= now:
            self._drop_expired(now)
            return None
        self._kept[token] = _Kept(kept.username, now + self._ttl_seconds)
        self._kept.move_to_end(token)
        return AuthInfo(kept.username, revision)

    def choose(self) -> str:
        """Sixteen letters: 91 bits."""
        return "".join(self._secrets.choices(ascii_letters, k=LETTERS))

    def issue(self, kept: str, username: str, revision: int) -> str:  # noqa: ARG002 # the protocol's
        """The token that was granted."""
        return kept

    def awaited_index(self, token: str) -> int:
        """The number behind the dot; 0 in what is no token."""
        letters, _, index = token.partition(".")
        if not letters or not index.isascii() or not index.isdigit() or len(index) > len(str(_INDEX_MAX)):
            return 0
        return int(index)

    def keep(self, username: str, token: str) -> None:
        """Take a token that was granted, and drop those that have expired.

        What a start finds in its log was granted in an earlier life, who knows when: that is over.
        """
        if self.awaited_index(token) <= self._replayed_index:
            return
        now = self._clock()
        self._drop_expired(now)
        self._kept[token] = _Kept(username, now + self._ttl_seconds)

    def drop_user(self, username: str) -> None:
        """Drop the tokens of a user."""
        for token in [token for token, kept in self._kept.items() if kept.username == username]:
            del self._kept[token]

    def drop_all(self) -> None:
        """Drop all tokens."""
        self._kept.clear()

    def _drop_expired(self, now: float) -> None:
        while self._kept and next(iter(self._kept.values())).expires_at <= now:
            self._kept.popitem(last=False)
