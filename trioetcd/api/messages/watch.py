"""The Watch service."""

from __future__ import annotations

from enum import IntEnum

from trioetcd.api.messages.common import Event, ResponseHeader
from trioetcd.api.schema import boolean, bytes_, enum, enumeration, int64, message, nested, string


@enum("etcdserverpb.WatchCreateRequest.FilterType")
class FilterType(IntEnum):
    """Which events a watcher does not want."""

    NOPUT = 0
    NODELETE = 1


@message("etcdserverpb.WatchRequest")
class WatchRequest:
    """What Watch.Watch is asked."""

    create_request: WatchCreateRequest | None = nested(1, lambda: WatchCreateRequest, oneof="request_union")
    cancel_request: WatchCancelRequest | None = nested(2, lambda: WatchCancelRequest, oneof="request_union")
    progress_request: WatchProgressRequest | None = nested(3, lambda: WatchProgressRequest, oneof="request_union")


@message("etcdserverpb.WatchCreateRequest")
class WatchCreateRequest:
    """A watcher to create on the stream."""

    key: bytes = bytes_(1)
    range_end: bytes = bytes_(2)
    start_revision: int = int64(3)
    progress_notify: bool = boolean(4)
    filters: list[int] = enumeration(5, FilterType, repeated=True)
    prev_kv: bool = boolean(6)
    watch_id: int = int64(7)
    fragment: bool = boolean(8)


@message("etcdserverpb.WatchCancelRequest")
class WatchCancelRequest:
    """A watcher to cancel."""

    watch_id: int = int64(1)


@message("etcdserverpb.WatchProgressRequest")
class WatchProgressRequest:
    """Ask how far the stream's watchers have come."""


@message("etcdserverpb.WatchResponse")
class WatchResponse:
    """What Watch.Watch answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    watch_id: int = int64(2)
    created: bool = boolean(3)
    canceled: bool = boolean(4)
    compact_revision: int = int64(5)
    cancel_reason: str = string(6)
    fragment: bool = boolean(7)
    events: list[Event] = nested(11, lambda: Event, repeated=True)
