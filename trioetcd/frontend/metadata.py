"""What a request's header fields say about the call: its token, its deadline, what it demands of the cluster."""

from __future__ import annotations

from typing import Final

from trioetcd.api.errors import ApiError, Code
from trioetcd.http11 import Headers
from trioetcd.node.service.context import CallContext

_UNIT_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_INT64_MAX: Final = (1 << 63) - 1


def call_context(headers: Headers, anonymous: CallContext) -> CallContext:
    """The context of a call; `anonymous`, the connection's own, when the fields add nothing to it."""
    token = headers.get(b"grpc-metadata-token") or headers.get(b"authorization")
    require_leader = headers.get(b"grpc-metadata-hasleader") == b"true"
    if token is None and not require_leader:
        return anonymous
    return CallContext(
        token=None if token is None else token.decode("latin-1").removeprefix("Bearer "),
        require_leader=require_leader,
        remote=anonymous.remote,
    )


def timeout_seconds(headers: Headers) -> float | None:
    """The `Grpc-Timeout` of a call (`5S`, `200m`, `1n`), which the gateway checks before the body; zero is none."""
    field = headers.get(b"grpc-timeout")
    if not field:
        return None
    text = field.decode("latin-1")
    amount, unit = text[:-1], _UNIT_SECONDS.get(text[-1])
    if unit is None or not amount.lstrip("+-").isdigit() or abs(int(amount)) > _INT64_MAX:
        raise ApiError(Code.INVALID_ARGUMENT, f"invalid grpc-timeout: {text}")
    return int(amount) * unit or None
