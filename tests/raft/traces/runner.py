"""Finds transcripts, executes them, and compares or rewrites what they print."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.raft.traces import confchange, quorum
from tests.raft.traces.interaction import Interaction
from tests.raft.traces.transcript import Case, Handler, Transcript, TranscriptError, parse, without_log
from trioetcd.raft import RaftError, RaftInvariantError


@dataclass(frozen=True, slots=True)
class Failure:
    """The first case of a transcript that did not print what it should; what follows depends on it."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


def transcripts(paths: Iterable[Path]) -> Iterator[Path]:
    """The files among the paths, and those below the folders, in order."""
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*.txt") if p.is_file())
        else:
            yield path


def handler(transcript: Transcript) -> Handler:
    """What executes this transcript: the commands tell of which kind it is."""
    commands = {case.command for case in transcript.cases}
    if commands & confchange.COMMANDS:
        return confchange.ConfChanges()
    if commands & quorum.COMMANDS:
        return quorum.Quorums()
    return Interaction()


def check(path: Path) -> Failure | None:
    """Execute a transcript; its first difference, or None."""
    transcript, line = Transcript(), 0
    try:
        transcript = parse(path.read_text())
        handle = handler(transcript)
        for case in transcript.cases:
            line = case.line
            difference = compare(case, handle(case))
            if difference:
                return Failure(path, line, difference)
    except (RaftError, RaftInvariantError, TranscriptError) as error:
        return Failure(path, line, f"{type(error).__name__}: {error}")
    return None


def compare(case: Case, printed: str) -> str:
    """The difference as text; empty if there is none but in log lines."""
    expected, actual = without_log(case.expected), without_log(printed)
    if expected == actual:
        return ""
    lines = difflib.unified_diff(expected.splitlines(), actual.splitlines(), "expected", "printed", lineterm="", n=2)
    return "\n".join([case.command, *lines])


def rewrite(path: Path) -> None:
    """Put what is printed now into the transcript; review the change before it is kept."""
    transcript = parse(path.read_text())
    handle = handler(transcript)
    path.write_text(transcript.rewritten([without_log(handle(case)) for case in transcript.cases]))
