"""URLs of members, as etcd's flags take them: `scheme://host:port`, and nothing behind the port."""

from __future__ import annotations

import ipaddress
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from trioetcd.config.errors import ConfigError, NotServedError

SCHEMES: Final = frozenset({"http"})
SCHEMES_OF_ETCD: Final = frozenset({"http", "https", "unix", "unixs"})


class Url(NamedTuple):
    """One URL. `host` is bare (no brackets around an IPv6 address); `str()` writes it as etcd writes it."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def address(self) -> str:
        """`host:port`, with brackets around an IPv6 address: a `Host` header, a line for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_unspecified(self) -> bool:
        """Whether it stands for every interface (0.0.0.0 or ::), and so cannot be dialled from elsewhere."""
        address = _ip_address(self.host)
        return address is not None and address.is_unspecified

    @property
    def is_bindable(self) -> bool:
        """Whether a listener takes it: an IP address or `localhost` (etcd refuses DNS names there)."""
        return self.host == "localhost" or _ip_address(self.host) is not None

    @property
    def comparable(self) -> tuple[str, str, int]:
        """Equal for two spellings of one endpoint: `localhost` is 127.0.0.1, a name has no case."""
        host = "127.0.0.1" if self.host == "localhost" else self.host.lower()
        return self.scheme, host, self.port


def parse_url(text: str) -> Url:
    """The URL that `text` spells.

    Raises `ConfigError` for a scheme that is not served, a missing host or port, a path, a query or user info.
    """
    stripped = text.strip()
    scheme, separator, rest = stripped.partition("://")
    if not separator or scheme not in SCHEMES_OF_ETCD:
        raise ConfigError(f"URL {stripped!r} has no scheme that is known; expected http://HOST:PORT")
    if scheme not in SCHEMES:
        raise NotServedError(
            f"URL {stripped!r} asks for {scheme}, which this version does not have; use http://HOST:PORT"
        )
    return Url(scheme, *_host_and_port(stripped, rest))


def parse_urls(text: str) -> tuple[Url, ...]:
    """The URLs of a comma-separated list, in its order. An empty list is an error."""
    urls = tuple(parse_url(part) for part in text.split(",") if part.strip())
    if not urls:
        raise ConfigError("the list of URLs is empty; expected http://HOST:PORT[,http://HOST:PORT...]")
    return urls


def join_urls(urls: tuple[Url, ...]) -> str:
    """The comma-separated list that `parse_urls` reads."""
    return ",".join(map(str, urls))


def same_urls(left: tuple[Url, ...], right: tuple[Url, ...]) -> bool:
    """Whether two lists name the same endpoints, in whatever order."""
    return sorted(url.comparable for url in left) == sorted(url.comparable for url in right)


def _host_and_port(text: str, rest: str) -> tuple[str, int]:
    """Host and port of what follows the scheme; the whole text is for the messages."""
    if any(character in rest for character in "/?#"):
        raise ConfigError(f"URL {text!r} has something behind its port; expected http://HOST:PORT, without a path")
    if "@" in rest:
        raise ConfigError(f"URL {text!r} holds a user name; expected http://HOST:PORT")
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"URL {text!r} cannot be read ({error}); expected http://HOST:PORT") from error
    if port is None or (host is None and not rest.startswith(":")):
        raise ConfigError(f'URL {text!r} does not have the form "host:port"; expected http://HOST:PORT')
    return host or "", port


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
