"""Every error a client can meet, in one table: its gRPC code and etcd's own words, which clients match on."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Final


class Code(IntEnum):
    """gRPC status codes."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS: Final[dict[Code, int]] = {
    Code.OK: 200,
    Code.CANCELED: 408,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
"""How the JSON gateway of etcd 3.5 (grpc-gateway 1.16) turns a code into an HTTP status."""


class ErrorKind(Enum):
    """etcd's own errors (`rpctypes`): code on the wire, message.

    Two kinds reach clients of etcd 3.5 as UNKNOWN where their table says otherwise: MEMBER_NOT_ENOUGH_STARTED and
    REQUEST_TOO_MANY_REQUESTS. What is on the wire is what stands here.
    """

    EMPTY_KEY = (Code.INVALID_ARGUMENT, "etcdserver: key is not provided")
    KEY_NOT_FOUND = (Code.INVALID_ARGUMENT, "etcdserver: key not found")
    VALUE_PROVIDED = (Code.INVALID_ARGUMENT, "etcdserver: value is provided")
    LEASE_PROVIDED = (Code.INVALID_ARGUMENT, "etcdserver: lease is provided")
    TOO_MANY_OPS = (Code.INVALID_ARGUMENT, "etcdserver: too many operations in txn request")
    DUPLICATE_KEY = (Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")
    COMPACTED = (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
    FUTURE_REV = (Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")
    NO_SPACE = (Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")
    LEASE_NOT_FOUND = (Code.NOT_FOUND, "etcdserver: requested lease not found")
    LEASE_EXIST = (Code.FAILED_PRECONDITION, "etcdserver: lease already exists")
    LEASE_TTL_TOO_LARGE = (Code.OUT_OF_RANGE, "etcdserver: too large lease TTL")
    WATCH_CANCELED = (Code.CANCELED, "etcdserver: watch canceled")
    MEMBER_EXIST = (Code.FAILED_PRECONDITION, "etcdserver: member ID already exist")
    PEER_URL_EXIST = (Code.FAILED_PRECONDITION, "etcdserver: Peer URLs already exists")
    MEMBER_NOT_ENOUGH_STARTED = (Code.UNKNOWN, "etcdserver: re-configuration failed due to not enough started members")
    MEMBER_BAD_URLS = (Code.INVALID_ARGUMENT, "etcdserver: given member URLs are invalid")
    MEMBER_NOT_FOUND = (Code.NOT_FOUND, "etcdserver: member not found")
    MEMBER_NOT_LEARNER = (Code.FAILED_PRECONDITION, "etcdserver: can only promote a learner member")
    LEARNER_NOT_READY = (
        Code.FAILED_PRECONDITION,
        "etcdserver: can only promote a learner member which is in sync with leader",
    )
    TOO_MANY_LEARNERS = (Code.FAILED_PRECONDITION, "etcdserver: too many learner members in cluster")
    CLUSTER_ID_MISMATCH = (Code.FAILED_PRECONDITION, "etcdserver: cluster ID mismatch")
    REQUEST_TOO_LARGE = (Code.INVALID_ARGUMENT, "etcdserver: request is too large")
    REQUEST_TOO_MANY_REQUESTS = (Code.UNKNOWN, "etcdserver: too many requests")
    ROOT_USER_NOT_EXIST = (Code.FAILED_PRECONDITION, "etcdserver: root user does not exist")
    ROOT_ROLE_NOT_EXIST = (Code.FAILED_PRECONDITION, "etcdserver: root user does not have root role")
    USER_ALREADY_EXIST = (Code.FAILED_PRECONDITION, "etcdserver: user name already exists")
    USER_EMPTY = (Code.INVALID_ARGUMENT, "etcdserver: user name is empty")
    USER_NOT_FOUND = (Code.FAILED_PRECONDITION, "etcdserver: user name not found")
    ROLE_ALREADY_EXIST = (Code.FAILED_PRECONDITION, "etcdserver: role name already exists")
    ROLE_NOT_FOUND = (Code.FAILED_PRECONDITION, "etcdserver: role name not found")
    ROLE_EMPTY = (Code.INVALID_ARGUMENT, "etcdserver: role name is empty")
    AUTH_FAILED = (Code.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password")
    PERMISSION_NOT_GIVEN = (Code.INVALID_ARGUMENT, "etcdserver: permission not given")
    PERMISSION_DENIED = (Code.PERMISSION_DENIED, "etcdserver: permission denied")
    ROLE_NOT_GRANTED = (Code.FAILED_PRECONDITION, "etcdserver: role is not granted to the user")
    PERMISSION_NOT_GRANTED = (Code.FAILED_PRECONDITION, "etcdserver: permission is not granted to the role")
    AUTH_NOT_ENABLED = (Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
    INVALID_AUTH_TOKEN = (Code.UNAUTHENTICATED, "etcdserver: invalid auth token")
    INVALID_AUTH_MGMT = (Code.INVALID_ARGUMENT, "etcdserver: invalid auth management")
    AUTH_OLD_REVISION = (Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old")
    NO_LEADER = (Code.UNAVAILABLE, "etcdserver: no leader")
    NOT_LEADER = (Code.FAILED_PRECONDITION, "etcdserver: not leader")
    LEADER_CHANGED = (Code.UNAVAILABLE, "etcdserver: leader changed")
    NOT_CAPABLE = (Code.UNAVAILABLE, "etcdserver: not capable")
    STOPPED = (Code.UNAVAILABLE, "etcdserver: server stopped")
    TIMEOUT = (Code.UNAVAILABLE, "etcdserver: request timed out")
    TIMEOUT_DUE_TO_LEADER_FAIL = (
        Code.UNAVAILABLE,
        "etcdserver: request timed out, possibly due to previous leader failure",
    )
    TIMEOUT_DUE_TO_CONNECTION_LOST = (
        Code.UNAVAILABLE,
        "etcdserver: request timed out, possibly due to connection lost",
    )
    TIMEOUT_WAIT_APPLIED_INDEX = (
        Code.UNAVAILABLE,
        "etcdserver: request timed out, waiting for the applied index took too long",
    )
    UNHEALTHY = (Code.UNAVAILABLE, "etcdserver: unhealthy cluster")
    CORRUPT = (Code.DATA_LOSS, "etcdserver: corrupt cluster")
    NOT_SUPPORTED_FOR_LEARNER = (Code.UNAVAILABLE, "etcdserver: rpc not supported for learner")
    BAD_LEADER_TRANSFEREE = (Code.FAILED_PRECONDITION, "etcdserver: bad leader transferee")
    CLUSTER_VERSION_UNAVAILABLE = (Code.UNAVAILABLE, "etcdserver: cluster version not found during downgrade")
    WRONG_DOWNGRADE_VERSION_FORMAT = (Code.INVALID_ARGUMENT, "etcdserver: wrong downgrade target version format")
    INVALID_DOWNGRADE_TARGET_VERSION = (Code.INVALID_ARGUMENT, "etcdserver: invalid downgrade target version")
    DOWNGRADE_IN_PROCESS = (Code.FAILED_PRECONDITION, "etcdserver: cluster has a downgrade job in progress")
    NO_INFLIGHT_DOWNGRADE = (Code.FAILED_PRECONDITION, "etcdserver: no inflight downgrade job")
    CANCELED = (Code.CANCELED, "etcdserver: request canceled")
    DEADLINE_EXCEEDED = (Code.DEADLINE_EXCEEDED, "etcdserver: context deadline exceeded")

    # These leave etcd 3.5.1 without a code of their own.
    PROPOSAL_DEADLINE = (Code.UNKNOWN, "context deadline exceeded")
    REQUEST_CANCELLED = (Code.UNKNOWN, "etcdserver: request cancelled")


class ApiError(Exception):
    """A refusal that a client is told: raised by services, returned (not raised) as a result of apply.

    `ApiError.of(kind)` is one of etcd's own; `ApiError(code, message)` is for texts that carry details.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def of(cls, kind: ErrorKind) -> ApiError:
        """One of etcd's own errors."""
        code, message = kind.value
        return cls(code, message)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ApiError) and (self.code, self.message) == (other.code, other.message)

    def __hash__(self) -> int:
        return hash((self.code, self.message))

    def __repr__(self) -> str:
        return f"ApiError({self.code.name}, {self.message!r})"
