"""What may differ between two answers that count as the same, and why. All else is compared byte for byte.

| what                                   | why it may differ
|----------------------------------------|--------------------
| `cluster_id`, `member_id`, `raft_term` | hashes of URLs and ports; how many elections the start took
| `127.0.0.1:PORT` of the member itself  | each server has its own ports
| fields that a case names (`hide`)      | chosen by the server: new lease IDs, sizes on disk, raft indexes, the version
| order within arrays that a case names  | by random IDs (members), or the order of a Go map (keys of a lease)
| `Date`                                 | the time of day
| `Content-Length` or chunks, unary only | Go picks by buffer size; clients read both. The length itself is verified
| a stream's line above 2 KiB            | Go's buffer cuts it before its newline; ours is one chunk, always
| close frame of a broken WebSocket      | etcd's proxy drops the connection, ours says goodbye first
| order of header lines                  | without meaning in HTTP

Revisions are compared as they are: both servers start empty and are given the same requests in the same order.
A stream's chunks are compared one by one, since a watch message is exactly one chunk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.conformance.servers import Server
from tests.conformance.wire import Answer

PLACEHOLDERS = (
    (re.compile(rb'"cluster_id":"[0-9]+"'), b'"cluster_id":"CLUSTER"'),
    (re.compile(rb'"member_id":"[0-9]+"'), b'"member_id":"MEMBER"'),
    (re.compile(rb'"raft_term":"[0-9]+"'), b'"raft_term":"TERM"'),
)
HEADERS_IGNORED = frozenset({"date", "content-length", "transfer-encoding", "sec-websocket-accept"})


def normalise_body(body: bytes, server: Server, hide: Iterable[str] = ()) -> str:
    """The body with placeholders for what may differ."""
    for pattern, placeholder in PLACEHOLDERS:
        body = pattern.sub(placeholder, body)
    for name in hide:
        body = re.sub(rb'"%s":("[^"]*"|-?[0-9]+)' % name.encode(), b'"%s":HIDDEN' % name.encode(), body)
    body = body.replace(b"127.0.0.1:%d" % server.client_port, b"CLIENT-ADDRESS")
    body = body.replace(b"127.0.0.1:%d" % server.peer_port, b"PEER-ADDRESS")
    return body.decode("utf-8", "backslashreplace")


def normalise_headers(headers: Iterable[tuple[str, str]]) -> list[str]:
    """Header lines that are compared, sorted."""
    return sorted(f"{name}: {value}" for name, value in headers if name not in HEADERS_IGNORED)


def sort_array(body: str, name: str) -> str:
    """The body with the elements of one flat array in a fixed order."""
    start = body.find(f'"{name}":[')
    if start < 0:
        return body
    start += len(name) + 4
    elements, depth, end = [""], 0, start
    while depth or body[end] != "]":
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(body[end], 0)
        if body[end] == "," and depth == 0:
            elements.append("")
        else:
            elements[-1] += body[end]
        end += 1
    return body[:start] + ",".join(sorted(elements)) + body[end:]


def normalise_answer(
    answer: Answer, server: Server, hide: Iterable[str] = (), unordered: Iterable[str] = ()
) -> list[str]:
    """A unary answer as lines that can be compared and read in a failure."""
    body = normalise_body(answer.body, server, hide)
    for name in unordered:
        body = sort_array(body, name)
    return [
        f"{answer.status} {answer.reason}",
        *normalise_headers(answer.headers),
        body,
    ]
