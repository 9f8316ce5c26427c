"""The KV service: range, put, delete, transactions, compaction."""

from __future__ import annotations

from enum import IntEnum

from trioetcd.api.messages.common import KeyValue, ResponseHeader
from trioetcd.api.schema import boolean, bytes_, enum, enumeration, int64, message, nested


@enum("etcdserverpb.RangeRequest.SortOrder")
class SortOrder(IntEnum):
    """How a range is ordered."""

    NONE = 0
    ASCEND = 1
    DESCEND = 2


@enum("etcdserverpb.RangeRequest.SortTarget")
class SortTarget(IntEnum):
    """What a range is ordered by."""

    KEY = 0
    VERSION = 1
    CREATE = 2
    MOD = 3
    VALUE = 4


@enum("etcdserverpb.Compare.CompareResult")
class CompareResult(IntEnum):
    """How a guard compares."""

    EQUAL = 0
    GREATER = 1
    LESS = 2
    NOT_EQUAL = 3


@enum("etcdserverpb.Compare.CompareTarget")
class CompareTarget(IntEnum):
    """What a guard compares."""

    VERSION = 0
    CREATE = 1
    MOD = 2
    VALUE = 3
    LEASE = 4


@message("etcdserverpb.RangeRequest")
class RangeRequest:
    """What KV.Range is asked."""

    key: bytes = bytes_(1)
    range_end: bytes = bytes_(2)
    limit: int = int64(3)
    revision: int = int64(4)
    sort_order: int = enumeration(5, SortOrder)
    sort_target: int = enumeration(6, SortTarget)
    serializable: bool = boolean(7)
    keys_only: bool = boolean(8)
    count_only: bool = boolean(9)
    min_mod_revision: int = int64(10)
    max_mod_revision: int = int64(11)
    min_create_revision: int = int64(12)
    max_create_revision: int = int64(13)


@message("etcdserverpb.RangeResponse")
class RangeResponse:
    """What KV.Range answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    kvs: list[KeyValue] = nested(2, lambda: KeyValue, repeated=True)
    more: bool = boolean(3)
    count: int = int64(4)


@message("etcdserverpb.PutRequest")
class PutRequest:
    """What KV.Put is asked."""

    key: bytes = bytes_(1)
    value: bytes = bytes_(2)
    lease: int = int64(3)
    prev_kv: bool = boolean(4)
    ignore_value: bool = boolean(5)
    ignore_lease: bool = boolean(6)


@message("etcdserverpb.PutResponse")
class PutResponse:
    """What KV.Put answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    prev_kv: KeyValue | None = nested(2, lambda: KeyValue)


@message("etcdserverpb.DeleteRangeRequest")
class DeleteRangeRequest:
    """What KV.DeleteRange is asked."""

    key: bytes = bytes_(1)
    range_end: bytes = bytes_(2)
    prev_kv: bool = boolean(3)


@message("etcdserverpb.DeleteRangeResponse")
class DeleteRangeResponse:
    """What KV.DeleteRange answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    deleted: int = int64(2)
    prev_kvs: list[KeyValue] = nested(3, lambda: KeyValue, repeated=True)


@message("etcdserverpb.RequestOp")
class RequestOp:
    """One operation of a transaction branch."""

    request_range: RangeRequest | None = nested(1, lambda: RangeRequest, oneof="request")
    request_put: PutRequest | None = nested(2, lambda: PutRequest, oneof="request")
    request_delete_range: DeleteRangeRequest | None = nested(3, lambda: DeleteRangeRequest, oneof="request")
    request_txn: TxnRequest | None = nested(4, lambda: TxnRequest, oneof="request")


@message("etcdserverpb.ResponseOp")
class ResponseOp:
    """The answer to one operation of a transaction branch."""

    response_range: RangeResponse | None = nested(1, lambda: RangeResponse, oneof="response")
    response_put: PutResponse | None = nested(2, lambda: PutResponse, oneof="response")
    response_delete_range: DeleteRangeResponse | None = nested(3, lambda: DeleteRangeResponse, oneof="response")
    response_txn: TxnResponse | None = nested(4, lambda: TxnResponse, oneof="response")


@message("etcdserverpb.Compare")
class Compare:
    """One guard of a transaction; `target_union` is compared with the key as `target` and `result` say."""

    result: int = enumeration(1, CompareResult)
    target: int = enumeration(2, CompareTarget)
    key: bytes = bytes_(3)
    version: int | None = int64(4, oneof="target_union")
    create_revision: int | None = int64(5, oneof="target_union")
    mod_revision: int | None = int64(6, oneof="target_union")
    value: bytes | None = bytes_(7, oneof="target_union")
    lease: int | None = int64(8, oneof="target_union")
    range_end: bytes = bytes_(64)


@message("etcdserverpb.TxnRequest")
class TxnRequest:
    """What KV.Txn is asked."""

    compare: list[Compare] = nested(1, lambda: Compare, repeated=True)
    success: list[RequestOp] = nested(2, lambda: RequestOp, repeated=True)
    failure: list[RequestOp] = nested(3, lambda: RequestOp, repeated=True)


@message("etcdserverpb.TxnResponse")
class TxnResponse:
    """What KV.Txn answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
    succeeded: bool = boolean(2)
    responses: list[ResponseOp] = nested(3, lambda: ResponseOp, repeated=True)


@message("etcdserverpb.CompactionRequest")
class CompactionRequest:
    """What KV.Compact is asked."""

    revision: int = int64(1)
    physical: bool = boolean(2)


@message("etcdserverpb.CompactionResponse")
class CompactionResponse:
    """What KV.Compact answers."""

    header: ResponseHeader | None = nested(1, lambda: ResponseHeader)
