"""What the flags about hosts, origins and metrics do, as a real etcd 3.5.1 does it."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from trioetcd.config import Url
from trioetcd.http11 import ClientConnection, Response
from trioetcd.testing.cluster import MemoryCluster

ORIGIN = "http://pages:8080"
SETTINGS = {
    "host_whitelist": frozenset({"10.0.0.1", "etcd", "::1"}),
    "cors_origins": frozenset({ORIGIN}),
    "listen_metrics_urls": (Url("http", "10.0.0.1", 2381),),
}


async def ask(
    cluster: MemoryCluster, method: str, path: str, *, host: str, port: int = 2379, **fields: str
) -> Response:
    stream = await cluster.network.host("client").dial(f"http://10.0.0.1:{port}")
    connection = ClientConnection(stream, host=host)
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    response = await connection.request(method, path, headers, b"{}" if method == "POST" else b"")
    await connection.aclose()
    return response


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("etcd", None),
        ("etcd:2379", None),
        ("10.0.0.1:1", None),
        ("[::1]:2379", None),
        ("stranger", "stranger"),
        ("stranger:2379", "stranger"),
        ("ETCD", "ETCD"),
        ("etcd.", "etcd."),
        ("::1", None),
        ("::2", "::2"),
    ],
)
async def test_hosts(autojump_clock: MockClock, host: str, name: str | None) -> None:
    async with MemoryCluster(1, **SETTINGS) as cluster:
        for method, path in (("POST", "/v3/maintenance/status"), ("GET", "/health"), ("OPTIONS", "/x")):
            response = await ask(cluster, method, path, host=host)
            if name is None:
                assert response.status == 200
            else:
                assert response.status == 421
                assert response.body.startswith(
                    b"\netcd received your request, but the Host header was unrecognized.\n"
                )
                assert f'--host-whitelist "{name}"\n'.encode() in response.body
                assert response.body.endswith(b"(CVE-2018-5702).\n\n")
                assert len(response.body) == 362 + len(name)
                assert response.headers[b"content-type"] == b"text/plain; charset=utf-8"
                assert b"access-control-allow-origin" not in response.headers


async def test_origins(autojump_clock: MockClock) -> None:
    async with MemoryCluster(1, **SETTINGS) as cluster:
        for method, path in (("POST", "/v3/maintenance/status"), ("GET", "/version"), ("OPTIONS", "/x")):
            listed = await ask(cluster, method, path, host="etcd", Origin=ORIGIN)
            assert listed.headers[b"access-control-allow-origin"] == ORIGIN.encode()
            for fields in ({"Origin": "http://pages"}, {}):
                other = await ask(cluster, method, path, host="etcd", **fields)
                assert other.status == listed.status
                assert b"access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("POST", "/metrics", 200),
        ("GET", "/health", 200),
        ("GET", "/livez", 200),
        ("GET", "/readyz/data_corruption", 200),
        ("POST", "/health", 405),
        ("OPTIONS", "/health", 405),
        ("GET", "/version", 404),
        ("GET", "/", 404),
        ("GET", "/debug/vars", 404),
        ("POST", "/v3/kv/range", 404),
    ],
)
async def test_the_metrics_listener(autojump_clock: MockClock, method: str, path: str, status: int) -> None:
    async with MemoryCluster(1, **SETTINGS) as cluster:
        response = await ask(cluster, method, path, host="anyone", port=2381, Origin=ORIGIN)
        assert response.status == status
        assert b"access-control-allow-origin" not in response.headers
        if status == 404:
            assert response.body == b"404 page not found\n"
