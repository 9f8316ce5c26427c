"""Which Host fields are answered (`--host-whitelist`).

It keeps a page of a stranger, by way of a name that it lets point at this machine, from calling the API (DNS rebinding,
CVE-2018-5702). It asks nothing of requests over TLS.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Protocol

from trioetcd.frontend.heads import TEXT, Cors
from trioetcd.frontend.limited import Beginner, Handler
from trioetcd.frontend.routes import Fixed
from trioetcd.http11 import Request

_UNRECOGNIZED: Final = """
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist "{host}"

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).

"""
"""etcd's words: they name the flag, which is ours as well."""


class Table(Protocol):
    """Where the handler of a request is found."""

    def find(self, request: Request) -> Handler:
        """The handler; always one. Raises BadRequest for a target that is none."""
        ...

    def find_beginner(self, request: Request) -> Beginner | None:
        """What may begin it at once, if there is any."""
        ...


class HostGuard:
    """A table whose requests came to one of the `hosts`; others are misdirected."""

    def __init__(self, table: Table, *, hosts: Collection[str]) -> None:
        self._table = table
        self._hosts = frozenset(hosts)

    def find(self, request: Request) -> Handler:
        """What the table has, or the refusal."""
        host = _host_of(request)
        if host in self._hosts:
            return self._table.find(request)
        return Fixed(Cors(()), 421, TEXT, _UNRECOGNIZED.format(host=host).encode())

    def find_beginner(self, request: Request) -> Beginner | None:
        """What the table has, for one of the hosts."""
        return self._table.find_beginner(request) if _host_of(request) in self._hosts else None


def guard_hosts(table: Table, hosts: Collection[str]) -> Table:
    """The table itself when every host is answered."""
    return table if "*" in hosts else HostGuard(table, hosts=hosts)


def _host_of(request: Request) -> str:
    return _hostname(request.headers.get(b"host", b"").decode("latin-1"))


def _hostname(authority: str) -> str:
    """The host of `host:port`, as Go's `net.SplitHostPort` has it; the whole where that would be an error."""
    host, colon, _ = authority.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        return host[1:-1]
    return host if colon and ":" not in host else authority
