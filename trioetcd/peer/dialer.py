"""The real network: TCP, and TLS over it."""

from __future__ import annotations

import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

import trio

from trioetcd.http11.streams import LeanSocketStream

_KEEP_ALIVE_SECONDS: Final = 30


class TcpDialer:
    """Dials `http://host:port`, and with an `ssl_context` `https://host:port`."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context

    async def dial(self, url: str) -> trio.abc.Stream:
        """A connected stream; raises `OSError`. The caller bounds the time."""
        parts = urlsplit(url)
        if parts.scheme == "https" and self._ssl_context is None:
            raise OSError(f"{url} needs TLS, and no certificates for peers were given")
        if not parts.hostname:
            raise OSError(f"{url!r} names no host to dial")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        stream = lean(await trio.open_tcp_stream(parts.hostname, port))
        if parts.scheme != "https" or self._ssl_context is None:
            return stream
        return trio.SSLStream(stream, self._ssl_context, server_hostname=parts.hostname, https_compatible=True)


def lean(stream: trio.SocketStream) -> LeanSocketStream:
    """The connection as a stream that costs less; the system is told to ask after it when it is silent for 30 s."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_SECONDS)
    return LeanSocketStream.take_over(stream)
