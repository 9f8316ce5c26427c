"""The parts of the node that are one idea each: disk, leadership, timeouts, ticks, request IDs, ownership."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trioetcd.api.errors import ErrorKind
from trioetcd.config import StartRefused
from trioetcd.log import null_logger
from trioetcd.node.disk import Disk
from trioetcd.node.leadership import Leadership
from trioetcd.node.look_out import NEAR_SECONDS, look_out
from trioetcd.node.ownership import check_owner, write_owner
from trioetcd.node.protocols import PeerStatus, TransportStatus
from trioetcd.node.request_ids import RequestIds
from trioetcd.node.ticking import hasten_first_election, tick_loop
from trioetcd.node.timeouts import TimeoutExplainer
from trioetcd.raft.types import NO_NODE, StateType
from trioetcd.storage.filesystem import OsFileSystem


class SlowFile:
    """A file whose syncs take as long as a test says, on a stopwatch that only they move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.sync_seconds = 0.0001
        self.begin_seconds = 0.0
        self.operations: list[str] = []

    def begin_sync(self) -> None:
        self.operations.append("begin")
        self.now += self.begin_seconds

    def sync(self) -> None:
        self.operations.append("sync")
        self.now += self.sync_seconds


async def no_threads(work: Callable[[], None]) -> None:
    raise AssertionError(f"{work} should have run in the loop")


async def test_a_disk_that_becomes_slow_is_synced_in_a_thread_and_inline_again_when_it_recovers() -> None:
    file, threads, seen = SlowFile(), 0, []

    async def run_blocking(work: Callable[[], None]) -> None:
        nonlocal threads
        threads += 1
        work()

    disk = Disk(file=file, run_blocking=run_blocking, clock=lambda: file.now, observe=seen.append)
    assert disk.inline
    disk.sync_inline()
    file.sync_seconds = 0.02
    disk.sync_inline()
    assert not disk.inline, "one sync of 20 ms is above the average that the loop may be held up for"
    file.sync_seconds = 0.0001
    while not disk.inline:
        await disk.sync_in_thread()
    status = disk.status()
    assert status.syncs == len(seen) == threads + 2
    assert 1 < threads < 100
    assert status.slow_syncs == 0


def test_a_sync_that_was_begun_is_settled_once_and_what_was_done_meanwhile_is_not_counted() -> None:
    file, seen = SlowFile(), []
    disk = Disk(file=file, run_blocking=no_threads, clock=lambda: file.now, observe=seen.append)
    file.begin_seconds = 0.25
    file.sync_seconds = 0.5
    disk.settle()
    disk.begin()
    file.now += 10
    disk.settle()
    disk.settle()
    assert file.operations == ["begin", "sync"]
    assert seen == [0.75]


def test_a_disk_counts_the_syncs_that_an_operator_should_hear_of() -> None:
    file = SlowFile()
    disk = Disk(file=file, run_blocking=no_threads, clock=lambda: file.now, observe=lambda _: None)
    file.sync_seconds = 1.5
    disk.sync_inline()
    assert disk.status().slow_syncs == 1


async def test_leadership_counts_changes_and_wakes_those_who_wait_for_one() -> None:
    leadership = Leadership(member_id=1, clock=trio.current_time)
    changed = leadership.changed
    assert not leadership.update(lead=NO_NODE, state=StateType.CANDIDATE, term=2)
    assert not changed.is_set()
    assert leadership.update(lead=1, state=StateType.LEADER, term=2)
    assert changed.is_set()
    assert leadership.is_leader
    assert leadership.has_leader
    assert not leadership.changed.is_set()
    assert leadership.update(lead=NO_NODE, state=StateType.FOLLOWER, term=2)
    assert not leadership.has_leader
    assert leadership.status().changes_seen == 1


class StillTransport:
    """Connections that are as a test says."""

    def __init__(self, *peers: PeerStatus) -> None:
        self._peers = peers

    def send(self, messages: object) -> None:
        raise AssertionError("nothing is sent here")

    def reconcile(self, peers: object, removed: object) -> None:
        raise AssertionError("nobody joins or leaves here")

    def status(self) -> TransportStatus:
        return TransportStatus(self._peers)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()


def peer(member_id: int, active_since: float | None) -> PeerStatus:
    return PeerStatus(member_id, active_since is not None, active_since, None, None, None)


@pytest.mark.parametrize(
    ("leader", "elected_at", "peers", "submitted_at", "expected"),
    [
        (1, 10.0, [peer(2, 0.0), peer(3, 0.0)], 9.0, ErrorKind.TIMEOUT_DUE_TO_LEADER_FAIL),
        (1, 10.0, [peer(2, 0.0), peer(3, 0.0)], 7.0, ErrorKind.TIMEOUT),
        (1, 10.0, [peer(2, 0.0), peer(3, None)], 20.0, ErrorKind.TIMEOUT),
        (1, 10.0, [peer(2, 25.0), peer(3, None)], 20.0, ErrorKind.TIMEOUT_DUE_TO_CONNECTION_LOST),
        (2, 10.0, [peer(2, 25.0), peer(3, 0.0)], 20.0, ErrorKind.TIMEOUT_DUE_TO_CONNECTION_LOST),
        (2, 10.0, [peer(2, 0.0), peer(3, None)], 20.0, ErrorKind.TIMEOUT),
        (NO_NODE, None, [peer(2, None), peer(3, None)], 20.0, ErrorKind.TIMEOUT),
    ],
)
def test_a_timeout_names_its_likely_cause(
    leader: int, elected_at: float | None, peers: list[PeerStatus], submitted_at: float, expected: ErrorKind
) -> None:
    leadership = Leadership(member_id=1, clock=lambda: elected_at or 0.0)
    leadership.update(lead=leader, state=StateType.FOLLOWER, term=2)
    explain = TimeoutExplainer(leadership=leadership, transport=StillTransport(*peers), election_timeout_seconds=1.0)
    assert explain(submitted_at).message == expected.value[1]


async def test_ticks_come_at_their_interval_and_missed_ones_are_not_made_up_for(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    ticks: list[float] = []
    late: list[None] = []
    started = trio.current_time()

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await tick_loop(
            tick=lambda: ticks.append(round(trio.current_time() - started, 6)),
            tick_seconds=0.1,
            note_late=lambda: late.append(None),
            log=null_logger(),
            task_status=task_status,
        )

    await nursery.start(run)
    for jump in (0.1, 0.1, 1.0, 0.1):
        mock_clock.jump(jump)
        await trio.testing.wait_all_tasks_blocked()
    assert ticks == [0.1, 0.2, 1.2, 1.3]
    assert len(late) == 1


def test_request_ids_rise_and_name_their_member() -> None:
    ids = RequestIds(member_id=0xABCD_1234, wall_seconds=1_700_000_000.123)
    first, second = ids.next(), ids.next()
    assert second == first + 1
    assert first >> 48 == 0x1234
    later = RequestIds(member_id=0xABCD_1234, wall_seconds=1_700_000_001)
    assert later.next() > second


def test_a_new_directory_becomes_ours_and_stays_so(tmp_path: Path) -> None:
    filesystem, data_dir = OsFileSystem(), tmp_path / "data"
    check_owner(filesystem, data_dir)
    filesystem.make_directory(data_dir)
    check_owner(filesystem, data_dir)
    write_owner(filesystem, data_dir)
    write_owner(filesystem, data_dir)
    check_owner(filesystem, data_dir)


@pytest.mark.parametrize(
    ("path", "content", "words"),
    [
        ("member/snap/db", b"", "data directory of etcd"),
        ("notes.txt", b"mine", r"not trioetcd's \(notes.txt\)"),
        ("trioetcd-format", b"trioetcd data directory, format 9\n", "format 9"),
    ],
)
def test_a_directory_of_someone_else_is_refused_by_name(tmp_path: Path, path: str, content: bytes, words: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_bytes(content)
    with pytest.raises(StartRefused, match=words) as refusal:
        check_owner(OsFileSystem(), tmp_path)
    assert str(tmp_path) in str(refusal.value)


@pytest.mark.parametrize(
    ("enabled", "peers", "active", "ticks"),
    [(True, 0, 0, 9), (True, 2, 2, 8), (True, 2, 1, 0), (False, 0, 0, 0), (False, 2, 2, 0)],
)
async def test_the_first_election_is_hastened_only_where_it_may_be(
    autojump_clock: MockClock, enabled: bool, peers: int, active: int, ticks: int
) -> None:
    ticked: list[None] = []
    await hasten_first_election(
        tick=lambda: ticked.append(None),
        election_ticks=10,
        is_lone=lambda: peers == 0,
        active_peers=lambda: active,
        enabled=enabled,
    )
    assert len(ticked) == ticks


async def test_a_look_out_ends_with_what_it_is_for() -> None:
    turns: list[str] = []

    async def work() -> None:
        for _ in range(5):
            turns.append("work")
            await trio.lowlevel.checkpoint()

    def is_over() -> bool:
        turns.append("look")
        return turns.count("work") == 5

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        await look_out(is_over, clock=lambda: 0.0)
        assert turns.count("work") == 5
        before = len(turns)
        with trio.CancelScope() as scope:
            scope.cancel()
            await look_out(is_over, clock=lambda: 0.0)
        assert len(turns) == before + 1, "it is over already, and that is no checkpoint"
        assert not scope.cancelled_caught


@pytest.mark.parametrize("tick_seconds", [0.0, NEAR_SECONDS / 7.5], ids=["the clock stands still", "time passes"])
async def test_a_look_out_ends_when_it_takes_too_long(tick_seconds: float) -> None:
    looks = 0
    clock = count(0.0, tick_seconds)

    def never() -> bool:
        nonlocal looks
        looks += 1
        return False

    await look_out(never, clock=lambda: next(clock))
    assert looks == (8 if tick_seconds else 500)
