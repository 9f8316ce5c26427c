"""The commands of confchange transcripts: simple, enter-joint, leave-joint on one configuration."""

from __future__ import annotations

from tests.raft.traces import describe
from tests.raft.traces.transcript import Case
from trioetcd.raft import ConfChangeRefused, ConfChangeSingle, ProgressStatus
from trioetcd.raft.confchange import Changed, Changer
from trioetcd.raft.tracker import Tracker

COMMANDS = frozenset({"simple", "enter-joint", "leave-joint"})


class ConfChanges:
    """Executes the cases of one transcript, one after another."""

    def __init__(self) -> None:
        self._tracker = Tracker(inflight_messages_max=10, inflight_bytes_max=0)
        self._last_index = 0  # one more for each command, so that `next` tells when a member was added

    def __call__(self, case: Case) -> str:
        try:
            self._tracker.switch(*self._change(case, describe.conf_changes(case.input)))
        except (ConfChangeRefused, ValueError) as refused:
            return str(refused)
        finally:
            self._last_index += 1
        progress = [f"{member}: {ProgressStatus.of(p)}" for member, p in self._tracker.progress.items()]
        return "\n".join([str(self._tracker.configuration), *progress])

    def _change(self, case: Case, changes: list[ConfChangeSingle]) -> Changed:
        changer = Changer.of(self._tracker, self._last_index)
        match case.command:
            case "simple":
                return changer.simple(changes)
            case "enter-joint":
                auto_leave = any(a.key == "autoleave" and a.values == ("true",) for a in case.arguments)
                return changer.enter_joint(changes, auto_leave=auto_leave)
            case "leave-joint" if changes:
                raise ValueError("this command takes no input")
            case "leave-joint":
                return changer.leave_joint()
            case _:
                raise ValueError("unknown command")
