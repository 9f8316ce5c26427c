"""Which changes of the members are refused before they are proposed: `--strict-reconfig-check`, etcd's rules.

A change must not cost the cluster its quorum. Two things are looked at: who has started (who has published a name),
which all members know alike, and who has been connected with this member for some seconds, which it alone knows. The
rules are those of etcd 3.5's server.go; for adding a member that of 3.5's last releases, which ask for a quorum of the
cluster as it will be, not for all members (etcd issue 16798).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.protocols import Transport
from trioetcd.storage.machine import StateMachine
from trioetcd.storage.members import Member

HEALTH_SECONDS: Final = 5.0
"""Who has been connected for so long counts as healthy (etcd's HealthInterval)."""


class ReconfigCheck:
    """Raises `ApiError` for a change that the rules refuse. `clock` is that of the transport's times."""

    def __init__(
        self,
        *,
        enabled: bool,
        member_id: int,
        machine: StateMachine,
        transport: Transport,
        clock: Callable[[], float],
    ) -> None:
        self._enabled = enabled
        self._member_id = member_id
        self._machine = machine
        self._transport = transport
        self._clock = clock

    def may_add(self, *, is_learner: bool) -> None:
        """A voter needs a quorum of started members; anyone needs the cluster to be healthy."""
        if not self._enabled:
            return
        voters = self._voters()
        # A lone member may add one that has not started: so a cluster is grown, or rebuilt from its last member.
        if not is_learner and not (_started(voters) == 1 == len(voters)):
            _require(_started(voters), _quorum(len(voters) + 1))
        if len(voters) > 1 and len(self._connected(voters)) < _quorum(len(voters) + 1):
            raise ApiError.of(ErrorKind.UNHEALTHY)

    def may_remove(self, member_id: int) -> None:
        """Those who stay must be a quorum. A learner may always go, and so may one that is not connected at all."""
        if not self._enabled:
            return
        voters = self._voters()
        leaving = self._machine.members.get(member_id)
        if leaving is None or leaving.is_learner:
            return
        staying = [one for one in voters if one.id != member_id]
        _require(_started(staying), _quorum(len(staying)))
        if member_id != self._member_id and member_id not in self._active():
            return
        if len(self._connected(voters)) - 1 < _quorum(len(staying)):
            raise ApiError.of(ErrorKind.UNHEALTHY)

    def may_promote(self) -> None:
        """The learner counts as started: it was asked before this whether it has the log."""
        if self._enabled:
            voters = self._voters()
            _require(_started(voters) + 1, _quorum(len(voters) + 1))

    def _voters(self) -> list[Member]:
        return [one for one in self._machine.members.members() if not one.is_learner]

    def _active(self) -> dict[int, float]:
        """Since when the peers that are connected are."""
        peers = self._transport.status().peers
        return {peer.id: peer.active_since for peer in peers if peer.active_since is not None}

    def _connected(self, members: Sequence[Member]) -> list[Member]:
        """Those that have been connected for long enough; this member always is."""
        since, active = self._clock() - HEALTH_SECONDS, self._active()
        return [one for one in members if one.id == self._member_id or active.get(one.id, since) < since]


def _started(members: Sequence[Member]) -> int:
    return sum(bool(one.name) for one in members)


def _quorum(voters: int) -> int:
    return voters // 2 + 1


def _require(started: int, quorum: int) -> None:
    if started < quorum:
        raise ApiError.of(ErrorKind.MEMBER_NOT_ENOUGH_STARTED)
