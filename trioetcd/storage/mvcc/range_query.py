"""Answering a RangeRequest, with what etcd makes of every combination of its options.

- `count` is the number of keys in the range, whatever limit and filters leave of them.
- The limit is applied while keys are gathered (plus one, to know whether there are more) unless an order or a filter is
  asked for. Sorting by a target other than KEY without naming an order is ascending, but *after* that limit.
- Revisions of 0 and below stand for the newest.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from trioetcd.api import messages as m
from trioetcd.storage.mvcc.go_sort import go_sorted
from trioetcd.storage.mvcc.versions import Versions, end_of

_NONE: Final = int(m.SortOrder.NONE)
_ASCEND: Final = int(m.SortOrder.ASCEND)
_DESCEND: Final = int(m.SortOrder.DESCEND)
_KEY: Final = int(m.SortTarget.KEY)

_SORT_KEYS: Final[dict[int, Callable[[m.KeyValue], Any]]] = {
    m.SortTarget.KEY: attrgetter("key"),
    m.SortTarget.VERSION: attrgetter("version"),
    m.SortTarget.CREATE: attrgetter("create_revision"),
    m.SortTarget.MOD: attrgetter("mod_revision"),
    m.SortTarget.VALUE: attrgetter("value"),
}


def answer_range(store: Versions, request: m.RangeRequest) -> m.RangeResponse:
    """The answer, without a header. Raises COMPACTED, FUTURE_REV; the request must have passed `checks.check_range`."""
    store.counts.ranges += 1
    at = request.revision
    if at > 0:
        store.check_revision(at)
        if at == store.read_revision:
            at = 0
    if not request.range_end:
        return _answer_key(store, request, max(at, 0))
    if request.count_only:
        return m.RangeResponse(None, [], False, _count(store, request, at))
    filtered = _has_filters(request)
    limit = 0 if filtered or request.sort_order != _NONE or request.limit <= 0 else request.limit + 1
    count, kvs = _gather(store, request, at, limit)
    if filtered:
        kvs = [kv for kv in kvs if _passes(kv, request)]
    kvs = _ordered(kvs, request)
    more = 0 < request.limit < len(kvs)
    if more:
        kvs = kvs[: request.limit]
    if request.keys_only and request.sort_target == m.SortTarget.VALUE:
        for kv in kvs:
            kv.value = b""
    return m.RangeResponse(None, kvs, more, count)


def _answer_key(store: Versions, request: m.RangeRequest, at: int) -> m.RangeResponse:
    """The common case: one key, where limits and orders have nothing to do."""
    rev = store.index.at(request.key, at) if at else store.index.newest(request.key)
    if not rev:
        return m.RangeResponse()
    if request.count_only:
        return m.RangeResponse(None, [], False, 1)
    kv = store.load_without_value(rev) if request.keys_only else store.load(rev)
    if _has_filters(request) and not _passes(kv, request):
        return m.RangeResponse(None, [], False, 1)
    return m.RangeResponse(None, [kv], False, 1)


def _count(store: Versions, request: m.RangeRequest, at: int) -> int:
    end = end_of(request.range_end)
    if at <= 0:
        return store.index.count_live(request.key, end)
    return len(store.index.lived(request.key, end, at))


def _gather(store: Versions, request: m.RangeRequest, at: int, limit: int) -> tuple[int, list[m.KeyValue]]:
    """How many keys the range has, and the versions of the first `limit` of them (0: of all)."""
    load = store.load_without_value if _leaves_values(request) else store.load
    end = end_of(request.range_end)
    index = store.index
    if at <= 0:
        keys = index.live(request.key, end, limit)
        return index.count_live(request.key, end), [load(index.newest(key)) for key in keys]
    revs = index.lived(request.key, end, at)
    return len(revs), [load(rev) for rev in (revs[:limit] if limit else revs)]


def _leaves_values(request: m.RangeRequest) -> bool:
    return request.keys_only and request.sort_target != m.SortTarget.VALUE


def _has_filters(request: m.RangeRequest) -> bool:
    return bool(
        request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _passes(kv: m.KeyValue, request: m.RangeRequest) -> bool:
    """Whether the four bounds leave the version in; a bound of 0 is none."""
    low, high = request.min_mod_revision, request.max_mod_revision
    if (low and kv.mod_revision < low) or (high and kv.mod_revision > high):
        return False
    low, high = request.min_create_revision, request.max_create_revision
    return not ((low and kv.create_revision < low) or (high and kv.create_revision > high))


def _ordered(kvs: list[m.KeyValue], request: m.RangeRequest) -> list[m.KeyValue]:
    """In the order asked for. An unknown order leaves the order of keys, as it does in etcd."""
    order = request.sort_order
    if order == _NONE and request.sort_target != _KEY:
        order = _ASCEND
    if order not in (_ASCEND, _DESCEND):
        return kvs
    return go_sorted(kvs, key=_SORT_KEYS[request.sort_target], descending=order == _DESCEND)
