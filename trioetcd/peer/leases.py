"""The time of leases, asked of the leader by another member: both ends of two paths of the peer listener.

| path             | asked                  | answered                                                               |
|------------------|------------------------|------------------------------------------------------------------------|
| /leases          | LeaseKeepAliveRequest  | LeaseKeepAliveResponse without a header; 404: there is no such lease   |
| /leases/internal | LeaseInternalRequest   | LeaseInternalResponse; 404 as above                                    |
| /leases/batch    | IDs, an array in JSON  | their TTLs, an array in JSON: 0 there is none, -1 ask at /leases       |

All are POSTs; the first two are protobuf, as etcd's members send them. Whoever does not lead for sure answers 400. A
member asks for what came in while it asked before, all in one request: alone, a keep-alive costs both sides a
millisecond, which is too much for the leases of a large cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, NamedTuple, TypeVar

import orjson
import trio

from trioetcd.api import messages as m
from trioetcd.api import proto_codec
from trioetcd.api.errors import ApiError
from trioetcd.api.proto_codec import ProtoError
from trioetcd.api.schema import message, nested
from trioetcd.http11 import Response
from trioetcd.node.leader_calls import NotPrimary
from trioetcd.node.lease_primary import ASK_ALONE
from trioetcd.node.parking import Parked
from trioetcd.node.protocols import ForwardFailed
from trioetcd.peer.errors import PeerFailure
from trioetcd.peer.protocols import RaftHandler
from trioetcd.peer.transport import Transport

T = TypeVar("T")

KEEP_ALIVE_PATH: Final = "/leases"
INTERNAL_PATH: Final = "/leases/internal"
BATCH_PATH: Final = "/leases/batch"
BODY_BYTES_MAX: Final = 64 * 1024

PROTOBUF: Final = (b"Content-Type", b"application/protobuf")

JSON: Final = (b"Content-Type", b"application/json")

_BATCH_MAX: Final = 1000  # of IDs of up to 20 digits: well below the bound of a body
_ANSWER_BYTES_MAX: Final = 512 * 1024 * 1024  # the keys of a lease have no bound of their own
_ANSWER_SECONDS: Final = 10.0  # the asker bounds its own waiting; this is for a connection that died silently
_BATCH_SECONDS: Final = 2.0  # others wait behind a batch
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


async def answer_batch(handler: RaftHandler, body: bytes) -> LeaseAnswer:
    """The leader's answer to POST /leases/batch."""
    try:
        ttls = await handler.lease_keep_alive_many(_numbers(body))
    except (ValueError, NotPrimary) as error:
        return _refusal(error)
    return LeaseAnswer(200, orjson.dumps(ttls))


def _numbers(body: bytes) -> list[int]:
    """An array of whole numbers; raises `ValueError`."""
    numbers = orjson.loads(body)
    if not isinstance(numbers, list) or not all(type(one) is int for one in numbers):
        raise ValueError("an array of whole numbers was expected")
    return numbers


def _refusal(error: Exception) -> LeaseAnswer:
    return LeaseAnswer(400, str(error).encode())


class LeaseForwarder:
    """Asks the leader for this member's clients. See `node.protocols.LeaseForwarder`."""

    def __init__(self, *, transport: Transport) -> None:
        self._transport = transport
        self._nursery: trio.Nursery | None = None
        self._waiting: dict[int, list[tuple[int, Parked]]] = {}  # by leader: lease, and who asks
        self._asking: set[int] = set()  # leaders that a batch is under way to

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry batches until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    async def keep_alive(self, member_id: int, lease_id: int) -> int:
        """Let a lease begin its TTL anew; the TTL in seconds, 0 when there is no such lease."""
        assert self._nursery is not None, "keep-alives are passed on while the forwarder runs"
        parked = Parked()
        self._waiting.setdefault(member_id, []).append((lease_id, parked))
        if member_id not in self._asking:
            self._asking.add(member_id)
            self._nursery.start_soon(self._ask_for_all, member_id)
        ttl = await parked.wait()
        assert isinstance(ttl, int)
        return await self._keep_alive_alone(member_id, lease_id) if ttl == ASK_ALONE else ttl

    async def _keep_alive_alone(self, member_id: int, lease_id: int) -> int:
        body = await self._ask(member_id, KEEP_ALIVE_PATH, m.LeaseKeepAliveRequest(ID=lease_id))
        return 0 if body is None else _decoded(m.LeaseKeepAliveResponse, body).TTL

    async def _ask_for_all(self, member_id: int) -> None:
        """Send what waits for this leader, batch by batch, until nothing waits."""
        try:
            while waiting := self._waiting.pop(member_id, None):
                for start in range(0, len(waiting), _BATCH_MAX):
                    await self._ask_for_batch(member_id, waiting[start : start + _BATCH_MAX])
        finally:
            self._asking.discard(member_id)

    async def _ask_for_batch(self, member_id: int, batch: Sequence[tuple[int, Parked]]) -> None:
        try:
            body = orjson.dumps([lease_id for lease_id, _ in batch])
            ttls = _batch_ttls(await self._post(member_id, BATCH_PATH, body, JSON), len(batch))
        except ForwardFailed as failure:
            for _, parked in batch:
                parked.fail(ForwardFailed(str(failure)))
            return
        for (_, parked), ttl in zip(batch, ttls, strict=True):
            parked.wake(ttl)

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
        response = await self._post(member_id, path, proto_codec.encode(request), PROTOBUF)
        if response.status == HTTPStatus.NOT_FOUND and response.body.strip() == _NOT_FOUND.encode():
            return None
        return _body_of(response)

    async def _post(self, member_id: int, path: str, body: bytes, content: tuple[bytes, bytes]) -> Response:
        seconds = _BATCH_SECONDS if path == BATCH_PATH else _ANSWER_SECONDS
        peer = self._transport.peer(member_id)
        if peer is None:
            raise ForwardFailed(f"member {member_id:x} is no peer of this one")
        fields = [*peer.link.headers, content, (b"Connection", b"close")]
        try:
            async with peer.link.connection(receive_seconds=seconds) as connection:
                return await connection.request("POST", path, fields, body, response_bytes_max=_ANSWER_BYTES_MAX)
        except PeerFailure as failure:
            raise ForwardFailed(str(failure)) from failure


def _decoded(cls: type[T], body: bytes) -> T:
    try:
        return proto_codec.decode(cls, body)
    except ProtoError as error:
        raise ForwardFailed(f"the leader's answer cannot be read: {error}") from error


def _body_of(response: Response) -> bytes:
    if response.status != HTTPStatus.OK:
        raise ForwardFailed(f"status {response.status}: {response.body[:200].decode('utf-8', 'replace')}")
    return response.body


def _batch_ttls(response: Response, count: int) -> list[int]:
    try:
        ttls = _numbers(_body_of(response))
    except ValueError as error:
        raise ForwardFailed(f"the leader's answer cannot be read: {error}") from error
    if len(ttls) != count:
        raise ForwardFailed(f"the leader answered for {len(ttls)} leases of {count}")
    return ttls
