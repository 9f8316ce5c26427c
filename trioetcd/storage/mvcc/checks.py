"""What can be said against a request without looking at any state: asked by the services before they propose it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind

MAX_TXN_OPS: Final = 128
"""etcd's default of `--max-txn-ops`."""

NESTING_MAX: Final = 32
"""Transactions within transactions. etcd bounds them by their operations alone; the codec of entries has to end too."""

_SORT_TARGETS: Final = frozenset(int(target) for target in m.SortTarget)

_Deletes = list[tuple[bytes, bytes]]  # [key, end)
_Puts = set[bytes]


def check_range(request: m.RangeRequest) -> None:
    """Refuse a range without a key, or with an unknown sort target (it crashes etcd 3.5; later ones refuse it)."""
    if not request.key:
        raise ApiError.of(ErrorKind.EMPTY_KEY)
    if request.sort_target not in _SORT_TARGETS:
        raise ApiError(Code.INVALID_ARGUMENT, "etcdserver: invalid sort option")


def check_put(request: m.PutRequest) -> None:
    """Refuse a put without a key, or with what it says to ignore."""
    if not request.key:
        raise ApiError.of(ErrorKind.EMPTY_KEY)
    if request.ignore_value and request.value:
        raise ApiError.of(ErrorKind.VALUE_PROVIDED)
    if request.ignore_lease and request.lease:
        raise ApiError.of(ErrorKind.LEASE_PROVIDED)


def check_delete_range(request: m.DeleteRangeRequest) -> None:
    """Refuse a deletion without a key."""
    if not request.key:
        raise ApiError.of(ErrorKind.EMPTY_KEY)


def check_txn(request: m.TxnRequest, max_txn_ops: int = MAX_TXN_OPS) -> None:
    """Refuse a transaction with too many operations, with one that is refused itself, or that changes a key twice."""
    _check_ops(request, max_txn_ops, NESTING_MAX)
    for branch in (request.success, request.failure):
        if len(branch) > 1 or (branch and branch[0].request_txn is not None):  # one put changes no key twice
            _check_keys(branch)


def _check_ops(request: m.TxnRequest, max_ops: int, nesting_left: int) -> None:
    """The longest of the three lists counts; a nested transaction has what this one leaves."""
    ops = max(len(request.compare), len(request.success), len(request.failure))
    if ops > max_ops or not nesting_left:
        raise ApiError.of(ErrorKind.TOO_MANY_OPS)
    for guard in request.compare:
        if not guard.key:
            raise ApiError.of(ErrorKind.EMPTY_KEY)
    for branch in (request.success, request.failure):
        for op in branch:
            if op.request_range is not None:
                check_range(op.request_range)
            elif op.request_put is not None:
                check_put(op.request_put)
            elif op.request_delete_range is not None:
                check_delete_range(op.request_delete_range)
            elif op.request_txn is not None:
                _check_ops(op.request_txn, max_ops - ops, nesting_left - 1)
            else:
                raise ApiError.of(ErrorKind.KEY_NOT_FOUND)  # etcd's answer to an operation that is none


def _check_keys(ops: Sequence[m.RequestOp]) -> tuple[_Puts, _Deletes]:
    r"""Refuse a branch that puts a key twice, or puts and deletes it; return what it puts and deletes, nested included.

    The branches of a nested transaction exclude each other, so both may put a key that nobody else does. Deletions may
    overlap. A range_end of `\0` is compared as it stands, so a deletion "from key on" is not found to overlap with
    anything: so it is in etcd, where such a transaction is accepted.
    """
    deletes: _Deletes = [
        (one.key, one.range_end or one.key + b"\0") for op in ops if (one := op.request_delete_range) is not None
    ]
    puts: _Puts = set()
    for op in ops:
        if op.request_txn is not None:
            _check_nested_keys(op.request_txn, puts, deletes)
    for op in ops:
        if op.request_put is not None:
            _add_put(op.request_put.key, puts, deletes)
    return puts, deletes


def _check_nested_keys(txn: m.TxnRequest, puts: _Puts, deletes: _Deletes) -> None:
    """Check a nested transaction against what is around it, and add its own keys to that."""
    puts_then, deletes_then = _check_keys(txn.success)
    puts_else, deletes_else = _check_keys(txn.failure)
    for key in puts_then:
        _add_put(key, puts, deletes)
    for key in puts_else:
        if key not in puts_then:
            _add_put(key, puts, deletes)
    deletes += deletes_then
    deletes += deletes_else


def _add_put(key: bytes, puts: _Puts, deletes: _Deletes) -> None:
    if key in puts or (deletes and any(start <= key < end for start, end in deletes)):
        raise ApiError.of(ErrorKind.DUPLICATE_KEY)
    puts.add(key)
