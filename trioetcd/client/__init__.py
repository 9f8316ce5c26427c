"""The library: a client of etcd for Trio programs, over the JSON gateway.

import trio
from trioetcd.client import connect

async def main() -> None:
    async with connect(["http://127.0.0.1:2379"]) as client:
        await client.put("greeting", "hello")
        async with client.watch("greeting", start_revision=1) as watch:
            async for event in watch:
                print(event.kv.value)

trio.run(main)
"""

from trioetcd.client.client import Client, connect
from trioetcd.client.election import Election, Leadership, Observation
from trioetcd.client.endpoints import Endpoint, OpenStream
from trioetcd.client.errors import (
    AuthFailed,
    Compacted,
    DeadlineExceeded,
    EtcdError,
    FailedPrecondition,
    FutureRevision,
    InvalidArgument,
    KeyNotFound,
    LeaseLost,
    LeaseNotFound,
    MemberNotFound,
    NoSpace,
    NotFound,
    PermissionDenied,
    ProtocolError,
    RequestTooLarge,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from trioetcd.client.keys import FROM_KEY, Text, prefix_end
from trioetcd.client.lease import Lease
from trioetcd.client.lock import Lock
from trioetcd.client.txn import (
    create_revision_of,
    delete_op,
    get_op,
    lease_of,
    mod_revision_of,
    put_op,
    txn_op,
    value_of,
    version_of,
)
from trioetcd.client.watch import Watch

__all__ = [
    "FROM_KEY",
    "AuthFailed",
    "Client",
    "Compacted",
    "DeadlineExceeded",
    "Election",
    "Endpoint",
    "EtcdError",
    "FailedPrecondition",
    "FutureRevision",
    "InvalidArgument",
    "KeyNotFound",
    "Leadership",
    "Lease",
    "LeaseLost",
    "LeaseNotFound",
    "Lock",
    "MemberNotFound",
    "NoSpace",
    "NotFound",
    "Observation",
    "OpenStream",
    "PermissionDenied",
    "ProtocolError",
    "RequestTooLarge",
    "ResourceExhausted",
    "Text",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Watch",
    "connect",
    "create_revision_of",
    "delete_op",
    "get_op",
    "lease_of",
    "mod_revision_of",
    "prefix_end",
    "put_op",
    "txn_op",
    "value_of",
    "version_of",
]
