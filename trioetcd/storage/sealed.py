"""What stands in the place of a state that nobody may look at any more."""

from __future__ import annotations

from typing import NoReturn


class Sealed:
    """Raises the reason, whatever is asked of it."""

    __slots__ = ("_reason",)

    def __init__(self, reason: Exception) -> None:
        object.__setattr__(self, "_reason", reason)

    def __getattr__(self, name: str) -> NoReturn:
        raise object.__getattribute__(self, "_reason")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise object.__getattribute__(self, "_reason")
