"""Random operation sequences, run in lock step on etcd and on trioetcd; what differs is shrunk to a few operations.

    python -m tests.conformance.random --seed 7 --ops 500

    python -m tests.conformance.random --seed 1 --seeds 2000 --ops 50 --together 100

A sequence is made from its seed alone. Revisions are written relative to the newest (`$REV-2`), so that a shrunk
sequence still asks for what it meant. At the end all keys are compared, and their whole history as a watch sees it.
With `--together` so many sequences run on one pair of servers, which saves their starts; what differs then is looked
for in all of them.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.cases import (
    Call,
    Case,
    Finish,
    Open,
    Send,
    Session,
    Step,
    Take,
    b64,
    compact,
    delete,
    get,
    op_delete,
    op_get,
    op_put,
    put,
    txn_body,
    watch,
)
from tests.conformance.pair import Difference, Pair, observe, running_pair, subject_kind
from tests.conformance.servers import Server

SORTABLE = tuple(f"a{number:02d}" for number in range(30))  # Go sorts up to 12 elements in another way than more
KEYS = (*SORTABLE, "b", "b0", "b00", "ba", "c", "\0", "é", "zz")
ENDS: tuple[str | None, ...] = (None, None, None, "\0", "b", "c", "a13", "bb", "")
LEASES = (1, 2, 3, -7, 2**63 - 1)
TTLS = (3600, "7200", 9_000_000_000, "9000000001")  # none ends while a sequence runs; the last is refused
LIMITS = (1, 2, 3, 13, "20", -1, 0, 100, 2**63 - 1)
SORT_ORDERS = ("NONE", "ASCEND", "DESCEND", 0, 1, 2, 7)
SORT_TARGETS = ("KEY", "VERSION", "CREATE", "MOD", "VALUE", 0, 1, 2, 3, 4)
RESULTS = ("EQUAL", "GREATER", "LESS", "NOT_EQUAL", 0, 1, 2, 3, 9)
FILTERS: tuple[Any, ...] = ([], ["NOPUT"], ["NODELETE"], [0], [1], [5], None)
COMPARE_FIELDS = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision", "LEASE": "lease"}


@dataclass(frozen=True)
class Together:
    """Steps that stay together when a sequence is shrunk."""

    steps: tuple[Step, ...]

    def run(self, session: Session) -> list[str]:
        return [line for step in self.steps for line in step.run(session)]


@dataclass(frozen=True)
class Watched:
    """A watch from any revision on, up to a put and a delete that it must see; which events came, one a line.

    How they are cut into messages is left out: etcd reads the past in its own time. `back` is how many revisions before
    the newest it starts, as far as there are so many: from a negative one on, etcd 3.5.1 reads nothing.
    """

    create: dict[str, Any]
    key: str
    back: int | None = None

    def run(self, session: Session) -> list[str]:
        create = self.create
        if self.back is not None:
            create = {**create, "start_revision": max(1, int(session.saved["REV"]) - self.back)}
        seen = Together((Open(({"create_request": create},), stream="watched"), Take(stream="watched"))).run(session)
        if '"canceled":true' not in seen[-1]:
            for call in (put(self.key), delete(self.key)):
                call.run(session)
            last = int(session.saved["REV"])
            ends = {f'"mod_revision":"{last - (self.create.get("filters") in (["NODELETE"], [1]))}"', '"canceled":true'}
            text = ""
            while not any(end in text for end in ends) and not text.endswith(("nothing", "end", "closed")):
                text += observe(Take(stream="watched", seconds=2.0), session)[-1]
            # Before 3.5.16 etcd loses a delete at the compacted revision (its issues 18089 and 19179).
            lost = f'"mod_revision":"{create.get("start_revision")}"'
            seen += [event for event in events(text) if '"DELETE"' not in event or lost not in event]
            session.saved["REV"] = str(last)  # messages may tell an older one, by when they were sent
        session.streams.pop("watched").close()
        return seen


Operation = Step | Together | Watched


class Generator:
    """Makes operations from one `Random`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._makers: tuple[tuple[int, Callable[[], Operation]], ...] = (
            (34, self._put),
            (26, self._range),
            (12, self._delete),
            (20, self._txn),
            (3, self._compact),
            (2, self._grant),
            (2, self._revoke),
            (2, self._time_to_live),
            (1, self._leases),
            (1, self._keep_alive),
            (2, self._watched),
            (3, self._alarm),
            (2, self._lock),
            (3, self._election),
        )

    def sequence(self, count: int) -> list[Operation]:
        """So many operations."""
        weights = [weight for weight, _ in self._makers]
        return [maker() for _, maker in self._random.choices(self._makers, weights, k=count)]

    # ---- parts

    def _key(self) -> str:
        return self._random.choice(KEYS) if self._random.random() < 0.98 else ""

    def _interval(self) -> tuple[str, str | None]:
        return self._random.choice((*KEYS, "a", "\0")), self._random.choice(ENDS)

    def _value(self) -> str:
        return self._random.choice("vwxyz") * self._random.choice((0, 1, 1, 1, 2, 30))

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _revision(self) -> str:
        """Mostly readable, now and then compacted or in the future."""
        return f"$REV{self._random.choice((0, -1, -2, -3, -5, -9, -40, 1)):+d}"

    def _flags(self, **probabilities: float) -> dict[str, Any]:
        return {name: True for name, probability in probabilities.items() if self._chance(probability)}

    def _put_options(self, *, keeping: bool = True) -> dict[str, Any]:
        keep = 0.06 if keeping else 0.0
        options = self._flags(prev_kv=0.3, ignore_value=keep, ignore_lease=keep)
        if self._chance(0.3):
            options["lease"] = self._lease()
        return options

    def _lease(self) -> int | str:
        lease = self._random.choice(LEASES)
        return lease if self._chance(0.5) else str(lease)

    def _range_options(self) -> dict[str, Any]:
        options = self._flags(keys_only=0.2, count_only=0.1, serializable=0.3)
        if self._chance(0.3):
            options["limit"] = self._random.choice(LIMITS)
        if self._chance(0.25):
            options["revision"] = self._revision()
        for name in ("min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"):
            if self._chance(0.06):
                options[name] = self._revision()
        return options

    # ---- operations

    def _put(self) -> Call:
        return put(self._key(), self._value(), **self._put_options())

    def _range(self) -> Call:
        if self._chance(0.3):
            sort = {"sort_order": self._random.choice(SORT_ORDERS), "sort_target": self._random.choice(SORT_TARGETS)}
            return get("a", "b", **sort, **self._range_options())
        return get(*self._interval(), **self._range_options())

    def _delete(self) -> Call:
        return delete(*self._interval(), **self._flags(prev_kv=0.5))

    def _compact(self) -> Call:
        revision = self._revision() if self._chance(0.3) else f"$REV-{self._random.choice((20, 50, 100))}"
        return compact(revision, **self._flags(physical=0.3))

    def _grant(self) -> Call:
        return Call("/v3/lease/grant", {"TTL": self._random.choice(TTLS), "ID": self._lease()})

    def _revoke(self) -> Call:
        return Call("/v3/lease/revoke", {"ID": self._lease()})

    def _time_to_live(self) -> Call:
        body = {"ID": self._lease(), **self._flags(keys=0.8)}
        return Call("/v3/lease/timetolive", body, hide=("TTL",), unordered=("keys",))

    def _alarm(self) -> Call:
        """Mostly taken back: while one stands, little is done."""
        action = self._random.choice(("GET", "ACTIVATE", "DEACTIVATE", "DEACTIVATE", "DEACTIVATE"))
        body = {"action": action, "alarm": "NOSPACE", "memberID": str(self._random.choice((1, 1, 2)))}
        return Call("/v3/maintenance/alarm", body, unordered=("alarms",))

    def _leases(self) -> Call:
        return Call("/v3/lease/leases", {}, unordered=("leases",))

    def _keep_alive(self) -> Together:
        """Several on one stream, among them some of leases that are not there."""
        wanted = [{"ID": self._lease()} for _ in range(self._random.choice((1, 2, 3)))]
        return Together((Open(tuple(wanted), path="/v3/lease/keepalive"), Finish(), Take(len(wanted) + 1)))

    def _watched(self) -> Watched:
        key, range_end = self._interval()
        create = dict(get(key, range_end).body)
        back = self._random.choice((0, 1, 2, 5, 20, 60)) if self._chance(0.8) else None
        if self._chance(0.5):
            create["filters"] = self._random.choice(FILTERS)
        if self._chance(0.3):
            create["watch_id"] = self._random.choice((1, "7", -7, 2**63 - 1))
        return Watched({**create, **self._flags(prev_kv=0.4, fragment=0.2, progress_notify=0.2)}, key, back)

    def _lock(self) -> Call:
        """Each lease has a lock of its own, so that nobody waits."""
        lease = self._random.choice((1, 2, 3))
        if self._chance(0.4):
            return Call("/v3/lock/unlock", {"key": b64(f"l{lease}/{lease}")})
        return Call("/v3/lock/lock", {"name": b64(f"l{lease}"), "lease": lease})

    def _election(self) -> Call:
        """As with locks. The revision is that of the key if the campaign came just before."""
        lease = self._random.choice((1, 2, 3))
        name, value = b64(f"e{lease}"), b64(self._value())
        key = {"name": name, "key": b64(f"e{lease}/{lease}"), "rev": self._revision(), "lease": lease}
        what = self._random.choice(("campaign", "campaign", "leader", "proclaim", "resign"))
        bodies: dict[str, dict[str, Any]] = {
            "campaign": {"name": name, "lease": lease, "value": value},
            "leader": {"name": name},
            "proclaim": {"leader": key, "value": value},
            "resign": {"leader": key},
        }
        return Call(f"/v3/election/{what}", bodies[what])

    def _txn(self) -> Call:
        return Call("/v3/kv/txn", self._txn_body(depth=3, keeping=self._chance(0.3)))

    def _txn_body(self, depth: int, *, keeping: bool) -> dict[str, Any]:
        """`keeping`: puts may keep value or lease; then nothing deletes, since etcd 3.5.1 crashes on both together."""
        compares = [self._compare() for _ in range(self._random.choice((0, 1, 1, 2)))]
        branches = [
            [self._operation(depth, keeping=keeping) for _ in range(self._random.choice((0, 1, 2, 3)))]
            for _ in ("success", "failure")
        ]
        return txn_body(tuple(compares), tuple(branches[0]), tuple(branches[1]))

    def _compare(self) -> dict[str, Any]:
        key, range_end = (self._key(), None) if self._chance(0.7) else self._interval()
        result = self._random.choice(RESULTS)
        call = get(key, range_end).body
        if self._chance(0.3):
            value = put("", self._value()).body["value"]
            return {**call, "target": "VALUE", "result": result, "value": value}
        target, field = self._random.choice(tuple(COMPARE_FIELDS.items()))
        number: Any = self._revision() if "revision" in field else self._random.choice((0, 1, "2", 3, -7))
        if self._chance(0.05):
            return {**call, "target": target, "result": result}
        return {**call, "target": target, "result": result, field: number}

    def _operation(self, depth: int, *, keeping: bool) -> dict[str, Any]:
        kind = self._random.random()
        if kind < 0.01:
            return {}
        if kind < 0.45:
            return op_put(self._key(), self._value(), **self._put_options(keeping=keeping))
        if kind < 0.7 or (keeping and kind < 0.9):
            return op_get(*self._interval(), **self._range_options())
        if kind < 0.9 or (depth == 0 and not keeping):
            return op_delete(*self._interval(), **self._flags(prev_kv=0.5))
        return {"request_txn": self._txn_body(depth - 1, keeping=keeping)} if depth else op_get(self._key())


def closing_steps() -> list[Step]:
    """Everything that is there now; a last put, seen by a watch that starts at it; a progress answer."""
    return [
        get("\0", "\0"),
        put("last", prev_kv=True),
        Open((watch("\0", "\0", start_revision="$REV", prev_kv=True),)),
        Take(2),
        Send({"progress_request": {}}),
        Take(),
    ]


def run_sequence(pair: Pair, sequence: Sequence[Operation]) -> Difference | None:
    """Run on a pair; the first difference."""
    steps: tuple[Any, ...] = (*sequence, *closing_steps())
    return pair.difference(Case("sequence", steps)) or compare_history(pair)


def compare_history(pair: Pair) -> Difference | None:
    """All events since the compaction, in the order in which they came; how they are cut into messages may differ."""
    reference, subject = (history(server) for server in (pair.reference, pair.subject))
    if reference == subject:
        return None
    return Difference("history", 0, Take(), reference, subject)


def history(server: Server) -> list[str]:
    """Every event of every key from the compacted revision on, one a line."""
    session = Session(server)
    try:
        observe(get("\0"), session)
        newest = f'"mod_revision":"{session.saved["REV"]}"'
        observe(Open((watch("\0", "\0", start_revision=_first_revision(session), prev_kv=True),)), session)
        text = ""
        while newest not in text and not text.endswith("nothing"):
            text += observe(Take(seconds=2.0), session)[-1]
        return events(text)
    finally:
        session.close()


def events(text: str) -> list[str]:
    """The events of a watch's messages, one a line, however they were cut into messages."""
    text = re.sub(r"\]}}\n{\"result\":{\"header\":{[^}]*},(\"watch_id\":\"[^\"]*\",)?\"events\":\[", ",", text)
    return re.sub(r'(?<=[\[,]){("type"|"kv")', r"\n{\1", text.replace("]}}\n", "")).splitlines()[1:]


def _first_revision(session: Session) -> int:
    """The oldest revision whose events are all there: the one after the compacted.

    At the compacted revision itself, etcd before 3.5.16 loses a delete (its issues 18089 and 19179).
    """
    observe(Open((watch("nothing", start_revision=1),), stream="probe"), session)
    answers = observe(Take(2, stream="probe", seconds=0.3), session)
    compacted = re.search(r'"compact_revision":"([0-9]+)"', answers[-1])
    return int(compacted[1]) + 1 if compacted else 1


def differs(sequence: Sequence[Operation], subject: str) -> Difference | None:
    """Run a sequence on a pair of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="conformance-") as directory,
        running_pair(Path(directory), subject=subject) as pair,
    ):
        return run_sequence(pair, sequence)


def shrink(given: Sequence[Operation], subject: str, seconds_max: float) -> list[Operation]:
    """Leave out operations, larger pieces first, as long as the sequence still differs (delta debugging)."""
    sequence = list(given)
    deadline = time.monotonic() + seconds_max
    piece = max(1, len(sequence) // 2)
    while time.monotonic() < deadline:
        for start in range(0, len(sequence), piece):
            candidate = sequence[:start] + sequence[start + piece :]
            if time.monotonic() > deadline:
                break
            if candidate and differs(candidate, subject):
                sequence = candidate
                break
        else:
            if piece == 1:
                break
            piece = max(1, piece // 2)
    return sequence


def main() -> int:
    """Run seeds until one differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, counted up from the first")
    parser.add_argument("--ops", type=int, default=300, help="operations a sequence")
    parser.add_argument(
        "--subject", default=subject_kind(), choices=("trioetcd", "etcd"), help="what stands beside etcd"
    )
    parser.add_argument("--together", type=int, default=1, help="how many sequences run on one pair of servers")
    parser.add_argument("--shrink-seconds", type=float, default=120.0, help="how long a difference is made smaller")
    options = parser.parse_args()
    for first in range(options.seed, options.seed + options.seeds, options.together):
        seeds = range(first, min(first + options.together, options.seed + options.seeds))
        sequence = [operation for seed in seeds for operation in Generator(seed).sequence(options.ops)]
        difference = differs(sequence, options.subject)
        outcome = "DIFFERENT" if difference else "the same"
        print(f"seeds {first} to {seeds[-1]}: {len(sequence)} operations, {outcome}", flush=True)  # noqa: T201 - a command
        if difference:
            sequence = shrink(sequence[: difference.step_number or None], options.subject, options.shrink_seconds)
            for operation in sequence:
                print(f"  {operation}")  # noqa: T201 - a command
            print(differs(sequence, options.subject))  # noqa: T201 - a command
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
