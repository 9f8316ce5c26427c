"""What a request's header fields say about the call: its token, its deadline, what it demands of the cluster."""

from __future__ import annotations

import re
from typing import Final

from trioetcd.api import go_base64
from trioetcd.api.errors import ApiError, Code
from trioetcd.http11 import Headers
from trioetcd.node.service.context import ANYONE, CallContext

_UNIT_NANOSECONDS: Final = {"H": 3600 * 10**9, "M": 60 * 10**9, "S": 10**9, "m": 10**6, "u": 1000, "n": 1}
_INT64_MAX: Final = (1 << 63) - 1
_UINT64_MAX: Final = (1 << 64) - 1
_TIMEOUT: Final = re.compile(rb"([+-]?[0-9]+)([HMSmun])")
_TIMEOUT_BYTES_MAX: Final = 64  # zeros in front are allowed, but Python reads no number of thousands of digits


def is_plain(headers: Headers) -> bool:
    """Whether the fields say nothing about a call: not whose it is, what it asks for, how long it may take."""
    if b"-bin" in b" ".join(headers):  # metadata that has to be checked
        return False
    try:
        return checked_timeout(headers) is None and call_context(headers, ANYONE) is ANYONE
    except ApiError:
        return False


def call_context(headers: Headers, anonymous: CallContext) -> CallContext:
    """The context of a call; `anonymous`, the connection's own, when the fields add nothing to it."""
    token = headers.get(b"grpc-metadata-token")
    if token is None:
        token = headers.get(b"authorization")
    if token is None:
        token = headers.get(b"grpc-metadata-authorization")
    require_leader = headers.get(b"grpc-metadata-hasleader") == b"true"
    if token is None and not require_leader:
        return anonymous
    return CallContext(
        token=None if token is None else token.decode("latin-1").strip(" \t").removeprefix("Bearer "),
        require_leader=require_leader,
        remote=anonymous.remote,
    )


def checked_timeout(headers: Headers) -> float | None:
    """The time a call may take, in seconds. Raises what the gateway says of fields before it looks at a body."""
    timeout = _timeout_seconds(headers)
    if b"-bin" in b" ".join(headers):  # a cheap look: hardly anybody sends such a field
        _check_binaries(headers)
    return timeout


def _check_binaries(headers: Headers) -> None:
    """Metadata whose name ends in `-Bin` is base64, with padding or without."""
    for name, value in headers.items():
        if name.startswith(b"grpc-metadata-") and name.endswith(b"-bin"):
            try:
                go_base64.decode(value, padded=len(value) % 4 == 0)
            except go_base64.Base64Error as error:
                canonical = b"-".join(part.capitalize() for part in name.split(b"-")).decode()
                raise ApiError(Code.INVALID_ARGUMENT, f"invalid binary header {canonical}: {error}") from error


def _timeout_seconds(headers: Headers) -> float | None:
    """The `Grpc-Timeout` of a call (`5S`, `200m`, `1n`); zero is none."""
    field = headers.get(b"grpc-timeout")
    if not field:
        return None
    field = field.partition(b", ")[0]  # of several the first
    found = _TIMEOUT.fullmatch(field) if len(field) <= _TIMEOUT_BYTES_MAX else None
    if found is None or abs(amount := int(found[1])) > _INT64_MAX:
        raise ApiError(Code.INVALID_ARGUMENT, f"invalid grpc-timeout: {field.decode(errors='surrogateescape')}")
    nanoseconds = amount * _UNIT_NANOSECONDS[found[2].decode()] & _UINT64_MAX  # a Duration of Go, which may overflow
    return (nanoseconds if nanoseconds <= _INT64_MAX else nanoseconds - _UINT64_MAX - 1) * 1e-9 or None
