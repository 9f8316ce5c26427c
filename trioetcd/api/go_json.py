"""JSON read exactly as Go's encoding/json reads it, with its error texts. The slow path of the codec.

Three things: `Scanner` finds where a value ends, byte by byte and resumably, or says what is wrong with it; `check`
holds a text to be one whole value; `parse` turns a checked value into `Raw` nodes, which keep their bytes because Go
decides by those (an integer in quotes is re-read without them, an enumeration's name is compared unescaped).

    state               bytes that go on from it                            whose error otherwise
    value               { [ " - 0 1-9 t f n space                           looking for beginning of value
    first key           " } space                                           looking for beginning of object key string
    after member        , } space                                           after object key:value pair
    ...                 one row each in _TABLE
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from trioetcd.api import go_text

DEPTH_MAX: Final = 10_000  # Go's maxNestingDepth
SPACE: Final = b" \t\r\n"


class JsonError(Exception):
    """What a client sent is not the JSON of the message; the text is what etcd 3.5 answers (gRPC code 3)."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Row(NamedTuple):
    """What may follow in a state: byte -> (next state, container to open); and how Go words the refusal of others."""

    follow: dict[int, tuple[str, str | None]]
    refusal: str


# The next states that are decided by what is open: "/end" ends a scalar, "/close" a container.
def _row(refusal: str, **groups: str) -> _Row:
    """A row from `state=bytes` pairs; a state may be spelled `next__container` to open one."""
    follow: dict[int, tuple[str, str | None]] = {}
    for target, characters in groups.items():
        state, _, container = target.partition("__")
        for byte in characters.encode():
            follow[byte] = (_STATES.get(state, state), container or None)
    return _Row(follow, refusal)


_STATES: Final = {
    "end": "/end",
    "close": "/close",
    "first_key": "first key",
    "first_element": "first element",
    "after_key": "after key",
    "after_member": "after member",
    "after_element": "after element",
    "int_": "int",
}
_DIGITS: Final = "0123456789"
_HEX: Final = _DIGITS + "abcdefABCDEF"
_BLANKS: Final = " \t\r\n"
_VALUE: Final = {
    "first_key__key": "{",
    "first_element__element": "[",
    "string": '"',
    "minus": "-",
    "zero": "0",
    "int_": "123456789",
    "t": "t",
    "f": "f",
    "n": "n",
}


def _word_rows(word: str) -> dict[str, _Row]:
    """The states inside `true`, `false` and `null`, named by what has been read."""
    rows = {}
    for length in range(1, len(word)):
        expected = word[length]
        target = word[: length + 1] if length + 1 < len(word) else "end"
        rows[word[:length]] = _row(f"in literal {word} (expecting '{expected}')", **{target: expected})
    return rows


_TABLE: Final[dict[str, _Row]] = {
    "value": _row("looking for beginning of value", value=_BLANKS, **_VALUE),
    "first element": _row("looking for beginning of value", first_element=_BLANKS, close="]", **_VALUE),
    "first key": _row("looking for beginning of object key string", first_key=_BLANKS, string='"', close="}"),
    "key": _row("looking for beginning of object key string", key=_BLANKS, string='"'),
    "after key": _row("after object key", after_key=_BLANKS, value=":"),
    "after member": _row("after object key:value pair", after_member=_BLANKS, key=",", close="}"),
    "after element": _row("after array element", after_element=_BLANKS, value=",", close="]"),
    "string": _row("in string literal", end='"', escape="\\"),
    "escape": _row("in string escape code", string='bfnrt\\/"', u="u"),
    "u": _row("in \\u hexadecimal character escape", uu=_HEX),
    "uu": _row("in \\u hexadecimal character escape", uuu=_HEX),
    "uuu": _row("in \\u hexadecimal character escape", uuuu=_HEX),
    "uuuu": _row("in \\u hexadecimal character escape", string=_HEX),
    "minus": _row("in numeric literal", zero="0", int_="123456789"),
    "zero": _row("", point=".", exponent="eE"),
    "int": _row("", int_=_DIGITS, point=".", exponent="eE"),
    "point": _row("after decimal point in numeric literal", fraction=_DIGITS),
    "fraction": _row("", fraction=_DIGITS, exponent="eE"),
    "exponent": _row("in exponent of numeric literal", sign="+-", power=_DIGITS),
    "sign": _row("in exponent of numeric literal", power=_DIGITS),
    "power": _row("", power=_DIGITS),
    **_word_rows("true"),
    **_word_rows("false"),
    **_word_rows("null"),
}
_NUMBER_MAY_END: Final = frozenset(("zero", "int", "fraction", "power"))
_TEXT: Final = rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+'
_PLAIN_TEXT: Final = re.compile(_TEXT)

# Whole elements or members with their commas are leapt over: a byte at a time costs 0.2 us, which a hostile body of
# megabytes would make seconds of.
_BLANK: Final = rb"[ \t\r\n]*+"
_SIMPLE: Final = (
    rb"%b(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|"
    rb'"%b"|true|false|null|\{\}|\[\])%b,' % (_BLANK, _TEXT, _BLANK)
)
_ELEMENTS: Final = re.compile(rb"(?:%b)*+" % _SIMPLE)
_MEMBERS: Final = re.compile(rb'(?:%b"%b"%b:%b)*+' % (_BLANK, _TEXT, _BLANK, _SIMPLE))
_LEAPS: Final = {
    ("value", "element"): _ELEMENTS,
    ("first element", "element"): _ELEMENTS,
    ("key", "key"): _MEMBERS,
    ("first key", "key"): _MEMBERS,
}
_LEAP_STATES: Final = frozenset(state for state, _ in _LEAPS)


def _refused(byte: int, where: str) -> JsonError:
    return JsonError(f"invalid character {go_text.quote_byte(byte)} {where}")


class Scanner:
    """Finds the end of one JSON value in data that may arrive in pieces."""

    def __init__(self) -> None:
        self._state = "value"
        self._open: list[str] = []  # of each open container what is being read: "key", "member" or "element"

    def scan(self, data: bytes | bytearray, position: int) -> int | None:
        """Go on at `position`: the offset behind the value, or None when `data` ends before it does.

        Raises JsonError at the first byte that cannot stand where it does.
        """
        state = self._state
        end = len(data)
        while position < end:
            if state == "string":
                plain = _PLAIN_TEXT.match(data, position)
                assert plain is not None, "the pattern matches the empty text"
                position = plain.end()
                if position == end:
                    break
            elif state in _LEAP_STATES and self._open:
                leap = _LEAPS.get((state, self._open[-1]))
                run = leap.match(data, position) if leap is not None else None
                if run is not None and run.end() > position:
                    position = run.end()
                    state = "key" if self._open[-1] == "key" else "value"
                    continue
            byte = data[position]
            row = _TABLE[state]
            follow = row.follow.get(byte)
            if follow is None:
                if state not in _NUMBER_MAY_END:
                    raise _refused(byte, row.refusal)
                if not self._open:
                    return position
                state = self._after_value()
                continue
            position += 1
            state, opens = follow
            if opens is not None:
                self._enter(opens, byte)
            elif state == "/end":
                if not self._open:
                    return position
                state = self._after_value()
            elif state == "/close":
                self._open.pop()
                if not self._open:
                    return position
                state = self._after_value()
            elif byte == 0x3A and state == "value":
                self._open[-1] = "member"
            elif byte == 0x2C and state == "key":
                self._open[-1] = "key"
        self._state = state
        return None

    def finish(self) -> bool:
        """Whether the value is whole if nothing follows: true of a number alone."""
        return self._state in _NUMBER_MAY_END and not self._open

    def _after_value(self) -> str:
        return f"after {self._open[-1]}"

    def _enter(self, container: str, byte: int) -> None:
        if len(self._open) == DEPTH_MAX:
            raise _refused(byte, "exceeded max depth")
        self._open.append(container)


def first_value(data: bytes) -> bytes | None:
    """The first JSON value of `data` without the space around it; None when there is nothing but space."""
    scanner = Scanner()
    end = scanner.scan(data, 0)
    if end is None:
        if not data.strip(SPACE):
            return None
        if not scanner.finish():
            raise JsonError("unexpected EOF")
        end = len(data)
    return data[:end].strip(SPACE)


def check(data: bytes) -> bytes:
    """`data` without the space around it, held to be exactly one value."""
    scanner = Scanner()
    end = scanner.scan(data, 0)
    if end is None:
        if not scanner.finish():
            scanner.scan(b" ", 0)  # Go tries a space at the end, and names that space where none can stand
            raise JsonError("unexpected end of JSON input")
        end = len(data)
    rest = data[end:].lstrip(SPACE)
    if rest:
        raise _refused(rest[0], "after top-level value")
    return data[:end].strip(SPACE)


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
    rb'(?:(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|\{[^{}\[\]"]*+\}|\[[^{}\[\]"]*+\])[^{}\[\]"]*+)++|[{}\[\]]'
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
