"""The network of a machine: TCP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from trioetcd.config import Url

_LOOPBACK: Final = "127.0.0.1"


class TcpNetwork:
    """Listens over TCP."""

    async def listen(self, urls: Sequence[Url]) -> Sequence[trio.SocketListener]:
        """Listen at every URL; `localhost` is 127.0.0.1 alone, as it is for etcd.

        Raises `OSError` naming the URL when an address is taken or is not this machine's.
        """
        listeners: list[trio.SocketListener] = []
        for url in urls:
            try:
                listeners += await trio.open_tcp_listeners(
                    url.port, host=_LOOPBACK if url.host == "localhost" else url.host
                )
            except OSError as error:
                for listener in listeners:
                    await listener.aclose()
                raise OSError(error.errno, f"listen {url}: {error.strerror or error}") from error
        return listeners
