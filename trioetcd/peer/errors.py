"""What can go wrong between members. All of it is expected, caught where it happens, and tried again."""

from __future__ import annotations

import trio

from trioetcd.http11 import HttpError
from trioetcd.peer.checks import REMOVED_PIPELINE_SENDER, REMOVED_SENDER

NETWORK_ERRORS = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, HttpError)
"""How an exchange with a peer over HTTP fails."""


class PeerFailure(Exception):
    """A peer was not reached, fell silent, or broke the protocol; the text says which."""


class PeerGone(PeerFailure):
    """All addresses of a peer refuse connections: its process is gone."""


class PeerRefused(PeerFailure):
    """A peer answered, and refused: `status` and the reason that it gave."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(f"refused with status {status}: {reason}")

    @property
    def says_removed(self) -> bool:
        """Whether the peer says that this member was removed from the cluster, as streams and the pipeline say it."""
        expected = {410: REMOVED_SENDER, 403: REMOVED_PIPELINE_SENDER}.get(self.status)
        return expected is not None and expected in self.reason


def describe(error: BaseException) -> str:
    """An error for a log line: its text, or its kind when it has none."""
    return str(error) or type(error).__name__
