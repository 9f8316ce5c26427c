"""Following a line of keys through time: who is first in it, and every value that one gives their key.

A deletion is followed by a look at the line as it was at that very revision, and the watch goes on from there. So no
leader is missed, however short its time, unless the history was compacted before it could be told: then the present is
looked at again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.node.service.concurrency import HistoryGoneError, Lines, end_of_line, first_in, header_of
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.kv import KvService

_PRESENT: Final = 0


async def observe_line(
    lines: Lines, kv: KvService, prefix: bytes, context: CallContext
) -> AsyncGenerator[tuple[int, m.KeyValue], None]:
    """Revisions, and the first in line with the value of then; never ends by itself. Close it (`aclosing`)."""
    revision = _PRESENT
    while True:
        try:
            seen_at, first = await _first_at(kv, prefix, revision, context)
            if first is None:
                first = await _next_to_enter(lines, prefix, seen_at, context)
                seen_at = first.mod_revision
            yield seen_at, first
            request = m.WatchCreateRequest(key=first.key, start_revision=seen_at + 1)
            async with lines.changes(request, context) as changes:
                while (event := await changes.next()).kv.create_revision:
                    yield event.mod_revision, event.kv
            revision = event.mod_revision  # of the deletion
        except HistoryGoneError:
            revision = _PRESENT


async def _first_at(kv: KvService, prefix: bytes, revision: int, context: CallContext) -> tuple[int, m.KeyValue | None]:
    """Who is first at a revision that this member has, or now; and which revision that is."""
    is_past = revision != _PRESENT
    try:
        found = await kv.range(first_in(prefix, revision=revision, serializable=is_past), context)
    except ApiError as error:
        if is_past and error == ApiError.of(ErrorKind.COMPACTED):
            raise HistoryGoneError from error
        raise
    return revision or header_of(found).revision, found.kvs[0] if found.kvs else None


async def _next_to_enter(lines: Lines, prefix: bytes, seen_at: int, context: CallContext) -> m.KeyValue:
    """Wait for the first to enter a line that was empty at a revision."""
    request = m.WatchCreateRequest(
        key=prefix, range_end=end_of_line(prefix), start_revision=seen_at + 1, filters=[m.FilterType.NODELETE]
    )
    async with lines.changes(request, context) as changes:
        return (await changes.next()).kv
