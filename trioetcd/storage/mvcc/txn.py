"""Transactions: guards decide which branch runs, and what runs is one revision or nothing.

Everything is decided before anything is written, on the state as it was before: which branch each transaction takes
(the nested ones too: their guards do not see what the outer one writes), and whether any operation of the chosen
branches must be refused. So a transaction is all or nothing, alike on all members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, ErrorKind
from trioetcd.storage.leases import Leases
from trioetcd.storage.mvcc.range_query import answer_range
from trioetcd.storage.mvcc.versions import Versions, end_of

_ZERO: Final = m.KeyValue()

_HOLDS: Final[dict[int, Callable[[object, object], bool]]] = {
    m.CompareResult.EQUAL: lambda ours, theirs: ours == theirs,
    m.CompareResult.NOT_EQUAL: lambda ours, theirs: ours != theirs,
    m.CompareResult.GREATER: lambda ours, theirs: ours > theirs,  # type: ignore[operator] # both are ints or both bytes
    m.CompareResult.LESS: lambda ours, theirs: ours < theirs,  # type: ignore[operator] # as above
}

_SIDES: Final[dict[int, Callable[[m.Compare, m.KeyValue], tuple[object, object]]]] = {
    m.CompareTarget.VERSION: lambda guard, kv: (kv.version, guard.version or 0),
    m.CompareTarget.CREATE: lambda guard, kv: (kv.create_revision, guard.create_revision or 0),
    m.CompareTarget.MOD: lambda guard, kv: (kv.mod_revision, guard.mod_revision or 0),
    m.CompareTarget.VALUE: lambda guard, kv: (kv.value, guard.value or b""),
    m.CompareTarget.LEASE: lambda guard, kv: (kv.lease, guard.lease or 0),
}


class Chosen(NamedTuple):
    """A transaction with its branch decided. `nested` holds those of the branch's own transactions, in order."""

    succeeded: bool
    ops: list[m.RequestOp]
    nested: tuple[Chosen, ...]


def apply_txn(store: Versions, leases: Leases, request: m.TxnRequest) -> m.TxnResponse:
    """Run a transaction and commit it. Raises what refuses it; then nothing has changed."""
    chosen = _choose(store, request)
    _check_puts(store, leases, chosen)
    _check_ranges(store, chosen)
    response = _run(store, chosen)
    response.header = m.ResponseHeader(revision=store.commit())
    return response


def read_txn(store: Versions, request: m.TxnRequest) -> m.TxnResponse:
    """Answer a transaction that `is_read_only` without going through the log; its header has the revision."""
    chosen = _choose(store, request)
    _check_ranges(store, chosen)
    response = _run(store, chosen)
    response.header = m.ResponseHeader(revision=store.revision)
    return response


def is_read_only(request: m.TxnRequest) -> bool:
    """Whether both branches hold ranges alone (a nested transaction counts as a write, as it does in etcd)."""
    return all(op.request_range is not None for op in (*request.success, *request.failure))


def is_serializable(request: m.TxnRequest) -> bool:
    """Whether a read-only transaction may be answered from local state."""
    ranges = (op.request_range for op in (*request.success, *request.failure))
    return all(one is not None and one.serializable for one in ranges)


# -- guards


def _choose(store: Versions, request: m.TxnRequest) -> Chosen:
    succeeded = all(_holds(store, guard) for guard in request.compare)
    ops = request.success if succeeded else request.failure
    nested = tuple(_choose(store, op.request_txn) for op in ops if op.request_txn is not None)
    return Chosen(succeeded, ops, nested)


def _holds(store: Versions, guard: m.Compare) -> bool:
    """Whether a guard holds for every key of its range; for no key at all, whether it holds for zeros.

    A value is never compared with that of a key that is not there: such a guard fails whatever it asks.
    """
    if not guard.range_end:
        kv = store.get(guard.key)
        kvs = [] if kv is None else [kv]
    else:
        index = store.index
        kvs = [store.load(index.newest(key)) for key in index.live(guard.key, end_of(guard.range_end))]
    if not kvs:
        return guard.target != m.CompareTarget.VALUE and _compare(guard, _ZERO)
    return all(_compare(guard, kv) for kv in kvs)


def _compare(guard: m.Compare, kv: m.KeyValue) -> bool:
    """One guard on one version. An unknown target compares as equal, an unknown result holds always, as in etcd."""
    sides = _SIDES.get(guard.target)
    ours, theirs = (0, 0) if sides is None else sides(guard, kv)
    holds = _HOLDS.get(guard.result)
    return holds is None or holds(ours, theirs)


# -- checks


def _flattened(chosen: Chosen) -> Iterator[m.RequestOp]:
    """The operations of the chosen branches, nested ones in their places."""
    nested = iter(chosen.nested)
    for op in chosen.ops:
        if op.request_txn is None:
            yield op
        else:
            yield from _flattened(next(nested))


def _check_puts(store: Versions, leases: Leases, chosen: Chosen) -> None:
    """Refuse puts that keep what is not there, or that name a lease that is not there.

    A key is not there either when the transaction itself has deleted it by then (which crashes etcd 3.5).
    """
    deleted: list[tuple[bytes, bytes | None]] = []
    for op in _flattened(chosen):
        if op.request_delete_range is not None:
            gone = op.request_delete_range
            deleted.append((gone.key, end_of(gone.range_end or gone.key + b"\0")))
        put = op.request_put
        if put is None:
            continue
        if put.ignore_value or put.ignore_lease:
            is_deleted = any(start <= put.key and (end is None or put.key < end) for start, end in deleted)
            if is_deleted or not store.index.newest(put.key):
                raise ApiError.of(ErrorKind.KEY_NOT_FOUND)
        leases.check(put.lease)


def _check_ranges(store: Versions, chosen: Chosen) -> None:
    """Refuse ranges at revisions that cannot be read, counted from the state before the transaction."""
    for op in _flattened(chosen):
        if op.request_range is not None and op.request_range.revision:
            store.check_revision(op.request_range.revision)


# -- operations


def _run(store: Versions, chosen: Chosen) -> m.TxnResponse:
    nested = iter(chosen.nested)
    responses = [_run_op(store, op, nested) for op in chosen.ops]
    return m.TxnResponse(None, chosen.succeeded, responses)


def _run_op(store: Versions, op: m.RequestOp, nested: Iterator[Chosen]) -> m.ResponseOp:
    """One operation. What it answers carries the revision that the store was read or written at, and nothing else."""
    if op.request_range is not None:
        found = answer_range(store, op.request_range)
        found.header = m.ResponseHeader(revision=store.read_revision)
        return m.ResponseOp(response_range=found)
    if op.request_put is not None:
        put = run_put(store, op.request_put)
        put.header = m.ResponseHeader(revision=store.read_revision)
        return m.ResponseOp(response_put=put)
    if op.request_delete_range is not None:
        deleted = run_delete_range(store, op.request_delete_range)
        deleted.header = m.ResponseHeader(revision=store.read_revision)
        return m.ResponseOp(response_delete_range=deleted)
    inner = _run(store, next(nested))
    inner.header = m.ResponseHeader()
    return m.ResponseOp(response_txn=inner)


def apply_put(store: Versions, leases: Leases, request: m.PutRequest) -> m.PutResponse:
    """A put on its own. Unlike in a transaction, the lease is looked at before the key."""
    if request.lease:
        leases.check(request.lease)
    if (request.ignore_value or request.ignore_lease) and not store.index.newest(request.key):
        raise ApiError.of(ErrorKind.KEY_NOT_FOUND)
    response = run_put(store, request)
    response.header = m.ResponseHeader(0, 0, store.commit())
    return response


def apply_delete_range(store: Versions, request: m.DeleteRangeRequest) -> m.DeleteRangeResponse:
    """A deletion on its own."""
    response = run_delete_range(store, request)
    response.header = m.ResponseHeader(0, 0, store.commit())
    return response


def run_put(store: Versions, request: m.PutRequest) -> m.PutResponse:
    """Put, within a request that is committed by the caller and has been checked."""
    key = request.key
    previous = store.get(key)
    value, lease = request.value, request.lease
    if previous is not None:
        if request.ignore_value:
            value = previous.value
        if request.ignore_lease:
            lease = previous.lease
    store.put(key, value, lease, previous)
    return m.PutResponse(None, previous if request.prev_kv else None)


def run_delete_range(store: Versions, request: m.DeleteRangeRequest) -> m.DeleteRangeResponse:
    """Delete, within a request that is committed by the caller."""
    previous: list[m.KeyValue] = []
    if request.prev_kv:
        previous = answer_range(store, m.RangeRequest(request.key, request.range_end)).kvs
    deleted = store.delete_range(request.key, request.range_end)
    return m.DeleteRangeResponse(None, deleted, previous)
