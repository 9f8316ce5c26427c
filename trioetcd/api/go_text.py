"""Go's ways of quoting text (package strconv), as they stand in etcd's error messages."""

from __future__ import annotations

import codecs
from typing import Final

_SHORT_ESCAPES: Final = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}


def _replace_each_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError), "this handler is for decoding"
    return "\ufffd" * (error.end - error.start), error.end


codecs.register_error("trioetcd-go", _replace_each_byte)


def decode_utf8(data: bytes) -> str:
    """UTF-8 as Go reads it: every byte that is not part of a character becomes one U+FFFD."""
    return data.decode("utf-8", "trioetcd-go")


def quote(data: bytes) -> str:
    r"""`%q`: double quotes, escapes for what is not printable, `\xNN` for what is not UTF-8."""
    # surrogateescape turns the bytes that are not UTF-8 into U+DC80..U+DCFF, which text cannot hold otherwise.
    return '"' + "".join(map(_escape, data.decode("utf-8", "surrogateescape"))) + '"'


def quote_byte(byte: int) -> str:
    """One byte of JSON as the errors of encoding/json show it: a rune in single quotes."""
    if byte == 0x27:
        return "'\\''"
    if byte == 0x22:
        return "'\"'"
    return "'" + _escape(chr(byte)) + "'"


def _escape(character: str) -> str:
    short = _SHORT_ESCAPES.get(character)
    if short is not None:
        return short
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
