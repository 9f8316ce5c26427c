"""The parts of a transaction, written so that they read aloud.

await client.txn(
    compare=[version_of("lock") == 0],
    success=[put_op("lock", "mine")],
    failure=[get_op("lock")],
)
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from trioetcd.api import messages as m
from trioetcd.client.keys import Text, key_range, to_bytes

V = TypeVar("V", int, Text)


class Operand(Generic[V]):
    """One side of a guard: comparing it with a value makes the guard, an `m.Compare`."""

    __hash__ = None  # type: ignore[assignment] # it is compared to build guards, never looked up

    def __init__(self, target: m.CompareTarget, field: str, key: Text, *, prefix: bool) -> None:
        self._target = target
        self._field = field
        self._key, self._range_end = key_range(key, prefix=prefix, range_end=None)

    def __eq__(self, value: V) -> m.Compare:  # type: ignore[override] # it makes a guard, not a truth
        return self._compare(m.CompareResult.EQUAL, value)

    def __ne__(self, value: V) -> m.Compare:  # type: ignore[override] # it makes a guard, not a truth
        return self._compare(m.CompareResult.NOT_EQUAL, value)

    def __gt__(self, value: V) -> m.Compare:
        return self._compare(m.CompareResult.GREATER, value)

    def __lt__(self, value: V) -> m.Compare:
        return self._compare(m.CompareResult.LESS, value)

    def _compare(self, result: m.CompareResult, value: V) -> m.Compare:
        operand: dict[str, Any] = {self._field: to_bytes(value) if isinstance(value, str) else value}
        return m.Compare(result=result, target=self._target, key=self._key, range_end=self._range_end, **operand)


def version_of(key: Text, *, prefix: bool = False) -> Operand[int]:
    """How often the key was written since it was created; 0 when there is no such key."""
    return Operand(m.CompareTarget.VERSION, "version", key, prefix=prefix)


def create_revision_of(key: Text, *, prefix: bool = False) -> Operand[int]:
    """The revision that created the key; 0 when there is no such key."""
    return Operand(m.CompareTarget.CREATE, "create_revision", key, prefix=prefix)


def mod_revision_of(key: Text, *, prefix: bool = False) -> Operand[int]:
    """The revision that last wrote the key; 0 when there is no such key."""
    return Operand(m.CompareTarget.MOD, "mod_revision", key, prefix=prefix)


def value_of(key: Text, *, prefix: bool = False) -> Operand[Text]:
    """The key's value; of a key that is not there every comparison is false."""
    return Operand(m.CompareTarget.VALUE, "value", key, prefix=prefix)


def lease_of(key: Text, *, prefix: bool = False) -> Operand[int]:
    """The lease that the key is attached to, or 0."""
    return Operand(m.CompareTarget.LEASE, "lease", key, prefix=prefix)


def get_op(key: Text, *, prefix: bool = False, range_end: Text | None = None, **options: Any) -> m.RequestOp:
    """A range; `options` are fields of `m.RangeRequest`."""
    start, end = key_range(key, prefix=prefix, range_end=range_end)
    return m.RequestOp(request_range=m.RangeRequest(key=start, range_end=end, **options))


def put_op(key: Text, value: Text, **options: Any) -> m.RequestOp:
    """A put; `options` are fields of `m.PutRequest`."""
    return m.RequestOp(request_put=m.PutRequest(key=to_bytes(key), value=to_bytes(value), **options))


def delete_op(key: Text, *, prefix: bool = False, range_end: Text | None = None, prev_kv: bool = False) -> m.RequestOp:
    """A deletion of a key or a range."""
    start, end = key_range(key, prefix=prefix, range_end=range_end)
    return m.RequestOp(request_delete_range=m.DeleteRangeRequest(key=start, range_end=end, prev_kv=prev_kv))


def txn_op(request: m.TxnRequest) -> m.RequestOp:
    """A transaction inside a transaction."""
    return m.RequestOp(request_txn=request)


def is_read_only(request: m.TxnRequest) -> bool:
    """Whether neither branch writes: such a transaction may be repeated."""
    return all(
        op.request_range is not None or (op.request_txn is not None and is_read_only(op.request_txn))
        for op in (*request.success, *request.failure)
    )
