"""Defragmentation of a real LevelDB: in a thread, piece by piece, with writes in between."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import trio

from trioetcd.api import messages as m
from trioetcd.log import null_logger
from trioetcd.node.maintenance.defragment import PIECE_BYTES, Defragmenter, pieces
from trioetcd.storage.engine import LevelEngine
from trioetcd.storage.machine import Committed, StateMachine
from trioetcd.storage.requests import Proposal, RaftRequest


class Machine:
    """A state machine, and entries for it."""

    def __init__(self, path: Path) -> None:
        self.state = StateMachine.open(engine=LevelEngine.open(path, create=True))

    def do(self, *requests: object) -> None:
        index = self.state.applied.index + 1
        proposal = Proposal(index, tuple(RaftRequest(request) for request in requests))
        self.state.apply([Committed(index, 1, proposal)])


async def in_thread(work: Callable[[], None]) -> None:
    await trio.to_thread.run_sync(work)


async def test_what_was_compacted_away_gives_its_room_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "db")
    state = machine.state
    random = Random(1)
    for _ in range(300):
        machine.do(m.PutRequest(key=b"k", value=random.randbytes(10_000)))
    machine.do(m.CompactionRequest(revision=state.store.revision))
    while state.store.compaction.step():
        pass
    before, hashed = state.size_bytes(), state.store.hash_kv()
    assert before > 3_000_000
    durations: list[float] = []
    defragmenter = Defragmenter(
        machine=state,
        engine_lock=trio.Lock(),
        run_blocking=in_thread,
        clock=trio.current_time,
        observe=durations.append,
        log=null_logger(),
    )
    finished = False

    async def defragment() -> None:
        nonlocal finished
        await defragmenter.defragment()
        finished = True

    written = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(defragment)
        while not finished:
            if written < 500:  # they take room too
                machine.do(m.PutRequest(key=b"other", value=b"v"))
                written += 1
            assert defragmenter.running <= 1
            await trio.lowlevel.checkpoint()
    assert written > 1
    assert defragmenter.running == 0
    assert len(durations) == 1
    assert state.size_bytes() < before // 10
    assert state.store.hash_kv(301) == hashed
    state.close()
    again = StateMachine.open(engine=LevelEngine.open(tmp_path / "db", create=False))
    assert again.store.hash_kv(301) == hashed
    again.close()


def test_pieces_follow_each_other_from_the_beginning_to_the_end() -> None:
    assert pieces(1, 0) == [(None, None)]
    assert pieces(1, 100 * PIECE_BYTES) == [(None, None)]
    many = pieces(1000, 4 * PIECE_BYTES + 5)
    assert len(many) == 4
    assert many[0][0] is None
    assert many[-1][1] is None
    assert all(one[1] == other[0] for one, other in pairwise(many))
    assert sorted(end for _, end in many[:-1] if end is not None) == [end for _, end in many[:-1]]
