"""What can go wrong, as one tree. `code` is the gRPC status code, `message` what the server said.

EtcdError
├─ Unavailable              no endpoint answered, or the cluster cannot; a write may or may not have happened
├─ DeadlineExceeded         the server gave up; a write may or may not have happened
├─ Compacted                the revision that was asked for is gone: `revision` is the oldest that is left, or 0
├─ FutureRevision           the revision that was asked for has not been written yet
├─ NotFound                 ├─ LeaseNotFound   ├─ MemberNotFound   └─ KeyNotFound
├─ InvalidArgument          the request itself is wrong   └─ RequestTooLarge
├─ FailedPrecondition       right request, wrong moment
├─ ResourceExhausted        └─ NoSpace
├─ Unauthenticated          └─ AuthFailed
├─ PermissionDenied
├─ LeaseLost                what a block relied on is gone: its lease, or the key of its lock
├─ Unimplemented
└─ ProtocolError            what came is not an etcd server's answer
"""

from __future__ import annotations

from typing import Final

from trioetcd.api.errors import Code, ErrorKind


class EtcdError(Exception):
    """The server refused or could not; `code` and `message` are its own words."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code.name}, {self.message!r})"


class Unavailable(EtcdError):
    """No endpoint answered, or the cluster cannot serve now. A write may or may not have happened."""


class DeadlineExceeded(EtcdError):
    """The server gave the request up. A write may or may not have happened."""


class Compacted(EtcdError):
    """The history that was asked for has been compacted away."""

    def __init__(self, code: Code, message: str, revision: int = 0) -> None:
        super().__init__(code, message)
        self.revision = revision
        """The oldest revision that can be asked for; 0 when the server did not say."""


class FutureRevision(EtcdError):
    """The revision that was asked for has not been written yet."""


class NotFound(EtcdError):
    """What the request names does not exist."""


class LeaseNotFound(NotFound):
    """The lease does not exist, or has expired."""


class MemberNotFound(NotFound):
    """The cluster has no such member."""


class KeyNotFound(NotFound):
    """A put that keeps the value or the lease found no key to keep them of."""


class InvalidArgument(EtcdError):
    """The request itself is wrong."""


class RequestTooLarge(InvalidArgument):
    """The request is larger than the server takes (1.5 MiB by default)."""


class FailedPrecondition(EtcdError):
    """The request is right, but not in the cluster's present state."""


class ResourceExhausted(EtcdError):
    """A limit of the server was reached."""


class NoSpace(ResourceExhausted):
    """The cluster's storage quota is used up: compact, defragment, and disarm the alarm."""


class Unauthenticated(EtcdError):
    """The server does not know who asks."""


class AuthFailed(Unauthenticated):
    """User name or password is wrong."""


class PermissionDenied(EtcdError):
    """The user may not do this."""


class LeaseLost(EtcdError):
    """What a block relied on is gone: its lease ended, or could not be kept alive, or its key was deleted."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.NOT_FOUND, message)


class Unimplemented(EtcdError):
    """The server does not have this call."""


class ProtocolError(EtcdError):
    """What came is not the answer of an etcd server."""


_BY_CODE: Final[dict[Code, type[EtcdError]]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.NOT_FOUND: NotFound,
    Code.INVALID_ARGUMENT: InvalidArgument,
    Code.FAILED_PRECONDITION: FailedPrecondition,
    Code.RESOURCE_EXHAUSTED: ResourceExhausted,
    Code.UNAUTHENTICATED: Unauthenticated,
    Code.PERMISSION_DENIED: PermissionDenied,
    Code.UNIMPLEMENTED: Unimplemented,
}
_BY_KIND: Final[dict[ErrorKind, type[EtcdError]]] = {
    ErrorKind.COMPACTED: Compacted,
    ErrorKind.FUTURE_REV: FutureRevision,
    ErrorKind.LEASE_NOT_FOUND: LeaseNotFound,
    ErrorKind.MEMBER_NOT_FOUND: MemberNotFound,
    ErrorKind.KEY_NOT_FOUND: KeyNotFound,
    ErrorKind.REQUEST_TOO_LARGE: RequestTooLarge,
    ErrorKind.NO_SPACE: NoSpace,
    ErrorKind.AUTH_FAILED: AuthFailed,
    ErrorKind.PROPOSAL_DEADLINE: DeadlineExceeded,  # etcd 3.5.1 sends it as UNKNOWN
}
_CODES: Final = {code.value: code for code in Code}
_BY_MESSAGE: Final = {kind.value[1]: error for kind, error in _BY_KIND.items()}


def error_of(code: int, message: str) -> EtcdError:
    """The exception for a status that a server sent."""
    known = _CODES.get(code, Code.UNKNOWN)
    return _BY_MESSAGE.get(message, _BY_CODE.get(known, EtcdError))(known, message)


def error_of_reason(reason: str) -> EtcdError:
    """The exception for the words with which a server canceled a watch; they carry no code of their own."""
    for kind in ErrorKind:
        code, message = kind.value
        if message in reason:
            return error_of(code, message)
    return EtcdError(Code.CANCELED, reason)
