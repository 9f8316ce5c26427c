"""URLs of peers as clients give them: read, and written again, as etcd does (`types.NewURLs`, Go's net/url).

More is let through than could ever be dialled (a user, a query, a port without digits), since etcd does not refuse it
to a client either: who cannot be dialled is a peer that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

_SCHEMES: Final = frozenset({"http", "https", "unix", "unixs"})
_URL: Final = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://((?P<user>[^/?]*)@)?(?P<host>[^/?@]*)(?P<query>\?.*)?", re.DOTALL
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})")
_PORT: Final = re.compile(r":[0-9]*")

# What Go leaves as it is, besides letters and digits, and beyond what Python's `quote` always does (_.-~).
_HOST_SAFE: Final = "!$&'()*+,;=:[]<>\""
_USER_SAFE: Final = "$&+,;="
_FRAGMENT_SAFE: Final = "$&+,/:;=?@!()*"

# Everything beyond ASCII passes, so these two name what does not (a range up to the last character compiles for 7 ms).
_HOST_PLAIN: Final = re.compile(r"[^\x00- #%/?@\\^`{|}\x7f]*")
_ZONE: Final = re.compile(r"([^\x00- #%/?@\[\\\]^`{|}\x7f]|%2[0145]|%[3-7][0-9a-fA-F])*")
_USER_PLAIN: Final = re.compile(r"[a-zA-Z0-9_.~!$&'()*+,;=:%@-]*")
_FRAGMENT_PLAIN: Final = re.compile(r"[a-zA-Z0-9_.~!$&'()*+,;=:@/?\[\]%-]*")


class BadPeerUrls(ValueError):
    """etcd would not take these as peer URLs; the text says which and why."""


def normalise_peer_urls(texts: Iterable[str]) -> tuple[str, ...]:
    """The URLs as etcd stores them, sorted; one at least. Raises `BadPeerUrls`."""
    urls = tuple(sorted(normalise_peer_url(text) for text in texts))
    if not urls:
        raise BadPeerUrls("no peer URL was given; expected http://HOST:PORT")
    return urls


def normalise_peer_url(text: str) -> str:
    """One URL: the scheme in lower case, host and user escaped where they have to be. Raises `BadPeerUrls`."""
    address, _, fragment = text.strip().partition("#")
    found = _URL.fullmatch(address)
    if found is None or _CONTROL.search(text.strip()) or _BAD_ESCAPE.search(fragment):
        raise BadPeerUrls(f"{text!r} is no URL without a path; expected http://HOST:PORT")
    scheme = found["scheme"].lower()
    if scheme not in _SCHEMES:
        raise BadPeerUrls(f"the scheme of {text!r} must be one of {', '.join(sorted(_SCHEMES))}")
    user = "" if found["user"] is None else f"{_user(found['user'], text)}@"
    return f"{scheme}://{user}{_host(found['host'], text)}{found['query'] or ''}{_fragment(fragment)}"


def _host(host: str, text: str) -> str:
    """Host and port: `h:1`, `[::1]:1`, `[fe80::1%25eth0]:1`; the port may lack its digits."""
    if host.startswith("["):
        inside, bracket, port = host[1:].rpartition("]")
        inside, zone_mark, zone = inside.partition("%25")
        rest = f"{inside}{zone}"
        fits = bool(bracket) and not re.search(r"[\[\]]", rest) and _ZONE.fullmatch(zone) is not None
        written = f"[{_escaped_host(inside, text)}{zone_mark}{quote(unquote_to_bytes(zone), safe=_HOST_SAFE)}]"
    else:
        name, colon, digits = host.rpartition(":")
        port = colon + digits
        fits = not re.search(r"[:\[\]]", name)
        written = _escaped_host(name, text)
    if not fits or not _PORT.fullmatch(port):
        raise BadPeerUrls(f'{text!r} does not have the form "host:port"')
    return written + port


def _escaped_host(name: str, text: str) -> str:
    """Only bytes beyond ASCII, and the percent sign, are written as escapes in a host, and may be given so."""
    plain = re.sub(r"%(25|[89a-fA-F][0-9a-fA-F])", "", name)
    if not _HOST_PLAIN.fullmatch(plain):
        raise BadPeerUrls(f"the host of {text!r} has characters that no host has")
    return quote(unquote_to_bytes(name), safe=_HOST_SAFE)


def _user(user: str, text: str) -> str:
    if not _USER_PLAIN.fullmatch(user) or _BAD_ESCAPE.search(user):
        raise BadPeerUrls(f"the user of {text!r} has characters that must be escaped")
    name, colon, password = user.partition(":")
    return quote(unquote_to_bytes(name), safe=_USER_SAFE) + colon + quote(unquote_to_bytes(password), safe=_USER_SAFE)


def _fragment(fragment: str) -> str:
    if not fragment:
        return ""
    is_plain = _FRAGMENT_PLAIN.fullmatch(fragment) is not None
    return "#" + (fragment if is_plain else quote(unquote_to_bytes(fragment), safe=_FRAGMENT_SAFE))
