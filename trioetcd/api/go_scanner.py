"""JSON checked exactly as Go's encoding/json checks it, with its error texts.

`Scanner` finds where a value ends, resumably, or says what is wrong with it; `first_value` and `check` hold a whole
text to begin with a value, or to be one.

    state               bytes that go on from it                            whose error otherwise
    value               { [ " - 0 1-9 t f n space                           looking for beginning of value
    first key           " } space                                           looking for beginning of object key string
    after member        , } space                                           after object key:value pair
    ...                 one row each in _TABLE
"""

from __future__ import annotations

import re
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
# Text, and whole elements or members with their commas, are leapt over: a byte at a time costs 0.2 us, which a hostile
# body of megabytes would make seconds of. So many at a time that what `re` remembers of them stays small; and not by
# `(?:...)*+`, which before 3.11.5 matches wrongly when there is a choice within.
_TEXT: Final = rb'(?>[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+){0,256})'
_PLAIN_TEXT: Final = re.compile(_TEXT)
_BLANK: Final = rb"[ \t\r\n]*+"
_SIMPLE: Final = (
    rb"%b(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|"
    rb'"%b"|true|false|null|\{\}|\[\])%b,' % (_BLANK, _TEXT, _BLANK)
)
_ELEMENTS: Final = re.compile(rb"(?:%b){0,256}" % _SIMPLE)
_MEMBERS: Final = re.compile(rb'(?:%b"%b"%b:%b){0,256}' % (_BLANK, _TEXT, _BLANK, _SIMPLE))
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
