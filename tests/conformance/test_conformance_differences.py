"""Trioetcd alone, where it answers otherwise on purpose."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.cases import Call, Session
from tests.conformance.differences import DELIBERATE, Deliberate
from tests.conformance.pair import observe, subject_kind
from tests.conformance.servers import Server, lone_member, running

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(subject_kind() != "trioetcd", reason="etcd is compared with itself"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = lone_member("trioetcd", tmp_path_factory.mktemp("alone"))
    with running(server):
        yield server


@pytest.mark.parametrize("row", DELIBERATE, ids=lambda row: row.name)
def test_deliberate_difference(server: Server, row: Deliberate) -> None:
    answer = [observe(call, Session(server)) for call in row.calls][-1]
    assert answer[0].startswith(str(row.status)), answer
    assert row.contains in answer[-1], answer
    assert observe(Call("/health", None, "GET"), Session(server))[0].startswith("200"), "it goes on"
