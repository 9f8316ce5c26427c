"""What other members are asked before a first start, and what they may answer."""

from __future__ import annotations

import pytest
import trio

from trioetcd.peer.remote import bootstrapped_members

MEMBERS = b'[{"id":7,"clientURLs":["http://m7:2379"]},{"id":8,"clientURLs":[]}]'


@pytest.mark.parametrize(
    "other", [b"{}", b'{"message":"no"}', b"[1]", b'[{"clientURLs":["x"]}]', b"", b"null", b"[" * 9999]
)
async def test_who_answers_something_else_is_passed_over(autojump_clock, cluster, nursery, other: bytes) -> None:
    for number, body in ((1, other), (2, MEMBERS)):
        listener = cluster.network.host(f"m{number}").listen(cluster.url(number))
        nursery.start_soon(trio.serve_listeners, _answer(body), [listener])
    asked = await bootstrapped_members(cluster.network.host("new"), [cluster.url(1), cluster.url(2)])
    assert asked == {7}


def _answer(body: bytes):
    async def serve(stream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return serve
