"""What the tests of real processes ask of a member: calls as JSON, and the events of a watch, however it breaks."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

from tests.conformance.servers import Server
from tests.conformance.wire import BodyStream, Connection

ALL_KEYS = {"key": "AA==", "range_end": "AA=="}


class Refused(RuntimeError):
    """A member answered with an error."""


class Event(NamedTuple):
    """A change as a watch tells it; `value` is None for a delete."""

    revision: int
    key: str
    value: str | None


def b64(text: str) -> str:
    """Text as the JSON gateway wants it."""
    return base64.b64encode(text.encode()).decode()


def text(encoded: str) -> str:
    """The reverse."""
    return base64.b64decode(encoded).decode()


def call(server: Server, path: str, body: dict[str, Any], *, seconds_max: float = 3.0) -> dict[str, Any]:
    """One request; raises OSError when there is no answer, `Refused` when it is an error."""
    connection = Connection(server.address, seconds_max=seconds_max)
    with connection:
        answer = connection.request("POST", path, json.dumps(body).encode())
    if answer.status != 200:
        raise Refused(f"{path}: {answer.status} {answer.body!r}")
    decoded: dict[str, Any] = json.loads(answer.body)
    return decoded


def revision_of(answer: dict[str, Any]) -> int:
    """The revision in an answer's header."""
    return int(answer["header"]["revision"])


def put(server: Server, key: str, value: str) -> int:
    """Put; the revision that it got."""
    return revision_of(call(server, "/v3/kv/put", {"key": b64(key), "value": b64(value)}))


def everything(server: Server) -> tuple[int, dict[str, tuple[str, int]]]:
    """Revision, and every key with its value and mod revision, as this member alone has them."""
    answer = call(server, "/v3/kv/range", {**ALL_KEYS, "serializable": True})
    kvs = {text(kv["key"]): (text(kv.get("value", "")), int(kv["mod_revision"])) for kv in answer.get("kvs", [])}
    return revision_of(answer), kvs


def open_watch(server: Server, start_revision: int) -> BodyStream:
    """A watch of all keys; raises OSError when the member does not answer."""
    body = json.dumps({"create_request": {**ALL_KEYS, "start_revision": start_revision}}).encode()
    stream = BodyStream(server.address, "/v3/watch", [body])
    try:
        created = json.loads(stream.take(seconds=3.0))
        if not created.get("result", {}).get("created") or created["result"].get("canceled"):
            raise Refused(f"watch from {start_revision}: {created}")
    except BaseException:
        stream.close()
        raise
    return stream


def events_of(message: bytes) -> list[Event]:
    """The events in one message; `Refused` when the member ends the watch."""
    result = json.loads(message).get("result")
    if result is None or result.get("canceled"):
        raise Refused(message.decode())
    return [
        Event(
            int(event["kv"]["mod_revision"]),
            text(event["kv"]["key"]),
            None if event.get("type") == "DELETE" else text(event["kv"].get("value", "")),
        )
        for event in result.get("events", [])
    ]
