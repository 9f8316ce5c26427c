"""Three real processes: written through all, killed in turn, one left behind until it needs a snapshot, all killed."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conformance.servers import Server, cluster_of, running
from tests.process.client import Event, Refused, call, events_of, everything, open_watch, put

pytestmark = pytest.mark.process

SNAPSHOT_FLAGS = ("--snapshot-count=100", "--experimental-snapshot-catchup-entries=20", "--log-level=info")
ENTRIES_BEHIND = 400  # more than a snapshot and what is kept behind it
KEYS_EACH = 40
BROKEN = (OSError, Refused)  # a member that is away, or says no: expected here, and counted as "not acknowledged"


@dataclass
class Writer:
    """Writes its own keys through one member. Only what was acknowledged is held against the cluster."""

    name: str
    server: Server
    stop: threading.Event
    acknowledged: list[Event] = field(default_factory=list)
    attempts: int = 0

    def run(self) -> None:
        for number in itertools.count():
            if self.stop.is_set():
                return
            key, value = f"{self.name}/{number % KEYS_EACH}", f"{self.name}-{number}"
            self.attempts += 1
            try:
                self.acknowledged.append(Event(put(self.server, key, value), key, value))
            except BROKEN:
                self.stop.wait(0.05)


@dataclass
class Watcher:
    """Watches everything, first at one member; when that breaks, at the next, from the revision after the last seen."""

    servers: list[Server]
    stop: threading.Event
    events: list[Event] = field(default_factory=list)
    resumed: int = -1

    def run(self) -> None:
        servers = itertools.cycle(self.servers)
        while not self.stop.is_set():
            with contextlib.suppress(*BROKEN):
                self._follow(next(servers))

    def _follow(self, server: Server) -> None:
        stream = open_watch(server, self.next_revision)
        self.resumed += 1
        with contextlib.closing(stream):
            while not self.stop.is_set():
                with contextlib.suppress(TimeoutError):
                    message = stream.take(seconds=0.5)
                    if not message:
                        return
                    self.events += events_of(message)

    @property
    def next_revision(self) -> int:
        """Messages are whole revisions, so the one after the last is where to go on."""
        return self.events[-1].revision + 1 if self.events else 1


def wait_until(what: str, condition: Callable[[], bool], seconds_max: float = 30.0) -> None:
    """Poll a condition that other processes bring about; fail with its name when time is up."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds_max} s: {what}"
        time.sleep(0.05)


def raft_index(servers: list[Server]) -> int:
    """The highest index that any of them knows."""
    indexes = [0]
    for server in servers:
        with contextlib.suppress(*BROKEN):
            indexes.append(int(call(server, "/v3/maintenance/status", {})["raftIndex"]))
    return max(indexes)


def wait_for_entries(servers: list[Server], count: int) -> None:
    """Wait until the log of these has grown by so many entries."""
    target = raft_index(servers) + count
    wait_until(f"{count} entries more", lambda: raft_index(servers) >= target, 60)


@contextlib.contextmanager
def load(servers: list[Server]) -> Iterator[tuple[list[Writer], list[Watcher]]]:
    """A writer through each member and a watcher at each, until the block ends. Watchers end after the writers."""
    stop_writing, stop_watching = threading.Event(), threading.Event()
    writers = [Writer(f"w{number}", server, stop_writing) for number, server in enumerate(servers)]
    turns = [servers[number:] + servers[:number] for number in range(len(servers))]
    watchers = [Watcher(turn, stop_watching) for turn in turns]
    runs = [*(writer.run for writer in writers), *(watcher.run for watcher in watchers)]
    threads = [threading.Thread(target=run, daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    try:
        yield writers, watchers
        stop_writing.set()
        for thread in threads[: len(writers)]:
            thread.join(15)
        last = max(event.revision for writer in writers for event in writer.acknowledged)
        wait_until("every watcher has seen the last write", lambda: all(w.next_revision > last for w in watchers))
    finally:
        stop_writing.set()
        stop_watching.set()
        for thread in threads:
            thread.join(15)


def progress(writers: list[Writer], count: int) -> None:
    """Wait until each of these writers has had so many more writes acknowledged."""
    marks = [len(writer.acknowledged) + count for writer in writers]
    wait_until(
        f"{count} more writes through each of {[writer.server.name for writer in writers]}",
        lambda: all(len(writer.acknowledged) >= mark for writer, mark in zip(writers, marks, strict=True)),
    )


def check_everything_is_there(servers: list[Server], writers: list[Writer], watchers: list[Watcher]) -> None:
    """The members agree, and nothing that was acknowledged is missing, changed, or told twice."""
    wait_until("the members have one revision", lambda: len({everything(server)[0] for server in servers}) == 1)
    states = [everything(server) for server in servers]
    assert states[0] == states[1] == states[2]
    revision, kvs = states[0]
    hashes = [call(server, "/v3/maintenance/hashkv", {"revision": revision}) for server in servers]
    assert len({(each["hash"], each.get("compact_revision")) for each in hashes}) == 1, hashes

    history = watchers[0].events
    for watcher in watchers[1:]:
        assert watcher.events == history, first_difference(watcher.events, history)
    revisions = [event.revision for event in history]
    assert revisions == list(range(2, revision + 1)), "each write is one revision: none is missing, none comes twice"
    last_values = {event.key: (event.value, event.revision) for event in history}
    assert kvs == last_values, "what the watches told is what is there"
    missing = {event for writer in writers for event in writer.acknowledged} - set(history)
    assert not missing, f"acknowledged, but not in the history: {sorted(missing)[:5]}"
    values = Counter(event.value for event in history)
    assert max(values.values()) == 1, f"written more than once: {values.most_common(3)}"


def first_difference(got: list[Event], expected: list[Event]) -> str:
    """Where two histories part."""
    for number, (one, other) in enumerate(zip(got, expected, strict=False)):
        if one != other:
            return f"event {number}: {one}, the others saw {other}"
    return f"{len(got)} events, the others saw {len(expected)}"


@pytest.mark.timeout(150)
def test_kills_in_turn(tmp_path: Path) -> None:
    servers = cluster_of("trioetcd", tmp_path, count=3, extra=SNAPSHOT_FLAGS)
    with running(*servers), load(servers) as (writers, watchers):
        progress(writers, 20)
        for number, victim in enumerate(servers):
            others = [writer for writer in writers if writer.server is not victim]
            victim.kill()
            progress(others, 20)
            if number == 2:
                wait_for_entries(servers[:2], ENTRIES_BEHIND)
            victim.spawn()
            victim.wait_ready()
            progress(writers, 10)
        for server in servers:
            server.kill()
        for server in servers:
            server.spawn()
        for server in servers:
            server.wait_ready()
        progress(writers, 10)
    with running(*servers):
        check_everything_is_there(servers, writers, watchers)
    assert "applied snapshot" in servers[2].log_path.read_text(), "the third was so far behind that it got a snapshot"
    assert all(watcher.resumed > 0 for watcher in watchers), "every watcher lost its member at least once"
