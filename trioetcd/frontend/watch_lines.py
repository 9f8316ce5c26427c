"""Deliveries of a watch as lines of JSON. What many watchers are told is encoded once and kept on the event."""

from __future__ import annotations

from typing import cast

from trioetcd.api.json_codec import encode_event, encode_stream_result, encode_watch_response
from trioetcd.node.service.watch import WatchMessage
from trioetcd.storage.mvcc.watch_delivery import SharedEvent


def watch_line(message: WatchMessage) -> bytes:
    """The line of one response of a watch stream."""
    delivery = message.delivery
    encoded = _event_with_prev if delivery.prev_kv else _event
    body = encode_watch_response(
        header=message.header,
        watch_id=delivery.watch_id,
        created=delivery.created,
        canceled=delivery.canceled,
        compact_revision=delivery.compact_revision,
        cancel_reason=delivery.cancel_reason,
        fragment=delivery.fragment,
        events=[encoded(shared) for shared in delivery.events],
    )
    return encode_stream_result(body)


def _event(shared: SharedEvent) -> bytes:
    if shared.encoded is None:
        shared.encoded = encode_event(shared.message(with_prev=False))
    return cast("bytes", shared.encoded)


def _event_with_prev(shared: SharedEvent) -> bytes:
    if shared.encoded_with_prev is None:
        shared.encoded_with_prev = encode_event(shared.message(with_prev=True))
    return cast("bytes", shared.encoded_with_prev)
