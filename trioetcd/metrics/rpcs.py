"""Calls started and handled, by RPC and code, and the bytes of their messages: the JSON gateway's count as gRPC's.

Four integers are added a call. Every combination of labels is there from the start, at 0, as in etcd: 800 lines, which
never change but for their numbers. So their text is made once and the numbers are put behind it: 0.1 ms a scrape, where
families of Prometheus' client take 9 ms of the loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from trioetcd.api.errors import Code
from trioetcd.api.services import RPCS, Rpc

CODE_NAMES: Final = {
    code: "OK" if code is Code.OK else "".join(part.capitalize() for part in code.name.split("_")) for code in Code
}

_STARTED: Final = "grpc_server_started_total"
_HANDLED: Final = "grpc_server_handled_total"
_REQUESTS: Final = "etcd_server_client_requests_total"
_RECEIVED_BYTES: Final = "etcd_network_client_grpc_received_bytes_total"
_SENT_BYTES: Final = "etcd_network_client_grpc_sent_bytes_total"
_HELP: Final = {
    _REQUESTS: "The total number of client requests per client version.",
    _RECEIVED_BYTES: "The total number of bytes of the messages received from clients, as they came: in JSON.",
    _SENT_BYTES: "The total number of bytes of the messages sent to clients, as they left: in JSON.",
    _STARTED: "Total number of RPCs started on the server.",
    _HANDLED: "Total number of RPCs completed on the server, regardless of success or failure.",
}


class RpcCalls:
    """The calls of one RPC. A front end keeps the one of its route at hand."""

    __slots__ = ("handled_counts", "received_bytes", "sent_bytes", "started_count")

    def __init__(self) -> None:
        self.started_count = 0
        self.received_bytes = 0  # of messages, which errors are not
        self.sent_bytes = 0
        self.handled_counts = [0] * len(Code)

    def started(self) -> None:
        """A call came in; for a stream, it was opened."""
        self.started_count += 1

    def handled(self, code: int) -> None:
        """A call was answered, or a stream ended, with this code."""
        self.handled_counts[code] += 1


class RpcCounters:
    """The calls of every RPC of the table."""

    def __init__(self) -> None:
        self._calls = {rpc.grpc_path: RpcCalls() for rpc in RPCS}
        self._started = [(f"{_STARTED}{{{_labels(rpc)}}} ", self.of(rpc)) for rpc in RPCS]
        self._handled = [(_handled_heads(rpc), self.of(rpc)) for rpc in RPCS]

    def of(self, rpc: Rpc) -> RpcCalls:
        """The calls of one row of the table."""
        return self._calls[rpc.grpc_path]

    def text(self) -> bytes:
        """All families in the text format, sorted as the table is."""
        return "".join(self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        every = self._calls.values()
        yield f"{_header(_RECEIVED_BYTES)}{_RECEIVED_BYTES} {sum(one.received_bytes for one in every)}\n"
        yield f"{_header(_SENT_BYTES)}{_SENT_BYTES} {sum(one.sent_bytes for one in every)}\n"
        yield _header(_REQUESTS)  # hardly any client over HTTP tells its version: it is not looked at
        for kind in ("stream", "unary"):
            count = sum(self.of(rpc).started_count for rpc in RPCS if (_kind(rpc) == "unary") is (kind == "unary"))
            yield f'{_REQUESTS}{{client_api_version="unknown",type="{kind}"}} {count}\n'
        yield _header(_STARTED)
        for head, calls in self._started:
            yield f"{head}{calls.started_count}\n"
        yield _header(_HANDLED)
        for heads, calls in self._handled:
            for head, count in zip(heads, calls.handled_counts, strict=True):
                yield f"{head}{count}\n"


def _header(name: str) -> str:
    return f"# HELP {name} {_HELP[name]}\n# TYPE {name} counter\n"


def _labels(rpc: Rpc) -> str:
    return f'grpc_method="{rpc.name}",grpc_service="{rpc.service}",grpc_type="{_kind(rpc)}"'


def _handled_heads(rpc: Rpc) -> list[str]:
    return [f'{_HANDLED}{{grpc_code="{name}",{_labels(rpc)}}} ' for name in CODE_NAMES.values()]


def _kind(rpc: Rpc) -> str:
    kinds = {(False, False): "unary", (False, True): "server_stream", (True, False): "client_stream"}
    return kinds.get((rpc.client_streaming, rpc.server_streaming), "bidi_stream")
