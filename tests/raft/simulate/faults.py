"""What a run is made of: its members' settings, and which faults there are and how strong.

Swarm testing: every seed switches each kind of fault on or off by itself and draws its strength, so that runs are
found in which a rare thing happens often, and others in which nothing disturbs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

TICK = 1000
"""Units of simulated time in one tick of a clock that is right."""

MEMBERS_MAX = 7
"""Ids that can ever be members: 1 to this."""


class Chance:
    """A `Random` for every concern, so that a change in one does not change what the others draw."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, concern: str) -> Random:
        return Random(f"{self._seed} {concern}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One seed's draw. Rates are in events a tick for the whole group; times are in units of `TICK`."""

    voters: int
    learners: int
    chaos_ticks: int
    # Settings of the core, the same for all members.
    election_tick: int
    pre_vote: bool
    check_quorum: bool
    lease_reads: bool
    step_down_on_removal: bool
    disable_proposal_forwarding: bool
    max_size_per_msg: int
    max_inflight_msgs: int
    max_inflight_bytes: int
    max_committed_size_per_ready: int
    max_uncommitted_entries_size: int
    # Storage.
    asynchronous: int  # members with asynchronous storage writes: those with an id up to this
    save_delay_max: int  # 0: saved on the spot
    apply_delay_max: int
    snapshots_overtake: bool  # a snapshot is taken while entries from before it are being applied
    # Network.
    delay_max: int
    loss: float
    duplicates: float
    reorders: float
    reports: float  # how many of the messages that are lost their sender is told of
    clock_drift: float
    # What happens, and how often.
    proposals: float
    reads: float
    crashes: float
    crashes_at_work: float  # how many of the saves, and of the turns to apply, a crash comes before
    partitions: float
    one_way: float
    pauses: float
    membership: float
    transfers: float
    forgets: float
    campaigns: float
    compactions: float


def draw_plan(chance: Random) -> Plan:
    """Draw a run."""

    def maybe(probability: float, low: float, high: float) -> float:
        """A strength, or nothing."""
        on, strength = chance.random() < probability, chance.uniform(low, high)
        return strength if on else 0.0

    voters = chance.choice((1, 2, 3, 3, 3, 3, 4, 5, 5))
    lease_reads = chance.random() < 0.1
    # A lease is as good as the clocks and the links are. It also rests on nobody campaigning before the timeout: not by
    # a transfer, not when told to. Within that, members still crash, and come and go.
    calm = 0.0 if lease_reads else 1.0
    max_size_per_msg = chance.choice((0, 60, 1_000_000))
    return Plan(
        voters=voters,
        learners=chance.choice((0, 0, 0, 1, 2)),
        chaos_ticks=chance.choice((30, 60, 120)),
        election_tick=chance.choice((3, 4, 6)),
        pre_vote=chance.random() < 0.5,
        check_quorum=chance.random() < 0.5 or lease_reads,
        lease_reads=lease_reads,
        step_down_on_removal=chance.random() < 0.5,
        disable_proposal_forwarding=chance.random() < 0.1,
        max_size_per_msg=max_size_per_msg,
        max_inflight_bytes=chance.choice((0, 0, max_size_per_msg)),
        max_inflight_msgs=chance.choice((1, 2, 4, 256)),
        max_committed_size_per_ready=chance.choice((0, 40, 1_000_000)),
        max_uncommitted_entries_size=chance.choice((0, 0, 100)),
        asynchronous=chance.choice((0, 0, 2, MEMBERS_MAX, MEMBERS_MAX)),
        save_delay_max=chance.choice((0, TICK // 4, 2 * TICK, 5 * TICK)),
        apply_delay_max=chance.choice((0, 0, TICK, 4 * TICK)),
        snapshots_overtake=chance.random() < 0.5,
        delay_max=chance.choice((TICK // 10, TICK // 2, TICK // 2 if lease_reads else 2 * TICK)),
        loss=calm * maybe(0.4, 0.01, 0.25),
        duplicates=maybe(0.4, 0.01, 0.2),
        reorders=calm * maybe(0.4, 0.01, 0.3),
        reports=chance.choice((0.0, 0.5, 1.0)),
        clock_drift=calm * maybe(0.3, 0.05, 0.4),
        proposals=chance.uniform(0.1, 1.5),
        reads=maybe(0.7, 0.1, 0.8),
        crashes=maybe(0.6, 0.02, 0.2),
        crashes_at_work=maybe(0.3, 0.01, 0.1),
        partitions=calm * maybe(0.5, 0.02, 0.15),
        one_way=calm * maybe(0.3, 0.02, 0.15),
        pauses=calm * maybe(0.2, 0.02, 0.1),
        membership=maybe(0.5, 0.03, 0.3),
        transfers=calm * maybe(0.3, 0.02, 0.2),
        forgets=calm * maybe(0.2, 0.02, 0.2),
        campaigns=calm * maybe(0.3, 0.02, 0.2),
        compactions=maybe(0.5, 0.03, 0.3),
    )
