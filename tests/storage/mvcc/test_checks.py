"""Refusals that need no state."""

from __future__ import annotations

import pytest

from trioetcd.api import messages as m
from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.storage.mvcc.checks import NESTING_MAX, check_delete_range, check_put, check_range, check_txn
from trioetcd.storage.requests import Proposal, RaftRequest, decode_proposal, encode_proposal


def put(key: bytes = b"k", **more: object) -> m.RequestOp:
    return m.RequestOp(request_put=m.PutRequest(key=key, **more))  # type: ignore[arg-type]  # the fields of the request


def delete(key: bytes, range_end: bytes = b"") -> m.RequestOp:
    return m.RequestOp(request_delete_range=m.DeleteRangeRequest(key=key, range_end=range_end))


def get(key: bytes = b"k") -> m.RequestOp:
    return m.RequestOp(request_range=m.RangeRequest(key=key))


def txn(*success: m.RequestOp, failure: tuple[m.RequestOp, ...] = ()) -> m.TxnRequest:
    return m.TxnRequest(success=list(success), failure=list(failure))


def nested(*success: m.RequestOp, failure: tuple[m.RequestOp, ...] = ()) -> m.RequestOp:
    return m.RequestOp(request_txn=txn(*success, failure=failure))


def refusal(request: m.TxnRequest, max_txn_ops: int = 128) -> ApiError | None:
    try:
        check_txn(request, max_txn_ops)
    except ApiError as error:
        return error
    return None


def test_keys_are_needed() -> None:
    empty = ApiError.of(ErrorKind.EMPTY_KEY)
    for check, request in (
        (check_range, m.RangeRequest()),
        (check_put, m.PutRequest()),
        (check_delete_range, m.DeleteRangeRequest(range_end=b"z")),
    ):
        with pytest.raises(ApiError) as caught:
            check(request)  # type: ignore[operator]  # each with its own request
        assert caught.value == empty
    assert refusal(m.TxnRequest(compare=[m.Compare()])) == empty
    assert refusal(txn(put(b""))) == empty


def test_an_unknown_sort_target_is_refused() -> None:
    with pytest.raises(ApiError) as caught:
        check_range(m.RangeRequest(key=b"k", sort_target=5))
    assert caught.value == ApiError(Code.INVALID_ARGUMENT, "etcdserver: invalid sort option")
    check_range(m.RangeRequest(key=b"k", sort_order=9))


def test_what_is_ignored_must_not_be_given() -> None:
    assert refusal(txn(put(value=b"v", ignore_value=True))) == ApiError.of(ErrorKind.VALUE_PROVIDED)
    assert refusal(txn(put(lease=1, ignore_lease=True))) == ApiError.of(ErrorKind.LEASE_PROVIDED)
    assert refusal(txn(put(ignore_value=True, ignore_lease=True))) is None


def test_an_operation_that_is_none_is_refused_as_etcd_does() -> None:
    assert refusal(txn(m.RequestOp())) == ApiError.of(ErrorKind.KEY_NOT_FOUND)


def test_the_longest_list_is_counted_and_a_nested_one_has_the_rest() -> None:
    too_many = ApiError.of(ErrorKind.TOO_MANY_OPS)
    assert refusal(txn(*[get()] * 128)) is None
    assert refusal(txn(*[get()] * 129)) == too_many
    assert refusal(txn(nested(get(), get())), 3) is None
    assert refusal(txn(nested(get(), get(), get())), 3) == too_many
    assert refusal(m.TxnRequest(compare=[m.Compare(key=b"k")] * 4), 3) == too_many


@pytest.mark.parametrize(
    ("request_", "is_duplicate"),
    [
        (txn(put(b"a"), put(b"a")), True),
        (txn(put(b"b"), delete(b"a", b"c")), True),
        (txn(put(b"c"), delete(b"a", b"c")), False),
        (txn(delete(b"b"), put(b"b")), True),
        (txn(delete(b"a", b"z"), delete(b"b")), False),
        (txn(put(b"a"), failure=(put(b"a"),)), False),
        (txn(put(b"a"), nested(put(b"a"))), True),
        (txn(nested(put(b"a")), nested(put(b"a"))), True),
        (txn(nested(put(b"a"), failure=(put(b"a"),))), False),
        (txn(nested(put(b"a"), failure=(put(b"a"),)), put(b"a")), True),
        (txn(nested(delete(b"a", b"c")), put(b"b")), True),
        (txn(nested(put(b"b")), delete(b"a", b"c")), True),
        (txn(delete(b"a", b"\0"), put(b"b")), False),  # as in etcd: "from key on" is not found to overlap
    ],
)
def test_a_branch_changes_a_key_once(request_: m.TxnRequest, is_duplicate: bool) -> None:
    assert refusal(request_) == (ApiError.of(ErrorKind.DUPLICATE_KEY) if is_duplicate else None)


def test_transactions_nest_only_so_deep() -> None:
    """What passes can be written to the log and read back."""
    txn = m.TxnRequest(success=[m.RequestOp(request_put=m.PutRequest(key=b"a"))])
    for _ in range(NESTING_MAX - 1):
        txn = m.TxnRequest(success=[m.RequestOp(request_txn=txn)])
    check_txn(txn)
    (request,) = decode_proposal(encode_proposal(Proposal(1, (RaftRequest(txn),)))).requests
    assert request.op == txn
    with pytest.raises(ApiError, match="too many operations"):
        check_txn(m.TxnRequest(failure=[m.RequestOp(request_txn=txn)]))
