"""Standard base64 with the tolerances and the errors of Go's encoding/base64.

Padding is demanded, CR and LF are skipped wherever they stand, and bits behind the last byte may be anything.
"""

from __future__ import annotations

from typing import Final

import pybase64

_ALPHABET: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_NEWLINES: Final = b"\r\n"
_PAD: Final = 0x3D


class Base64Error(Exception):
    """Go's CorruptInputError: where the text stops being base64."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"illegal base64 data at input byte {offset}")
        self.offset = offset


def decode(text: bytes) -> bytes:
    """What `text` encodes; raises Base64Error with the offset that Go would name."""
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
    """Walk the quanta of four characters; the offsets are those of Go's decodeQuantum."""
    position, in_quantum = 0, 0
    while position < len(text):
        byte = text[position]
        if byte in _ALPHABET:
            in_quantum = (in_quantum + 1) % 4
        elif byte not in _NEWLINES:
            return position if byte != _PAD or in_quantum < 2 else _padding_error(text, position + 1, in_quantum)
        position += 1
    return position - in_quantum if in_quantum else None


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
