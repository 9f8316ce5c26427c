"""Keys, values and ranges as callers write them."""

from __future__ import annotations

from typing import Final

Text = bytes | str
"""A key or a value: bytes, or text that stands for its UTF-8."""

FROM_KEY: Final = b"\0"
"""As the end of a range: everything from the key on."""


def to_bytes(text: Text) -> bytes:
    """The bytes of a key or a value."""
    return text.encode() if isinstance(text, str) else text


def prefix_end(prefix: bytes) -> bytes:
    """The end of the range of the keys that begin with `prefix`: the first key behind them."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else FROM_KEY


def key_range(key: Text, *, prefix: bool, range_end: Text | None) -> tuple[bytes, bytes]:
    """Key and range end as requests carry them; the empty prefix means every key."""
    if prefix and range_end is not None:
        raise ValueError("prefix=True and range_end both say where the range ends: give one of them")
    start = to_bytes(key)
    if prefix:
        return start or b"\0", prefix_end(start)
    return start, b"" if range_end is None else to_bytes(range_end)
