"""Standard base64 with the tolerances and the errors of Go's encoding/base64.

Padding is demanded, or may not be there; CR and LF are skipped wherever they stand, and bits behind the last byte may
be anything.
"""

from __future__ import annotations

import re
from typing import Final

import pybase64

_STRANGER: Final = re.compile(rb"[^A-Za-z0-9+/\r\n]")
_NEWLINES: Final = b"\r\n"
_PAD: Final = 0x3D


class Base64Error(Exception):
    """Go's CorruptInputError: where the text stops being base64."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"illegal base64 data at input byte {offset}")
        self.offset = offset


def decode(text: bytes, *, padded: bool = True) -> bytes:
    """What `text` encodes; raises Base64Error with the offset that Go would name."""
    return _decode_padded(text) if padded else _decode_raw(text)


def _decode_raw(text: bytes) -> bytes:
    stranger = _STRANGER.search(text)
    if stranger is not None:
        raise Base64Error(stranger.start())
    text = text.translate(None, _NEWLINES)
    if len(text) % 4 == 1:
        raise Base64Error(len(text) - 1)
    return pybase64.b64decode(text + b"=" * (-len(text) % 4), None, validate=True)


def _decode_padded(text: bytes) -> bytes:
    offset = _first_error(text) if not _is_plain(text) else None
    if offset is not None:
        raise Base64Error(offset)
    return pybase64.b64decode(text.translate(None, _NEWLINES), None, validate=True)


def _is_plain(text: bytes) -> bool:
    try:
        pybase64.b64decode(text, None, validate=True)
    except ValueError:
        return False
    return True


def _first_error(text: bytes) -> int | None:
    """Where Go's decodeQuantum, which takes four characters at a time, would stop; None when it would not."""
    stranger = _STRANGER.search(text)
    position = stranger.start() if stranger else len(text)
    newlines = text.count(b"\r", 0, position) + text.count(b"\n", 0, position)
    in_quantum = (position - newlines) % 4
    if stranger is None:
        return position - in_quantum if in_quantum else None
    if text[position] != _PAD or in_quantum < 2:
        return position
    return _padding_error(text, position + 1, in_quantum)


def _padding_error(text: bytes, position: int, in_quantum: int) -> int | None:
    """Check what follows the first pad character, which stands before `position`."""
    if in_quantum == 2:
        position = _skip_newlines(text, position)
        if position == len(text):
            return position
        if text[position] != _PAD:
            return position - 1
        position += 1
    position = _skip_newlines(text, position)
    return position if position < len(text) else None


def _skip_newlines(text: bytes, position: int) -> int:
    while position < len(text) and text[position] in _NEWLINES:
        position += 1
    return position
