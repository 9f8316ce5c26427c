"""What is taken for a hash of another member."""

from __future__ import annotations

import pytest

from trioetcd.node.protocols import PeerHash
from trioetcd.peer.hashes import decode_hash


def test_an_answer() -> None:
    body = b'{"header":{"revision":61},"hash":3432716368,"compact_revision":41}'
    assert decode_hash(body) == PeerHash(hash=3432716368, revision=61, compact_revision=41)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"hash":1,"compact_revision":2}',
        b'{"header":{"revision":"6"},"hash":1,"compact_revision":2}',
    ],
)
def test_what_is_none(body: bytes) -> None:
    assert decode_hash(body) is None
