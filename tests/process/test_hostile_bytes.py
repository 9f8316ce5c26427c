"""Seeded noise at both ports of a real member: it answers afterwards, and holds no more memory or sockets for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.conformance.servers import Server, lone_member, running
from tests.process.client import call, everything, put
from trioetcd.peer.framing import encode_frame
from trioetcd.raft.types import Entry, Message, MessageType

pytestmark = pytest.mark.process

SECONDS = 1.5
REQUESTS_MIN = 150
HELD_MAX = 24
GROWTH_BYTES_MAX = 64 << 20
"""Of which some is what a fresh process takes with its first requests."""

NUMBERS = (b"0", b"-1", b"9223372036854775807", b"-9223372036854775808", b"9" * 400, b"1e400", b"\xc2\xb2")
PIECES = (
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\xff",
    b'"',
    b"{",
    b"[" * 3000,
    b"0\r\n\r\n",
    b"ffffffffff\r\n",
    b"%00",
    b"; x=1",
)
LONG = b"X-Long: " + b"x" * 70_000 + b"\r\n"


def post(path: str, body: bytes, *fields: bytes) -> bytes:
    head = [b"POST %s HTTP/1.1" % path.encode(), b"Host: x", *fields, b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*head, b"", body])


def upgrade(path: str, *fields: bytes) -> bytes:
    head = [b"GET %s HTTP/1.1" % path.encode(), b"Host: x", b"Connection: Upgrade", b"Upgrade: websocket", *fields]
    return b"\r\n".join([*head, b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"", b""])


def frame(opcode: int, payload: bytes) -> bytes:
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


def for_clients() -> list[bytes]:
    """What clients send, as it should be. Nothing that changes the cluster, so that noise cannot either."""
    watch = b'{"create_request":{"key":"AA==","range_end":"AA==","start_revision":"1","prev_kv":true,"fragment":true}}'
    put_op = b'{"request_put":{"key":"YQ==","value":"Yg=="}}'
    txn = b'{"compare":[{"key":"YQ==","target":"MOD","mod_revision":"3"}],"success":[%s],"failure":[%s]}'
    return [
        post("/v3/kv/put", b'{"key":"bm9pc2U=","value":"Yg==","lease":"0","prev_kv":true}'),
        post("/v3/kv/range", b'{"key":"AA==","range_end":"AA==","limit":"5","sort_order":"DESCEND","revision":"1"}'),
        post("/v3/kv/range", b'{"key":"YQ=="}', b"Grpc-Timeout: 1S", b"Grpc-Metadata-hasleader: true"),
        post("/v3/kv/txn", txn % (put_op, put_op)),
        post("/v3/kv/deleterange", b'{"key":"bm9pc2U=","prev_kv":true}'),
        post("/v3/kv/compaction", b'{"revision":"1"}'),
        post("/v3/lease/grant", b'{"ID":"77","TTL":"60"}'),
        post("/v3/lease/keepalive", b'{"ID":"77"}{"ID":"78"}'),
        post("/v3/lease/timetolive", b'{"ID":"77","keys":true}'),
        post("/v3/watch", watch + b'{"progress_request":{}}{"cancel_request":{"watch_id":"0"}}'),
        post("/v3/maintenance/status", b"{}", b"Authorization: abc.1", b"Expect: 100-continue"),
        post("/v3/maintenance/hash", b'{"revision":"1"}'),
        b"POST /v3/watch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(watch), watch),
        upgrade("/v3/watch", b"Sec-WebSocket-Protocol: Bearer, t") + frame(1, watch) + frame(9, b"") + frame(8, b""),
        b"GET /health?serializable=true HTTP/1.1\r\nHost: x\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS /../v3/%2e HTTP/1.0\r\nOrigin: a\r\n\r\n",
    ]


def for_peers(server: Server) -> list[bytes]:
    """What members send, from this member itself so that it gets past the rules, and to another one."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.peer_port}/members", timeout=5) as answer:
        cluster_id, (own,) = answer.headers["X-Etcd-Cluster-Id"], json.load(answer)
    fields = (
        b"X-Server-From: %x" % own["id"],
        b"X-Raft-To: %x" % own["id"],
        b"X-Etcd-Cluster-Id: %s" % cluster_id.encode(),
        b"X-Server-Version: 3.5.0",
        b"X-Min-Cluster-Version: 3.0.0",
    )
    messages = encode_frame(
        [
            Message(MessageType.APP, 2, 1, term=9, index=3, entries=(Entry(9, 4, data=b"x" * 50),)),
            Message(MessageType.HEARTBEAT, 2, 1, term=9, commit=2**40),
        ]
    )
    return [
        post("/raft", messages, *fields),
        post("/raft/snapshot", len(messages).to_bytes(8, "big") + messages + b"state" * 100, *fields),
        post("/leases", b"\x08\x4d", *fields),
        post("/leases/internal", b"\x0a\x04\x08\x4d\x10\x01", *fields),
        post("/leases/batch", b"[77, 78]", *fields),
        upgrade(f"/raft/stream/append/{own['id']:x}", *fields) + frame(2, messages),
        upgrade(f"/raft/stream/message/{own['id']:x}", *fields) + frame(2, messages),
        b'GET /members/hashkv HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{"revision":1}',
        b"GET /raft/probing HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nHost: x\r\n\r\n",
    ]


def mutated(random: Random, samples: list[bytes]) -> bytes:
    data = bytearray(random.choice(samples))
    for _ in range(random.choice([0, 1, 1, 2, 5, 30])):
        at, length = random.randrange(len(data) + 1), random.choice([1, 1, 4, 40])
        change = random.randrange(7)
        if change == 0:
            data[at : at + 1] = random.randbytes(1)
        elif change == 1:
            data[at : at + length] = b""
        elif change == 2:
            data[at:at] = random.randbytes(length)
        elif change == 3:
            data[at:at] = random.choice(PIECES)
        elif change == 4:
            digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
            place = random.choice(digits or [0])
            data[place : place + 1] = random.choice(NUMBERS)
        elif change == 5:
            other = random.choice(samples)
            data[at:at] = other[random.randrange(len(other)) :]
        else:
            data[data.find(b"\r\n") + 2 : data.find(b"\r\n") + 2] = LONG
        data = data[: 1 << 20] or bytearray(b"\n")
    return bytes(data)


class Hostile:
    """Sends, and goes away as it likes: in order, by a reset, or not for a while."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._held: list[socket.socket] = []

    def send(self, port: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # refused in the middle: that is the member's good right
            one = socket.create_connection(("127.0.0.1", port), timeout=2)
            self._held.append(one)
            one.settimeout(0.02)
            cut = self._random.randrange(len(data) + 1) if self._random.random() < 0.3 else len(data)
            one.sendall(data[:cut])
            if self._random.random() < 0.5:
                one.recv(65_536)
            one.sendall(data[cut:])
        while len(self._held) > HELD_MAX:
            self._leave(self._held.pop(self._random.randrange(len(self._held))))

    def _leave(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._random.random() < 0.3:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self._random.random() < 0.5:
                one.shutdown(socket.SHUT_WR)
                one.recv(1 << 20)
        one.close()

    def close(self) -> None:
        while self._held:
            self._leave(self._held.pop())


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory and descriptors are read from /proc")
def test_noise_at_both_ports_does_no_lasting_harm(tmp_path: Path) -> None:
    seed = 20
    random = Random(seed)
    server = lone_member("trioetcd", tmp_path)
    with running(server):
        put(server, "before", "value")
        before, open_before = resident_bytes(server.pid), descriptors(server.pid)
        hostile = Hostile(random)
        for port, samples in ((server.client_port, for_clients()), (server.peer_port, for_peers(server))):
            sent, end = 0, time.monotonic() + SECONDS
            while sent < REQUESTS_MIN or time.monotonic() < end:
                hostile.send(port, mutated(random, samples))
                sent += 1
                assert server.exit_code() is None, f"seed {seed}, request {sent} at {port}:\n{server.log_tail()}"
        hostile.close()
        put(server, "after", "value")
        _, kvs = everything(server)
        assert "after" in kvs  # what was there before, noise may have deleted in due form
        assert call(server, "/v3/lease/leases", {})["header"]
        assert wait_until(lambda: descriptors(server.pid) <= open_before + 2, 10), "connections are not let go"
        assert resident_bytes(server.pid) < before + GROWTH_BYTES_MAX
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 0
    assert "Traceback" not in server.log_path.read_text()
