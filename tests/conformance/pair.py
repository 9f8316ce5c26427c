"""Two servers in lock step: every step of a case goes to both, and the first difference is the failure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.cases import Case, Session, Step, Take, Transport, get
from tests.conformance.servers import Server, lone_member, running
from tests.conformance.wire import ChunkedStream

SUBJECT_VARIABLE = "CONFORMANCE_SUBJECT"
"""Set it to `etcd` to compare etcd with itself, which proves the normalisation."""
FLAGS_VARIABLE = "CONFORMANCE_FLAGS"
"""More flags for the subject, apart by spaces: `--http-engine=h11`."""


def subject_kind() -> str:
    """What stands on the other side."""
    return os.environ.get(SUBJECT_VARIABLE, "trioetcd")


def subject_flags() -> list[str]:
    """More flags for trioetcd."""
    return os.environ.get(FLAGS_VARIABLE, "").split()


@dataclass(frozen=True)
class Difference:
    """Where two servers parted."""

    case: str
    step_number: int
    step: Step
    expected: list[str]
    got: list[str]

    def __str__(self) -> str:
        lines = [f"{self.case}, step {self.step_number}: {_short(self.step)}"]
        for index in range(max(len(self.expected), len(self.got))):
            expected = self.expected[index] if index < len(self.expected) else "(nothing)"
            got = self.got[index] if index < len(self.got) else "(nothing)"
            if expected != got:
                lines += [f"  etcd:     {expected[:1500]}", f"  trioetcd: {got[:1500]}"]
        return "\n".join(lines)


def _short(step: Step) -> str:
    text = str(step)
    return text if len(text) < 500 else f"{text[:500]}... ({len(text)} characters)"


class Pair:
    """A real etcd and the subject, both started empty. After a difference it is `parted` and should be replaced."""

    def __init__(self, reference: Server, subject: Server) -> None:
        self.reference = reference
        self.subject = subject
        self.parted = False

    def difference(self, case: Case, *, transport: Transport = ChunkedStream) -> Difference | None:
        """Run a case on both; the first difference, None when there is none."""
        sessions = [Session(server, transport=transport) for server in (self.reference, self.subject)]
        try:
            for number, step in enumerate(case.steps, start=1):
                expected, got = (observe(step, session) for session in sessions)
                if isinstance(step, Take):
                    assert expected[-1] != "nothing", f"{case.name}, step {number}: etcd itself sends nothing here"
                if expected != got:
                    self.parted = self._revisions_differ()
                    return Difference(case.name, number, step, expected, got)
            return None
        finally:
            for session in sessions:
                session.close()

    def _revisions_differ(self) -> bool:
        """Whether the two stores have parted, so that what follows would differ for no reason of its own."""
        probes = [observe(get("nothing"), Session(server)) for server in (self.reference, self.subject)]
        return probes[0] != probes[1]

    def check(self, case: Case, *, transport: Transport = ChunkedStream) -> None:
        """Fail with the first difference."""
        __tracebackhide__ = True
        difference = self.difference(case, transport=transport)
        assert difference is None, str(difference)


def observe(step: Step, session: Session) -> list[str]:
    """Run one step; a broken connection is an observation like any other."""
    try:
        return step.run(session)
    except TimeoutError:
        return ["no answer in time"]
    except OSError as broken:
        return [f"connection broken: {type(broken).__name__}"]


@contextlib.contextmanager
def running_pair(directory: Path, *, subject: str | None = None, extra: Sequence[str] = ()) -> Iterator[Pair]:
    """Both servers, started together on fresh folders below `directory`."""
    reference = lone_member("etcd", directory / "reference", extra=extra)
    kind = subject or subject_kind()
    other = lone_member(kind, directory / "subject", extra=(*extra, *(subject_flags() if kind == "trioetcd" else ())))
    with running(reference, other):
        yield Pair(reference, other)
