"""Passwords and bcrypt, which is slow on purpose: it runs in a thread, and only so many at a time."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

import bcrypt
import trio

T = TypeVar("T")

AT_ONCE_MAX: Final = 2
"""More would take the threads that the log is synced in; who logs in waits."""

_USED_BYTES: Final = 72
"""bcrypt looks at no more. Go's and older libraries cut the rest off in silence; so do we."""

_SALT_BYTES: Final = 16
_TO_BCRYPT: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)


class Passwords:
    """Hashes passwords and checks them."""

    def __init__(
        self, *, cost: int, secrets: Random, run_blocking: Callable[[Callable[[], None]], Awaitable[None]]
    ) -> None:
        self._cost = cost
        self._secrets = secrets
        self._run_blocking = run_blocking
        self._limiter = trio.CapacityLimiter(AT_ONCE_MAX)

    async def hash(self, password: str) -> bytes:
        """The hash of a password, with a salt of its own."""
        used, salt = _used(password), self._salt()
        return await self._in_thread(lambda: bcrypt.hashpw(used, salt))

    async def matches(self, password: str, hashed: bytes) -> bool:
        """Whether a password is the one that was hashed. What is no hash is nobody's, and takes as long to find out."""
        used, salt = _used(password), self._salt()
        return await self._in_thread(lambda: _matches(used, hashed, salt))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        results: list[T] = []
        async with self._limiter:
            await self._run_blocking(lambda: results.append(work()))
        return results[0]

    def _salt(self) -> bytes:
        """As `bcrypt.gensalt` makes it, of the chance that is given."""
        encoded = b64encode(self._secrets.randbytes(_SALT_BYTES)).rstrip(b"=").translate(_TO_BCRYPT)
        return b"$2b$%02d$%s" % (self._cost, encoded)


def _used(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")[:_USED_BYTES]


def _matches(used: bytes, hashed: bytes, salt: bytes) -> bool:
    try:
        return bcrypt.checkpw(used, hashed)
    except ValueError:
        bcrypt.hashpw(used, salt)  # in vain, so that the time does not tell whether there is such a user
        return False
