"""A transcript as text: its cases, and the text between them, so that it can be written back.

    # a comment
    command positional key=value key=(value, value)
    input lines
    ----
    what the command prints, up to a blank line

Output that has blank lines in it stands between two double fences (`----` twice). A backslash at the end of the
command's line continues it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_FENCE = "----"
_ARGUMENT = re.compile(r"([^\s=]+)(?:=(\([^)]*\)|\S*))?")
_LOG_LINE = re.compile(r"\s*(DEBUG|INFO|WARN|ERROR|FATAL) ")


class TranscriptError(Exception):
    """The transcript, not the core, is wrong."""


@dataclass(frozen=True, slots=True)
class Argument:
    key: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    line: int
    command: str
    arguments: tuple[Argument, ...]
    input: str
    expected: str


@dataclass(slots=True)
class Transcript:
    """Cases in order; the text between their outputs is kept as it is."""

    cases: list[Case] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)  # what stands before the output of a case, its fence included
    tail: str = ""

    def rewritten(self, outputs: list[str]) -> str:
        blocks = [head + _fenced(output) for head, output in zip(self.heads, outputs, strict=True)]
        return "\n".join([*blocks, self.tail])


def parse_line(line: str) -> tuple[str, tuple[Argument, ...]]:
    """A command and its arguments."""
    command, _, rest = line.strip().partition(" ")
    return command, tuple(Argument(key, _values(value)) for key, value in _ARGUMENT.findall(rest))


def _values(text: str) -> tuple[str, ...]:
    if text.startswith("("):
        return tuple(re.split(r"[,\s]+", text[1:-1].strip())) if text[1:-1].strip() else ()
    return (text,) if text else ()


class _Lines:
    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.number = 0  # of lines taken
        self.taken: list[str] = []  # since the last case

    def __bool__(self) -> bool:
        return self.number < len(self.lines)

    @property
    def next(self) -> str:
        return self.lines[self.number]

    def take(self) -> str:
        if not self:
            raise TranscriptError(f"line {self.number}: the transcript ends before {_FENCE}")
        line = self.next
        self.number += 1
        self.taken.append(line)
        return line


def parse(text: str) -> Transcript:
    lines = _Lines(text)
    transcript = Transcript()
    for case in _cases(lines):
        transcript.cases.append(case)
    transcript.heads = [*_heads(lines.lines, transcript.cases)]
    transcript.tail = "\n".join([*lines.taken, ""])
    return transcript


def _cases(lines: _Lines) -> Iterator[Case]:
    while lines:
        line = lines.take()
        if not line.strip() or line.lstrip().startswith("#") or line.startswith("subtest"):
            continue
        number = lines.number
        while line.endswith("\\"):
            line = line[:-1] + " " + lines.take().strip()
        command, arguments = parse_line(line)
        given = [*iter(lines.take, _FENCE)]
        expected = _expected(lines)
        lines.taken.clear()
        yield Case(number, command, arguments, "\n".join(given).strip(), expected)


def _expected(lines: _Lines) -> str:
    expected: list[str] = []
    if lines and lines.next == _FENCE:
        lines.take()
        while True:
            line = lines.take()
            if line == _FENCE and lines and lines.next == _FENCE:
                lines.take()
                return "\n".join(expected)
            expected.append(line)
    while lines and lines.next.strip():
        expected.append(lines.take())
    return "\n".join(expected)


def _heads(lines: list[str], cases: list[Case]) -> Iterator[str]:
    """From the end of one case's output to the fence of the next."""
    start = 0
    for case in cases:
        fence = lines.index(_FENCE, case.line - 1)
        yield "\n".join([*lines[start:fence], _FENCE, ""])
        start = fence + 1
        if start < len(lines) and lines[start] == _FENCE:
            start = next(i for i in range(start + 1, len(lines)) if lines[i : i + 2] == [_FENCE] * 2) + 2
        else:
            start += len(case.expected.splitlines())


def _fenced(output: str) -> str:
    if re.search(r"(^|\n)\s*\n", output):
        return f"{_FENCE}\n{output}\n{_FENCE}\n{_FENCE}"
    return output


def without_log(text: str) -> str:
    """What is compared: all but the lines of the log; nothing left is what a command without output prints."""
    kept = [line for line in text.splitlines() if not _LOG_LINE.match(line)]
    return "\n".join(kept).rstrip() or "ok"


Handler = Callable[[Case], str]
"""Executes one case of a transcript, after those before it, and returns what it prints."""
