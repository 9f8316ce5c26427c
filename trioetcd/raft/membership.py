"""Making another configuration the active one (thesis 4): when its entry is applied, or a snapshot is restored."""

from __future__ import annotations

from trioetcd.raft.confchange import Changer, ProgressMap, restore
from trioetcd.raft.core import Core
from trioetcd.raft.errors import ConfChangeRefused, RaftInvariantError
from trioetcd.raft.replication import broadcast_append, broadcast_entries, maybe_commit
from trioetcd.raft.tracker import Configuration
from trioetcd.raft.types import NO_NODE, ConfChangeV2, ConfState, StateType


def apply_conf_change(core: Core, change: ConfChangeV2) -> ConfState:
    """Make the change that was committed; it must follow from the active configuration.

    While a snapshot is on its way into storage, its configuration is active already, and whatever is still being
    applied lies before it: such a change is part of it.
    """
    if core.log.unstable.snapshot is not None:
        return core.tracker.configuration.conf_state()
    try:
        configuration, progress = Changer.of(core.tracker, core.log.last_index()).change(change)
    except ConfChangeRefused as refused:
        raise RaftInvariantError(
            f"the committed change {change} does not follow from {core.tracker.configuration}: {refused}"
        ) from refused
    return switch(core, configuration, progress)


def restore_configuration(core: Core, conf_state: ConfState) -> None:
    """Make a stored configuration the active one, with nothing known of its members yet."""
    core.tracker.votes = {}
    configuration, progress = restore(tracker=core.tracker, conf_state=conf_state, last_index=core.log.last_index())
    switch(core, configuration, progress)


def switch(core: Core, configuration: Configuration, progress: ProgressMap) -> ConfState:
    """Go on under another configuration; a leader commits what it commits, and sends to whoever is new."""
    core.tracker.switch(configuration, progress)
    if core.state is StateType.LEADER:
        own = progress.get(core.id)
        if own is None or own.is_learner:
            if core.config.step_down_on_removal:
                core.become_follower(core.term, NO_NODE)
        else:
            _lead_on(core)
    return configuration.conf_state()


def _lead_on(core: Core) -> None:
    if maybe_commit(core):
        broadcast_append(core)
    else:
        broadcast_entries(core)
    if core.transferee not in core.tracker.configuration.voters:
        core.transferee = NO_NODE
