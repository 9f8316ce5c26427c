"""The state as a stream for operators, as `etcdctl snapshot save` writes it to a file.

    blobs of 32 KiB    the engine's stream (`storage.engine_transfer`), as of the moment of the call
    a last blob        SHA-256 of it all, 32 bytes

Each comes with how much of the first part is still to come. That has to be known before the first one leaves, so the
engine is read twice: once to measure, once to send.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from hashlib import sha256
from typing import Final

import trio

from trioetcd.api import messages as m
from trioetcd.storage.engine import View
from trioetcd.storage.engine_transfer import stream_sizes, write_engine

BLOB_BYTES: Final = 32 << 10
"""etcd's."""


async def snapshot_blobs(view: View) -> AsyncGenerator[m.SnapshotResponse, None]:
    """Iterate over the stream of a view, which is left open. Raises what the engine raises."""
    remaining = 0
    for size in stream_sizes(view):
        remaining += size
        await trio.lowlevel.checkpoint()
    digest = sha256()
    buffer = bytearray()
    for piece in write_engine(view):
        digest.update(piece)
        buffer += piece
        while len(buffer) >= BLOB_BYTES or len(buffer) == remaining > 0:
            blob = bytes(buffer[:BLOB_BYTES])
            del buffer[:BLOB_BYTES]
            remaining -= len(blob)
            yield m.SnapshotResponse(remaining_bytes=remaining, blob=blob)
        await trio.lowlevel.checkpoint()
    assert not remaining, f"the engine was measured wrongly: {remaining} bytes of its stream are missing"
    yield m.SnapshotResponse(blob=digest.digest())
