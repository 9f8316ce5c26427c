"""What the front end needs of the member that it stands before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from trioetcd.config.version import VersionInfo


class Services(Protocol):
    """The service layer. A service that is not built is None; its RPCs are refused by name.

    A unary RPC is `async def snake_case_name(self, request, context)` on its service. Streams are opened as
    `frontend.v3_stream` says.
    """

    @property
    def kv(self) -> object | None:
        """KV."""
        ...

    @property
    def watch(self) -> object | None:
        """Watch."""
        ...

    @property
    def lease(self) -> object | None:
        """Lease."""
        ...

    @property
    def cluster(self) -> object | None:
        """Cluster."""
        ...

    @property
    def maintenance(self) -> object | None:
        """Maintenance."""
        ...

    @property
    def auth(self) -> object | None:
        """Auth."""
        ...

    @property
    def lock(self) -> object | None:
        """Lock."""
        ...

    @property
    def election(self) -> object | None:
        """Election."""
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

    def metrics_text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        ...

    def debug_vars(self) -> Mapping[str, object]:
        """What `/debug/vars` shows: values that JSON can hold."""
        ...

    def debug_tasks(self, *, as_json: bool) -> bytes:
        """The live tree of tasks, to read or to parse."""
        ...
