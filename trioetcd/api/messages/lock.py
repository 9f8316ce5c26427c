"""The Lock service."""

from __future__ import annotations

from trioetcd.api.messages.common import ResponseHeader
from trioetcd.api.schema import bytes_, int64, message, nested


@message("v3lockpb.LockRequest")
class LockRequest:
    """What Lock.Lock is asked."""

    name: bytes = bytes_(1)
    lease: int = int64(2)


@message("v3lockpb.LockResponse")
class LockResponse:
    """What Lock.Lock answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    key: bytes = bytes_(2)


@message("v3lockpb.UnlockRequest")
class UnlockRequest:
    """What Lock.Unlock is asked."""

    key: bytes = bytes_(1)


@message("v3lockpb.UnlockResponse")
class UnlockResponse:
    """What Lock.Unlock answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
