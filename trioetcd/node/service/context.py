"""What a front end knows of a call besides its request."""

from __future__ import annotations

from typing import NamedTuple


class CallContext(NamedTuple):
    """`token` is the raw authentication token; `require_leader` is the `hasleader` metadata; `remote` is for logs.

    `user` is set by services alone, in calls that wait for long: who asks was found by the token when they began.
    """

    token: str | None = None
    require_leader: bool = False
    remote: str = ""
    user: str | None = None

    def __repr__(self) -> str:
        """Without the token, which opens what its user may do."""
        has_token = self.token is not None
        return f"CallContext(token={has_token}, require_leader={self.require_leader}, remote={self.remote!r})"


ANYONE = CallContext()
