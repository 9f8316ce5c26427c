"""Checked JSON taken apart as Go does it: values keep their bytes, because Go decides by those.

An integer in quotes is re-read without them, an enumeration's name is compared unescaped. Only what a message wants is
kept; the rest is stepped over, so that a hostile body of a million values costs no million objects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from trioetcd.api import go_text


class Shape(dict[bytes, "Shape | None"]):
    """What is wanted of objects: by name the shape of the member, None where only its kind and bytes matter.

    An array's shape is that of its elements.
    """


class Raw:
    """A JSON value and its bytes. `kind` is the word that Go's errors use for it.

    `members` and `elements` hold what was wanted; of a container that only its kind and bytes were wanted of, nothing.
    """

    __slots__ = ("elements", "kind", "members", "text")

    def __init__(self, text: bytes) -> None:
        self.kind = kind_of(text)
        self.text = text
        self.members: Mapping[bytes, Raw] = _NOTHING
        self.elements: Sequence[Raw] = ()


_NOTHING: Final[Mapping[bytes, Raw]] = {}
_KINDS: Final = {b"{": "object", b"[": "array", b'"': "string", b"t": "bool", b"f": "bool", b"n": "null"}
_TOKEN: Final = re.compile(rb'[ \t\r\n,:]*+("[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]|[^ \t\r\n,:{}\[\]"]++)')
# Inside a container: strings and containers with neither in them, as many as follow each other; or one bracket.
_LEAF: Final = re.compile(rb'\{[^{}\[\]"]*+\}|\[[^{}\[\]"]*+\]')
_BRACKETS: Final = re.compile(
    rb'(?:(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|\{[^{}\[\]"]*+\}|\[[^{}\[\]"]*+\])[^{}\[\]"]*+){1,256}|[{}\[\]]'
)


def kind_of(text: bytes) -> str:
    """The kind of a checked value."""
    return _KINDS.get(text[:1], "number")


def _end_of(text: bytes, start: int) -> int:
    """The offset behind the container that begins at `start`."""
    leaf = _LEAF.match(text, start)
    if leaf is not None:
        return leaf.end()
    depth = 0
    for token in _BRACKETS.finditer(text, start):
        word = token.group()
        if word in (b"{", b"["):
            depth += 1
        elif word in (b"}", b"]"):
            depth -= 1
        if depth == 0:
            return token.end()
    raise AssertionError("a checked container has an end")


class _Frame:
    """A container that is being read. `name` is the member whose value comes next."""

    __slots__ = ("elements", "members", "name", "shape")

    def __init__(self, raw: Raw, shape: Shape) -> None:
        self.shape = shape
        self.name: bytes | None = None
        self.members: dict[bytes, Raw] | None = None
        self.elements: list[Raw] = []
        if raw.kind == "object":
            self.members = raw.members = {}
        else:
            raw.elements = self.elements


def parse(text: bytes, shape: Shape | None) -> Raw:
    """What is wanted of a checked value (`first_value` or `check` returned it). Of equal keys the last one counts.

    One pass, and not recursive: 10,000 levels are allowed. What is not wanted costs no objects.
    """
    root = Raw(text)
    if shape is None or root.kind not in ("object", "array"):
        return root
    frames = [_Frame(root, shape)]
    position = 1
    while frames:
        token = _TOKEN.match(text, position)
        assert token is not None, "a checked value goes on until its last container ends"
        word = token.group(1)
        position = token.end()
        frame = frames[-1]
        if word in b"]}":
            frames.pop()
        elif frame.members is not None and frame.name is None:
            frame.name = unquote(word).encode() if b"\\" in word else word[1:-1]
        else:
            position = _read_value(text, word, position, frames)
    return root


def _read_value(text: bytes, word: bytes, position: int, frames: list[_Frame]) -> int:
    """Keep the value that begins with `word`, as far as it is wanted; the position to go on from."""
    frame = frames[-1]
    name, frame.name = frame.name, None
    wanted = frame.members is None or name in frame.shape
    shape = frame.shape if name is None else frame.shape.get(name)
    start = position - 1
    opens = word in b"{["
    if opens and (shape is None or not wanted):
        position = _end_of(text, start)
        word = text[start:position]
    if wanted:
        raw = Raw(word)
        if frame.members is None:
            frame.elements.append(raw)
        else:
            assert name is not None, "a member's name was read before its value"
            frame.members[name] = raw
        if opens and shape is not None:
            frames.append(_Frame(raw, shape))
    return position


_ESCAPE: Final = re.compile(r"\\u([dD][89abAB]..)\\u([dD][c-fC-F]..)|\\u(....)|\\(.)")
_SHORT: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def unquote(text: bytes) -> str:
    """What a checked JSON string says; what is not Unicode in it becomes U+FFFD, as in Go."""
    inner = go_text.decode_utf8(text[1:-1])
    return _ESCAPE.sub(_unescape, inner) if "\\" in inner else inner


def _unescape(escape: re.Match[str]) -> str:
    high, low, code, short = escape.groups()
    if high is not None:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00))
    if code is not None:
        number = int(code, 16)
        return "\ufffd" if 0xD800 <= number <= 0xDFFF else chr(number)
    return _SHORT.get(short, short)
