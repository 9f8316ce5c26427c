"""The same over real sockets, on the real clock."""

from __future__ import annotations

import pytest
import trio

from trioetcd.node.protocols import PeerInfo
from trioetcd.peer.dialer import TcpDialer
from trioetcd.peer.hashes import HashFetcher
from trioetcd.peer.headers import PeerIdentity
from trioetcd.peer.listener import PeerListener
from trioetcd.peer.transport import Transport


class Ends:
    """Two members on loopback."""

    def __init__(self, cluster, nursery) -> None:
        self.cluster = cluster
        self.nursery = nursery
        self.transports = {}
        self.handlers = {}

    async def start(self, handler_of) -> None:
        listeners = {member: await trio.open_tcp_listeners(0, host="127.0.0.1") for member in (1, 2)}
        urls = {m: f"http://127.0.0.1:{one[0].socket.getsockname()[1]}" for m, one in listeners.items()}
        for member, other in ((1, 2), (2, 1)):
            handler = self.handlers[member] = handler_of({1, 2})
            log = self.cluster.log.bind(member=member)
            local = PeerIdentity(member, 0xC1, "3.5.1", "3.0.0", (urls[member],))
            transport = Transport(
                local=local, handler=handler, dialer=TcpDialer(), wall_clock=trio.current_time, log=log
            )
            transport.reconcile([PeerInfo(other, (urls[other],))], [])
            listener = PeerListener(
                listeners=listeners[member],
                transport=transport,
                handler=handler,
                wall_clock=trio.current_time,
                log=log,
            )
            self.transports[member] = transport
            await self.nursery.start(listener.run)
            await self.nursery.start(transport.run)


async def test_streams_and_snapshots_over_tcp(nursery, start_cluster, new_handler, make) -> None:
    ends = Ends(start_cluster(nursery), nursery)
    await ends.start(new_handler)
    with trio.fail_after(20):
        while not all(t.status().peers[0].active for t in ends.transports.values()):  # noqa: ASYNC110 # a status has no event
            await trio.sleep(0.01)
        one, two = ends.handlers[1], ends.handlers[2]
        burst = [make.app(index) for index in range(1000)]
        ends.transports[1].send(burst)
        assert await two.wait_received(1000) == burst
        one.state = (*[bytes(100_000)] * 50, b"end")
        ends.transports[1].send([make.snap()])
        received = await two.wait_received(1001)
        assert received[-1].snapshot.metadata.index == 77
        assert len(two.sinks[0].data) == 5_000_003
        if not one.snapshots:
            await one.arrived.wait()
    assert one.snapshots == [(2, True)]
    nursery.cancel_scope.cancel()


async def test_urls_that_cannot_be_dialled() -> None:
    dialer = TcpDialer()
    with pytest.raises(OSError, match="needs TLS"):
        await dialer.dial("https://127.0.0.1:1")
    with pytest.raises(OSError, match="names no host"):
        await dialer.dial("http://")
    for host in ("127.0.0.1", "localhost"):  # one address, and where there is IPv6 two
        with pytest.raises(ConnectionRefusedError, match="all attempts to connect"):
            await dialer.dial(f"http://{host}:1")


async def test_a_host_is_gone_only_where_all_of_its_addresses_refuse(monkeypatch) -> None:
    """As Trio tells of several addresses that failed: a group behind the error."""
    refused = ConnectionRefusedError("nobody listens")

    async def fail(*_args) -> None:
        raise OSError("all attempts to connect failed") from ExceptionGroup("multiple", errors)

    monkeypatch.setattr(trio, "open_tcp_stream", fail)
    errors: list[Exception] = [refused, refused]
    with pytest.raises(ConnectionRefusedError):
        await TcpDialer().dial("http://host:1")
    errors = [refused, OSError("no route to host")]
    with pytest.raises(OSError, match="all attempts") as caught:
        await TcpDialer().dial("http://host:1")
    assert not isinstance(caught.value, ConnectionRefusedError)


@pytest.mark.parametrize(
    "url",
    [
        "http://a:99999",
        "http://[::1",
        "http://h:1x",
        "http://" + "a" * 64 + ":1",
        "http://" + "a" * 300 + ":1",
        "http://a..b:1",
        "http://\udcff:1",
    ],
)
async def test_urls_that_no_resolver_takes(url: str) -> None:
    """Whoever adds or updates a member may name any; and every member dials it, after every start."""
    with pytest.raises(OSError, match="cannot be dialled"):
        await TcpDialer().dial(url)
    assert await HashFetcher(dialer=TcpDialer()).fetch([url], 0) is None
