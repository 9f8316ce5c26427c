"""Why a request timed out, in etcd's words (`parseProposeCtxErr` of etcdserver).

A request that started shortly before a leader was elected was probably lost with the leader before; one whose
leader, or whose quorum, was not connected all the time was probably lost on the way.
"""

from __future__ import annotations

from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.leadership import Leadership
from trioetcd.node.protocols import Transport


class TimeoutExplainer:
    """Names the likely cause of a timeout from what the member saw since the request started."""

    def __init__(self, *, leadership: Leadership, transport: Transport, election_timeout_seconds: float) -> None:
        self._leadership = leadership
        self._transport = transport
        self._election_timeout_seconds = election_timeout_seconds

    def __call__(self, submitted_at: float) -> ApiError:
        """The error for a request that was submitted then and is overdue now."""
        elected_at = self._leadership.elected_at
        if elected_at is not None and elected_at - 2 * self._election_timeout_seconds < submitted_at < elected_at:
            return ApiError.of(ErrorKind.TIMEOUT_DUE_TO_LEADER_FAIL)
        if self._leadership.has_leader and not self._connected_since(submitted_at):
            return ApiError.of(ErrorKind.TIMEOUT_DUE_TO_CONNECTION_LOST)
        return ApiError.of(ErrorKind.TIMEOUT)

    def _connected_since(self, since: float) -> bool:
        """Whether the leader, or for a leader a quorum, was connected from `since` on."""
        peers = self._transport.status().peers
        steady = {peer.id for peer in peers if peer.active_since is not None and peer.active_since <= since}
        if not self._leadership.is_leader:
            return self._leadership.lead in steady
        return len(steady) + 1 > (len(peers) + 1) // 2
