"""A promotion asked of the leader by another member: both ends of POST /members/promote/ID, ID in decimal digits.

| status | body                                      | when                                    |
|--------|-------------------------------------------|-----------------------------------------|
| 200    | the members right after it (see `members`)| it is a voter now                       |
| 404    | why                                       | there is no such member                 |
| 412    | why                                       | it is a voter already, or not ready     |
| 500    | {"message":"Internal Server Error"}       | anything else, of which the asker tries |
|        |                                           | again: this member does not lead        |

These are etcd's words. A refusal that they do not tell apart comes as 400 with its code, and its message as text.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

from trioetcd.api.errors import ApiError, Code, ErrorKind
from trioetcd.http11 import Response
from trioetcd.node.leader_calls import NotPrimary
from trioetcd.node.protocols import ForwardFailed
from trioetcd.peer.errors import PeerFailure
from trioetcd.peer.members import BadMembers, decode_members, encode_members
from trioetcd.peer.protocols import RaftHandler
from trioetcd.peer.transport import Transport
from trioetcd.storage.members import Member

PROMOTE_PATH: Final = "/members/promote"

_ANSWER_SECONDS: Final = 10.0  # the asker bounds its own waiting; this is for a connection that died silently
_ID_END: Final = 2**64
_INTERNAL: Final = b'{"message":"Internal Server Error"}'
_CODE: Final = b"x-error-code"

# How the refusals that have a status of their own are worded on this path.
_REFUSALS: Final = (
    (ErrorKind.MEMBER_NOT_FOUND, 404, "membership: ID not found"),
    (ErrorKind.MEMBER_NOT_LEARNER, 412, "membership: can only promote a learner member"),
    (ErrorKind.LEARNER_NOT_READY, 412, "etcdserver: can only promote a learner member which is in sync with leader"),
)


class PromotionAnswer(NamedTuple):
    """Status and body of an answer: JSON with 200 and 500, else text without its newline. `code` is a gRPC code."""

    status: int
    body: bytes
    code: int | None = None

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What tells more than the status does."""
        return () if self.code is None else ((b"X-Error-Code", b"%d" % self.code),)

    @property
    def is_json(self) -> bool:
        """Whether the body is JSON."""
        return self.status in (HTTPStatus.OK, HTTPStatus.INTERNAL_SERVER_ERROR)


async def answer_promotion(handler: RaftHandler, text: str) -> PromotionAnswer:
    """The answer to POST /members/promote/`text`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < _ID_END):
        return PromotionAnswer(404, f"member {text[:40]} not found in cluster".encode())
    try:
        return PromotionAnswer(200, encode_members(await handler.promote_member(int(text))))
    except NotPrimary:
        return PromotionAnswer(500, _INTERNAL)
    except ApiError as error:
        for kind, status, reason in _REFUSALS:
            if error == ApiError.of(kind):
                return PromotionAnswer(status, reason.encode())
        return PromotionAnswer(400, error.message.encode(), error.code)


class PromotionForwarder:
    """Asks the leader for this member's clients. See `node.protocols.PromotionForwarder`."""

    def __init__(self, *, transport: Transport) -> None:
        self._transport = transport

    async def promote(self, leader_id: int, member_id: int) -> tuple[Member, ...]:
        """Let the leader make a learner a voter; the members as they are then. Raises `ApiError`, `ForwardFailed`."""
        peer = self._transport.peer(leader_id)
        if peer is None:
            raise ForwardFailed(f"member {leader_id:x} is no peer of this one")
        fields = [*peer.link.headers, (b"Connection", b"close")]
        try:
            async with peer.link.connection(receive_seconds=_ANSWER_SECONDS) as connection:
                response = await connection.request("POST", f"{PROMOTE_PATH}/{member_id}", fields)
        except PeerFailure as failure:
            raise ForwardFailed(str(failure)) from failure
        return _members_of(response)


def _members_of(response: Response) -> tuple[Member, ...]:
    text = response.body.decode("utf-8", "replace").strip()
    if response.status == HTTPStatus.OK:
        try:
            return decode_members(response.body)
        except BadMembers as error:
            raise ForwardFailed(f"the leader's answer cannot be read: {error}") from error
    for kind, status, reason in _REFUSALS:
        if (response.status, text) == (status, reason):
            raise ApiError.of(kind)
    code = response.headers.get(_CODE, b"")
    if response.status == HTTPStatus.BAD_REQUEST and code in {b"%d" % one for one in Code}:
        raise ApiError(Code(int(code)), text)
    raise ForwardFailed(f"status {response.status}: {text[:200]}")
