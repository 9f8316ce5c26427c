"""What a request's header fields say about the call: its token, its deadline, what it demands of the cluster."""

from __future__ import annotations

import re
from typing import Final

from trioetcd.api.errors import ApiError, Code
from trioetcd.http11 import Headers
from trioetcd.node.service.context import CallContext

_UNIT_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_INT64_MAX: Final = (1 << 63) - 1
_TIMEOUT: Final = re.compile(rb"([+-]?[0-9]+)([HMSmun])")
_TIMEOUT_BYTES_MAX: Final = 64  # zeros in front are allowed, but Python reads no number of thousands of digits


def call_context(headers: Headers, anonymous: CallContext) -> CallContext:
    """The context of a call; `anonymous`, the connection's own, when the fields add nothing to it."""
    token = headers.get(b"grpc-metadata-token") or headers.get(b"authorization")
    require_leader = headers.get(b"grpc-metadata-hasleader") == b"true"
    if token is None and not require_leader:
        return anonymous
    return CallContext(
        token=None if token is None else token.decode("latin-1").strip(" \t").removeprefix("Bearer "),
        require_leader=require_leader,
        remote=anonymous.remote,
    )


def timeout_seconds(headers: Headers) -> float | None:
    """The `Grpc-Timeout` of a call (`5S`, `200m`, `1n`), which the gateway checks before the body; zero is none."""
    field = headers.get(b"grpc-timeout")
    if not field:
        return None
    found = _TIMEOUT.fullmatch(field) if len(field) <= _TIMEOUT_BYTES_MAX else None
    if found is None or abs(amount := int(found[1])) > _INT64_MAX:
        raise ApiError(Code.INVALID_ARGUMENT, f"invalid grpc-timeout: {field.decode('latin-1')}")
    return amount * _UNIT_SECONDS[found[2].decode()] or None
