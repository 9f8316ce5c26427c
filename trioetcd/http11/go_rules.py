"""What Go's server takes for a request where the engines would decide otherwise, and how it reads fields."""

from __future__ import annotations

import re
from typing import Final

from trioetcd.http11.messages import BadRequest, Headers

_PLAIN_TARGET: Final = re.compile(rb"/[^\x00-\x20\x7f%]*")
_PLAIN_PATH: Final = re.compile(rb"(?:[^\x00-\x20\x7f%]|%[0-9A-Fa-f]{2})*")
_CONTROLS: Final = re.compile(rb"[\x00-\x20\x7f]")
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*:(?://([^/?]*))?(.*)")
_AUTHORITY: Final = re.compile(rb"(?:[^@]*@)?(?:\[[^\[\]]*\]|[^\[\]:]*)(?::[0-9]*)?")
_LENGTH_MAX: Final = (1 << 63) - 1
_LENGTH_DIGITS: Final = 18  # so many may say whatever they like
_HOST: Final = re.compile(rb"[A-Za-z0-9!$%&()*+,\-.:;=\[\]'_~]*")
_VERSION: Final = re.compile(rb"HTTP/\+?([0-9]{1,7})\.\+?([0-9]{1,7})")


def check_head(*, method: str, target: bytes, headers: Headers, version: tuple[int, int]) -> None:
    """Raise BadRequest for what both engines let pass and Go's server does not."""
    check_target(method, target)
    if version[0] != 1:
        raise BadRequest(505, "unsupported protocol version")
    host = headers.get(b"host")
    if host is None and version >= (1, 1) and method != "CONNECT":
        raise BadRequest(400, "missing required Host header")
    if host is not None and not _HOST.fullmatch(host):
        raise BadRequest(400, "too many Host headers" if b", " in host else "malformed Host header")
    if method == "HEAD" and headers.get(b"content-length", b"0") != b"0":
        raise BadRequest(400)
    length = headers.get(b"content-length", b"0")
    if len(length) > _LENGTH_DIGITS and int(length) > _LENGTH_MAX:
        raise BadRequest(400)
    if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        raise BadRequest(501, body="Unsupported transfer encoding")
    expectation = headers.get(b"expect")
    if expectation and not has_token(expectation, b"100-continue"):
        raise BadRequest(417, body="")


def check_target(method: str, target: bytes) -> None:
    """Raise BadRequest for a target that Go's url.ParseRequestURI does not take."""
    if _PLAIN_TARGET.fullmatch(target) or target == b"*":
        return
    path = target
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if method == "CONNECT":
            return
        if absolute is None or (absolute[1] and not _AUTHORITY.fullmatch(absolute[1])):
            raise BadRequest(400)
        path = absolute[2]
    if _CONTROLS.search(target) or not _PLAIN_PATH.fullmatch(path.partition(b"?")[0]):
        raise BadRequest(400)


def parse_version(protocol: bytes) -> tuple[int, int] | None:
    """Major and minor of `HTTP/1.1`; None when it is no version. Like Go it takes `HTTP/01.1`."""
    found = _VERSION.fullmatch(protocol)
    return None if found is None else (int(found[1]), int(found[2]))


def has_token(value: bytes, token: bytes) -> bool:
    """Whether a list apart by commas, as many fields hold, has a token (which is in lower case)."""
    return value == token or any(option.strip() == token for option in value.lower().split(b","))


def keeps_alive(headers: Headers, *, version_1_0: bool) -> bool:
    """Whether the connection stays after the answer, as far as the client says."""
    options = headers.get(b"connection")
    if options is None:
        return not version_1_0
    return not has_token(options, b"close") and (not version_1_0 or has_token(options, b"keep-alive"))


def asks_for_websocket(method: str, headers: Headers) -> bool:
    """Whether the request is a WebSocket handshake; other upgrades (h2c) are offers that may be passed over."""
    return (
        method == "GET"
        and has_token(headers.get(b"upgrade", b""), b"websocket")
        and has_token(headers.get(b"connection", b""), b"upgrade")
    )
