"""The time of leases, asked of the leader by another member: both ends of two paths of the peer listener.

| path             | asked                  | answered                                                               |
|------------------|------------------------|------------------------------------------------------------------------|
| /leases          | LeaseKeepAliveRequest  | LeaseKeepAliveResponse without a header; 404: there is no such lease   |
| /leases/internal | LeaseInternalRequest   | LeaseInternalResponse; 404 as above                                    |

Both are POSTs of protobuf, as etcd's members send them. Whoever does not lead for sure answers 400.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

from trioetcd.api import messages as m
from trioetcd.api import proto_codec
from trioetcd.api.errors import ApiError
from trioetcd.api.proto_codec import ProtoError
from trioetcd.api.schema import message, nested
from trioetcd.http11 import Response
from trioetcd.node.lease_primary import NotPrimary
from trioetcd.node.protocols import ForwardFailed
from trioetcd.peer.errors import PeerFailure
from trioetcd.peer.protocols import RaftHandler
from trioetcd.peer.transport import Transport

T = TypeVar("T")

KEEP_ALIVE_PATH: Final = "/leases"
INTERNAL_PATH: Final = "/leases/internal"
BODY_BYTES_MAX: Final = 64 * 1024

PROTOBUF: Final = (b"Content-Type", b"application/protobuf")

_ANSWER_BYTES_MAX: Final = 512 * 1024 * 1024  # the keys of a lease have no bound of their own
_ANSWER_SECONDS: Final = 10.0  # the asker bounds its own waiting; this is for a connection that died silently
_NOT_FOUND: Final = "lease not found"


@message("leasepb.LeaseInternalRequest")
class LeaseInternalRequest:
    """What a member asks the leader for a client."""

    LeaseTimeToLiveRequest: m.LeaseTimeToLiveRequest | None = nested(1, lambda: m.LeaseTimeToLiveRequest)


@message("leasepb.LeaseInternalResponse")
class LeaseInternalResponse:
    """What the leader answers."""

    LeaseTimeToLiveResponse: m.LeaseTimeToLiveResponse | None = nested(1, lambda: m.LeaseTimeToLiveResponse)


class LeaseAnswer(NamedTuple):
    """Status and body of an answer: protobuf with status 200, else a reason as text."""

    status: int
    body: bytes


async def answer_keep_alive(handler: RaftHandler, body: bytes) -> LeaseAnswer:
    """The leader's answer to POST /leases."""
    try:
        request = proto_codec.decode(m.LeaseKeepAliveRequest, body)
        ttl = await handler.lease_keep_alive(request.ID)
    except (ProtoError, NotPrimary, ApiError) as error:
        return _refusal(error)
    if not ttl:
        return LeaseAnswer(404, _NOT_FOUND.encode())
    return LeaseAnswer(200, proto_codec.encode(m.LeaseKeepAliveResponse(ID=request.ID, TTL=ttl)))


async def answer_internal(handler: RaftHandler, body: bytes) -> LeaseAnswer:
    """The leader's answer to POST /leases/internal."""
    try:
        request = proto_codec.decode(LeaseInternalRequest, body).LeaseTimeToLiveRequest
        answer = await handler.lease_time_to_live(request or m.LeaseTimeToLiveRequest())
    except (ProtoError, NotPrimary, ApiError) as error:
        return _refusal(error)
    if answer.TTL < 0:
        return LeaseAnswer(404, _NOT_FOUND.encode())
    return LeaseAnswer(200, proto_codec.encode(LeaseInternalResponse(LeaseTimeToLiveResponse=answer)))


def _refusal(error: Exception) -> LeaseAnswer:
    return LeaseAnswer(400, str(error).encode())


class LeaseForwarder:
    """Asks the leader for this member's clients. See `node.protocols.LeaseForwarder`."""

    def __init__(self, *, transport: Transport) -> None:
        self._transport = transport

    async def keep_alive(self, member_id: int, lease_id: int) -> int:
        """Let a lease begin its TTL anew; the TTL in seconds, 0 when there is no such lease."""
        body = await self._ask(member_id, KEEP_ALIVE_PATH, m.LeaseKeepAliveRequest(ID=lease_id))
        return 0 if body is None else _decoded(m.LeaseKeepAliveResponse, body).TTL

    async def time_to_live(self, member_id: int, request: m.LeaseTimeToLiveRequest) -> m.LeaseTimeToLiveResponse:
        """What is left of a lease; TTL -1 when there is none."""
        body = await self._ask(member_id, INTERNAL_PATH, LeaseInternalRequest(LeaseTimeToLiveRequest=request))
        if body is None:
            return m.LeaseTimeToLiveResponse(ID=request.ID, TTL=-1)
        answer = _decoded(LeaseInternalResponse, body).LeaseTimeToLiveResponse
        if answer is None:
            raise ForwardFailed("the leader answered without an answer")
        return answer

    async def _ask(self, member_id: int, path: str, request: object) -> bytes | None:
        """The body of the leader's answer; None when it knows no such lease."""
        response = await self._post(member_id, path, proto_codec.encode(request))
        if response.status == HTTPStatus.NOT_FOUND and response.body.strip() == _NOT_FOUND.encode():
            return None
        if response.status != HTTPStatus.OK:
            raise ForwardFailed(f"status {response.status}: {response.body[:200].decode('utf-8', 'replace')}")
        return response.body

    async def _post(self, member_id: int, path: str, body: bytes) -> Response:
        peer = self._transport.peer(member_id)
        if peer is None:
            raise ForwardFailed(f"member {member_id:x} is no peer of this one")
        fields = [*peer.link.headers, PROTOBUF, (b"Connection", b"close")]
        try:
            async with peer.link.connection(receive_seconds=_ANSWER_SECONDS) as connection:
                return await connection.request("POST", path, fields, body, response_bytes_max=_ANSWER_BYTES_MAX)
        except PeerFailure as failure:
            raise ForwardFailed(str(failure)) from failure


def _decoded(cls: type[T], body: bytes) -> T:
    try:
        return proto_codec.decode(cls, body)
    except ProtoError as error:
        raise ForwardFailed(f"the leader's answer cannot be read: {error}") from error
