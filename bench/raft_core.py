"""The core alone: entries a second through three members in memory, and what an idle tick costs.

    python -m bench.raft_core [--seconds S]

One process, no network and no disk: every message is stepped at its receiver at once, every save is a list append.
An entry counts when all three members have applied it; times are wall time on one core.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from functools import partial

from trioetcd.raft import (
    Config,
    ConfState,
    Entry,
    MemoryStorage,
    Message,
    MessageType,
    RawNode,
    Snapshot,
    SnapshotMetadata,
)

PAYLOAD = b"x" * 256
_COMPACT_EVERY = 10_000  # entries kept at most, so that memory does not grow with the time


class Member:
    """A core with its storage, and a driver that does what each Ready says."""

    def __init__(self, member: int, voters: tuple[int, ...]) -> None:
        self.storage = MemoryStorage()
        self.storage.apply_snapshot(Snapshot(SnapshotMetadata(ConfState(voters), 1, 1)))
        self.node = RawNode(
            Config(
                id=member,
                election_tick=10,
                heartbeat_tick=1,
                storage=self.storage,
                random=random.Random(member),
                applied=1,
                check_quorum=True,
                pre_vote=True,
            )
        )
        self.applied = 0

    def work(self) -> list[Message]:
        """Do all there is to do; what is to be sent."""
        messages: list[Message] = []
        while self.node.has_ready():
            ready = self.node.ready()
            if ready.hard_state is not None:
                self.storage.set_hard_state(ready.hard_state)
            self.storage.append(ready.entries)
            self.applied += len(ready.committed_entries)
            messages += ready.messages_now
            messages += ready.messages_after_save
            self.node.advance(ready)
        return messages


class Group:
    """Members that hear each other at once; the first one leads."""

    def __init__(self, size: int) -> None:
        voters = tuple(range(1, size + 1))
        self.members = {member: Member(member, voters) for member in voters}
        self.leader = self.members[1]
        self.leader.node.campaign()
        self.settle()

    def settle(self) -> None:
        """Deliver until nobody has anything to say."""
        busy = True
        while busy:
            busy = False
            for member in self.members.values():
                for message in member.work():
                    busy = True
                    self.members[message.to].node.step(message)

    def propose_singly(self, count: int) -> None:
        """So many proposals of one entry, then wait until all members have applied them."""
        for _ in range(count):
            self.leader.node.propose(PAYLOAD)
        self.settle()

    def propose_batch(self, count: int) -> None:
        """One proposal of so many entries, then wait until all members have applied them."""
        self.leader.node.step(Message(MessageType.PROP, to=1, from_=1, entries=(Entry(0, 0, data=PAYLOAD),) * count))
        self.settle()

    def compact(self) -> None:
        """Forget all but the end of every log."""
        for member in self.members.values():
            index = member.node.basic_status().applied - 100
            if index - member.storage.first_index() > _COMPACT_EVERY:
                member.storage.compact(index)


def entries_per_second(group: Group, propose: Callable[[], None], seconds: float) -> float:
    """How many entries a group applies on all its members."""
    before = [member.applied for member in group.members.values()]
    start = now = time.perf_counter()
    while now - start < seconds:
        propose()
        group.compact()
        now = time.perf_counter()
    counts = [member.applied - b for member, b in zip(group.members.values(), before, strict=True)]
    return min(counts) / (now - start)


def microseconds_each(run: Callable[[], object], count: int) -> float:
    """What one call costs."""
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count * 1e6


def idle_ticks() -> dict[str, float]:
    """What a tick costs while nothing is proposed, in microseconds, by who ticks."""
    group = Group(3)
    leader, follower = group.leader, group.members[2]
    answers = [Message(MessageType.HEARTBEAT_RESP, to=1, from_=member, term=1) for member in (2, 3)]

    def follower_ticks() -> None:
        follower.node.tick()
        follower.node.has_ready()

    def leader_beats() -> None:
        leader.node.tick()
        leader.work()
        for answer in answers:
            leader.node.step(answer)

    def group_beats() -> None:
        leader.node.tick()
        group.settle()

    follower.node.set_election_timeout(1_000_000)
    return {
        "a follower, nothing to do": microseconds_each(follower_ticks, 50_000),
        "a leader, a heartbeat to each of two and their answers": microseconds_each(leader_beats, 10_000),
        "the whole group of three, one heartbeat round": microseconds_each(group_beats, 5_000),
    }


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement of entries (default: 1)")
    seconds = parser.parse_args().seconds
    for size in (1, 3):
        for count in (1, 10, 100, 1000):
            group = Group(size)
            singly = entries_per_second(group, partial(group.propose_singly, count), seconds)
            batch = entries_per_second(group, partial(group.propose_batch, count), seconds)
            print(
                f"{size} members, {count:4d} entries at a time: {singly:9,.0f}/s singly, {batch:9,.0f}/s as one batch"
            )
    for who, cost in idle_ticks().items():
        print(f"idle tick, {who}: {cost:.1f} us")


if __name__ == "__main__":
    main()
