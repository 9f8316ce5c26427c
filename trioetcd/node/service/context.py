"""What a front end knows of a call besides its request."""

from __future__ import annotations

from typing import NamedTuple


class CallContext(NamedTuple):
    """`token` is the raw authentication token; `require_leader` is the `hasleader` metadata; `remote` is for logs."""

    token: str | None = None
    require_leader: bool = False
    remote: str = ""


ANYONE = CallContext()
