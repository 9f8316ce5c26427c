"""The real network: TCP, and TLS over it."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

import trio

from trioetcd.http11.streams import LeanSocketStream


class TcpDialer:
    """Dials `http://host:port`, and with an `ssl_context` `https://host:port`."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context

    async def dial(self, url: str) -> trio.abc.Stream:
        """A connected stream; raises `OSError`, also for text that is no URL. The caller bounds the time.

        It is `ConnectionRefusedError` where every address of the host says that nobody listens.
        """
        try:
            return await self._dial(url)
        except ValueError as error:  # of `urlsplit`, its port, and the resolver, which takes no label above 63 bytes
            raise OSError(f"{url!r:.100} cannot be dialled: {error}") from error

    async def _dial(self, url: str) -> trio.abc.Stream:
        parts = urlsplit(url)
        if parts.scheme == "https" and self._ssl_context is None:
            raise OSError(f"{url} needs TLS, and no certificates for peers were given")
        if not parts.hostname:
            raise OSError(f"{url!r} names no host to dial")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        stream = LeanSocketStream.take_over(await _connect(parts.hostname, port))
        if parts.scheme != "https" or self._ssl_context is None:
            return stream
        return trio.SSLStream(stream, self._ssl_context, server_hostname=parts.hostname, https_compatible=True)


async def _connect(host: str, port: int) -> trio.SocketStream:
    try:
        return await trio.open_tcp_stream(host, port)
    except OSError as error:
        cause = error.__cause__  # where Trio tells how each address failed: a group, or the one error
        causes = cause.exceptions if isinstance(cause, BaseExceptionGroup) else (cause,)
        if all(isinstance(one, ConnectionRefusedError) for one in causes):
            raise ConnectionRefusedError(str(error)) from error
        raise
