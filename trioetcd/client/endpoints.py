"""Where a cluster is, and how a connection to one of its members is opened."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import trio


class Endpoint(NamedTuple):
    """The client URL of a member."""

    url: str
    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


OpenStream = Callable[[Endpoint], Awaitable[trio.abc.Stream]]
"""Opens a connection; raises OSError or trio.BrokenResourceError when it cannot. A simulation passes its own."""

_PORT: Final = 2379
_KEEPALIVE: Final = (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))


def parse_endpoint(text: str) -> Endpoint:
    """`http://host:2379`, `https://...` or `host:2379`; the port may be left out."""
    url = text if "://" in text else f"http://{text}"
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError(f"{text!r} is not an endpoint: expected http://HOST:PORT, https://HOST:PORT or HOST:PORT")
    return Endpoint(url.rstrip("/"), parts.hostname, parts.port or _PORT, parts.scheme == "https")


def parse_endpoints(texts: Sequence[str]) -> tuple[Endpoint, ...]:
    """At least one endpoint."""
    if isinstance(texts, str) or not texts:
        raise ValueError(f"expected a list of endpoints such as ['http://127.0.0.1:2379'], not {texts!r}")
    return tuple(parse_endpoint(text) for text in texts)


def network(*, ssl_context: ssl.SSLContext | None) -> OpenStream:
    """Connections over TCP, and over TLS where the endpoint says https."""

    async def open_stream(endpoint: Endpoint) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
        _keep_alive(stream)
        if not endpoint.tls:
            return stream
        context = ssl_context or ssl.create_default_context()
        tls = trio.SSLStream(stream, context, server_hostname=endpoint.host, https_compatible=True)
        await tls.do_handshake()  # here, where a failure means that nothing was sent
        return tls

    return open_stream


def _keep_alive(stream: trio.SocketStream) -> None:
    """A watch may be silent for hours: let the kernel find out (in 25 s) when its server is gone."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # they are not there on every system
            stream.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
