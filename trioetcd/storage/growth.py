"""How much a request lets the database grow: what the quota counts, and what is refused while the database is full.

The figures are etcd's (server/etcdserver/quota.go). Its estimate does not look into nested transactions; neither does
this one, so that a member that is full refuses what etcd refuses and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from trioetcd.api import messages as m

PUT_OVERHEAD_BYTES: Final = 256
LEASE_BYTES: Final = 64


def growth_bytes(op: object) -> int:
    """Estimate what a request adds to the database; 0 for what adds nothing, and may be done when there is no room."""
    if isinstance(op, m.PutRequest):
        return PUT_OVERHEAD_BYTES + len(op.key) + len(op.value)
    if isinstance(op, m.TxnRequest):
        return max(_branch_bytes(op.success), _branch_bytes(op.failure))
    if isinstance(op, m.LeaseGrantRequest):
        return LEASE_BYTES
    return 0


def _branch_bytes(ops: Iterable[m.RequestOp]) -> int:
    return sum(growth_bytes(op.request_put) for op in ops if op.request_put is not None)
