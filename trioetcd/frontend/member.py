"""What the front end needs of the member that it stands before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from trioetcd.api.services import Rpc
from trioetcd.config.version import VersionInfo
from trioetcd.metrics import RpcCalls
from trioetcd.node.service.context import CallContext
from trioetcd.node.service.two_steps import TwoSteps


class Following(Protocol):
    """What streams of a service ask of it besides its RPCs."""

    def following(self, context: CallContext, end: Callable[[], None]) -> AbstractContextManager[None]:
        """Call `end` when the call asked for a leader and there is none for long, while in the block."""
        ...


class Services(Protocol):
    """The service layer."""

    def method(self, rpc: Rpc) -> Callable[..., Any] | None:
        """What serves an RPC, permissions included; None when it is not built: it is then refused by name.

        Of a unary RPC it is a coroutine function of request and context; of one that streams answers alone, an async
        generator function of the same. `LeaseKeepAlive` answers each request as if it were unary, and `Watch` opens a
        session with a context, as a context manager.
        """
        ...

    def two_steps(self, rpc: Rpc) -> TwoSteps | None:
        """The same of a unary RPC that can be begun without waiting; None for others."""
        ...

    @property
    def lease(self) -> Following:
        """Whom streams follow that asked for a leader."""
        ...


class FrontendMember(Protocol):
    """One member, as its client listener sees it."""

    @property
    def services(self) -> Services:
        """The service layer."""
        ...

    def version(self) -> VersionInfo:
        """Versions of this program and of the cluster."""
        ...

    def active_alarms(self) -> Sequence[str]:
        """Names of the alarms that are raised anywhere in the cluster: NOSPACE, CORRUPT."""
        ...

    def has_leader(self) -> bool:
        """Whether this member knows a leader."""
        ...

    def is_learner(self) -> bool:
        """Whether this member does not vote."""
        ...

    async def probe_read(self, *, serializable: bool) -> None:
        """Read one key as a client would, permissions apart; raises ApiError when that fails."""
        ...

    def count_health(self, *, ok: bool) -> None:
        """Count one answer of `/health`."""
        ...

    def rpc_calls(self, rpc: Rpc) -> RpcCalls:
        """Where the calls of an RPC are counted."""
        ...

    def metrics_text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        ...

    def debug_vars(self) -> Mapping[str, object]:
        """What `/debug/vars` shows: values that JSON can hold."""
        ...

    def debug_tasks(self, *, as_json: bool) -> bytes:
        """The live tree of tasks, to read or to parse."""
        ...
